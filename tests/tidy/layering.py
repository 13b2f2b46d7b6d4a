#!/usr/bin/env python3
"""The arrows between rooms: which room may include which, and which library belongs where.

    layering.py ROOT        prints each include that turns an arrow, exits 1 when there is one

A room may include its own headers, and of the rooms it may see only the door headers. System libraries are bound to
rooms: RocksDB to storage, Boost to fanout and cli, gRPC to the rooms that speak it.
"""
import pathlib
import re
import sys

# room -> rooms it may see. A room is a folder; model (what a row is) and storage (the store) share one, see FILES_OF_MODEL.
MAY_SEE = {
    "base": set(),
    "proto": set(),
    "model": {"base"},
    "storage": {"base", "model"},
    "stack": {"base", "model"},
    "idl": {"base", "model", "stack"},
    "vm": {"base", "model", "stack", "idl"},
    "ingest": {"base", "model", "vm", "proto"},
    "projector": {"base", "model", "storage", "stack", "idl", "vm"},
    "fanout": {"base", "model", "storage"},
    "health": {"base", "model", "storage", "stack", "vm", "ingest", "projector", "fanout"},
    "server": {"base", "model", "storage", "stack", "vm", "ingest", "projector", "fanout", "health"},
    "cli": {"base", "model", "storage", "stack", "vm", "ingest", "projector", "fanout", "health", "server"},
    "main": {"cli"},
}

# What another room may include of a room; rooms that are not listed here have only doors.
DOORS = {
    "base": None,
    "proto": None,
    "model": {"model.h", "value.h", "row_schema.h", "row.h", "utf8.h"},
    "storage": {"entity_store.h", "entity_writer.h", "snapshot.h", "inspect.h", "journal.h"},
    "stack": {"stack.h", "idl.h"},
    "idl": {"layout.h", "extract.h"},
    "vm": {"block.h", "state_view.h", "projection.h", "machine.h"},
    "ingest": {"source.h", "ledger.h", "ingest.h", "yellowstone.h", "recording.h", "replay.h"},
    "projector": {"projector.h", "state_cache.h"},
    "fanout": {"fanout.h"},
    "health": {"health.h"},
    "server": {"server.h", "config.h", "progress_line.h"},
    "cli": {"cli.h"},
}

FILES_OF_MODEL = ("model", "value", "value_codec", "utf8", "row", "row_json", "row_schema")

# pattern of a system include -> rooms that may have it
LIBRARIES = [
    (re.compile(r"rocksdb/"), {"storage"}),
    (re.compile(r"boost/"), {"fanout", "cli"}),
    (re.compile(r"grpc(pp)?/|google/protobuf|\.(grpc\.)?pb\.h"), {"ingest", "proto"}),
    (re.compile(r"nlohmann/"), {"model", "stack", "fanout", "health", "cli"}),
    (re.compile(r"CLI/"), {"cli", "main"}),
    (re.compile(r"^(thread|mutex|condition_variable)$"), {"base", "storage", "ingest", "projector", "fanout", "health", "server", "cli"}),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def room_of(path: pathlib.PurePosixPath) -> str | None:
    parts = path.parts
    if parts[0] == "storage":
        return "model" if path.stem in FILES_OF_MODEL else "storage"
    if parts[0] == "proto":
        return "proto"
    if parts[0] == "server":
        if len(parts) == 2:
            return "main" if path.name == "main.cc" else "server"
        return parts[1]
    return None


def violations(root: pathlib.Path) -> list[str]:
    found = []
    for top in ("server", "storage"):
        for file in sorted((root / top).rglob("*")):
            if file.suffix not in (".h", ".cc"):
                continue
            path = pathlib.PurePosixPath(file.relative_to(root).as_posix())
            room = room_of(path)
            for number, line in enumerate(file.read_text().splitlines(), 1):
                match = INCLUDE.match(line)
                if match:
                    problem = judge(room, match[1], match[2])
                    if problem:
                        found.append(f"{path}:{number}: {problem}")
    return found


def judge(room: str | None, quote: str, included: str) -> str | None:
    if room not in MAY_SEE:
        return f"the room {room} is not known here: say what it may see"
    for pattern, rooms in LIBRARIES:
        if pattern.search(included) and room not in rooms:
            return f"{room} may not include <{included}>"
    if quote == "<":
        return None
    target = room_of(pathlib.PurePosixPath(included))
    if target is None or target == room:
        return None
    if target not in MAY_SEE[room]:
        return f"{room} may not see {target}, but includes {included}"
    doors = DOORS[target]
    if doors is not None and pathlib.PurePosixPath(included).name not in doors:
        return f"{included} is inside {target}, no door of it"
    return None


def main() -> int:
    found = violations(pathlib.Path(sys.argv[1]))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
