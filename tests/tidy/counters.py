#!/usr/bin/env python3
"""No counter is forgotten: a struct of counters has a list that describes all of its members, and /status and /metrics walk it.

    counters.py ROOT        prints each struct or list that is missing somewhere, exits 1 when there is one
"""
import pathlib
import re
import sys

GROUPS = "server/health/counter_groups.h"
STRUCT = re.compile(r"^(?:struct|class) (\w+)(?: final)?(?: : [^{;]*)? \{\n(.*?)^\};", re.MULTILINE | re.DOTALL)
NESTED = re.compile(r"^ +struct (\w+) \{\n(.*?)^ +\};", re.MULTILINE | re.DOTALL)
MEMBER = re.compile(r"^\s*(?:mutable )?(?:everstate::)?(?:Counter|Gauge) \w+(?:, \w+)*;", re.MULTILINE)
COUNTERS_BY_NAME = re.compile(r"(Counters|Stats|Sizes)$")
LIST = re.compile(r"(k\w+) = std::to_array<Described<(?:\w+::)*(\w+)>>")

# Counts that are shown in another form than one by one.
SHOWN_OTHERWISE = {
    "ServedView": "by view: ViewTraffic",
    "Lane": "the oldest of all lanes: FanoutCounters::oldest_look_ms",
    "QueueStats": "by queue",
}


def structs(text: str) -> dict[str, str]:
    """Name -> body; a nested struct is one of its own."""
    found = {}
    for name, body in STRUCT.findall(text):
        for inner, inner_body in NESTED.findall(body):
            found[inner] = inner_body
        found[name] = NESTED.sub("", body)
    return found


def violations(headers: dict[str, str], groups: str) -> list[str]:
    found, described = [], {}
    for path, text in headers.items():
        for name, of in LIST.findall(text):
            described[of] = name
            if f"static_assert(DescribesAll({name}" not in text:
                found.append(f"{path}: no static_assert(DescribesAll({name})) says that the list is whole")
            if not re.search(rf"\b{name}\b", groups):
                found.append(f"{path}: {name} is not walked in {GROUPS}")
    for path, text in headers.items():
        for name, body in structs(text).items():
            counts = MEMBER.search(body) or COUNTERS_BY_NAME.search(name)
            if counts and name not in described and name not in SHOWN_OTHERWISE:
                found.append(f"{path}: {name} has counters and no list that describes them")
    return found


def headers_of(root: pathlib.Path) -> dict[str, str]:
    files = [file for top in ("server", "storage") for file in sorted((root / top).rglob("*.h")) if file.name != "counters.h"]
    return {file.relative_to(root).as_posix(): file.read_text() for file in files}


def main() -> int:
    root = pathlib.Path(sys.argv[1])
    found = violations(headers_of(root), (root / GROUPS).read_text())
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
