#!/usr/bin/env python3
"""The arrows between rooms: which room may include which, and which library belongs where.

    layering.py ROOT        prints each include that turns an arrow, exits 1 when there is one

A room may include its own headers, and of the rooms it may see only the door headers. System libraries are bound to
rooms: RocksDB to storage, Boost to fanout and cli, gRPC to the rooms that speak it, ImGui to the console.
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
    "deployment": {"base", "model", "storage", "stack", "vm", "ingest", "projector"},
    "health": {"base", "model", "storage", "stack", "vm", "ingest", "projector", "fanout", "deployment"},
    "admin": {"base", "model", "storage", "vm", "proto", "fanout", "deployment", "health"},
    "server": {"base", "model", "storage", "stack", "vm", "ingest", "projector", "fanout", "deployment", "health", "admin"},
    "cli": {"base", "model", "storage", "stack", "idl", "vm", "ingest", "projector", "fanout", "deployment", "health", "admin", "server", "proto"},
    "main": {"cli"},
    # The console knows a server by proto/admin.proto only, and gRPC is spoken in its client.
    "console_client": {"proto"},
    "console": {"console_client", "proto"},
}

# What another room may include of a room; rooms that are not listed here have only doors.
DOORS = {
    "base": None,
    "proto": None,
    "model": {"model.h", "value.h", "row_schema.h", "row.h", "row_change.h", "row_merge.h", "utf8.h"},
    "storage": {"entity_store.h", "entity_writer.h", "snapshot.h", "inspect.h", "journal.h", "checkpoint.h", "data_dir.h"},
    "stack": {"stack.h", "idl.h", "diagnostics.h"},
    "idl": {"layout.h", "extract.h", "body_json.h", "program_log.h"},
    "vm": {"block.h", "state_view.h", "projection.h", "machine.h"},
    "ingest": {"source.h", "ledger.h", "ingest.h", "yellowstone.h", "recording.h", "recorder.h", "wire.h", "replay.h", "archive.h"},
    "projector": {"projector.h", "state_cache.h"},
    "fanout": {"fanout.h"},
    "deployment": {"deployment.h"},
    "health": {"health.h", "status.h"},
    "admin": {"admin_server.h"},
    "server": {"server.h", "config.h", "settings.h", "settings_sources.h", "progress_line.h"},
    "cli": {"cli.h"},
    "console_client": {"console_client.h", "console_events.h", "probe.h"},
    "console": None,
}

FILES_OF_MODEL = ("model", "value", "value_codec", "utf8", "row", "row_codec", "row_change", "row_json", "row_merge", "row_schema")

# pattern of a system include -> rooms that may have it
LIBRARIES = [
    (re.compile(r"rocksdb/"), {"storage"}),
    (re.compile(r"boost/"), {"fanout", "cli"}),
    (re.compile(r"grpc(pp)?/|\.grpc\.pb\.h"), {"ingest", "proto", "admin", "cli", "console_client"}),
    (re.compile(r"google/protobuf|\.pb\.h"), {"ingest", "proto", "admin", "cli", "console", "console_client"}),
    (re.compile(r"proto/(geyser|solana-storage)\."), {"ingest", "proto"}),
    (re.compile(r"imgui|GLFW/"), {"console"}),
    (re.compile(r"prometheus/"), {"health"}),
    (re.compile(r"nlohmann/"), {"base", "model", "stack", "fanout", "health", "cli", "console"}),
    (re.compile(r"^(zstd|zlib)\.h$"), {"ingest"}),
    (re.compile(r"toml\+\+/"), {"server"}),
    (re.compile(r"spdlog/"), {"base"}),
    (re.compile(r"CLI/"), {"cli", "main", "console"}),
    (re.compile(r"^(thread|mutex|condition_variable)$"), {"base", "storage", "ingest", "projector", "fanout", "deployment", "health", "admin", "server", "cli", "console_client"}),
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
    if parts[0] == "admin-gui":
        return "console_client" if parts[1] == "client" else "console"
    return None


def violations(root: pathlib.Path) -> list[str]:
    found = []
    for top in ("server", "storage", "admin-gui"):
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
