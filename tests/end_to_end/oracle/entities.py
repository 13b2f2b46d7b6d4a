#!/usr/bin/env python3
"""Judge of final entities: compares what a server holds with what a recording must decode to.

    entities.py EXPECTED.json ENTITY=FILE.jsonl ...

EXPECTED.json is {entity: {key: value}}; each FILE holds one entity's rows, one `{"key": K, "data": {...}}` a line, as
`inspect` prints them or a client dumps them. Every entity of the expected file must be given. The exit code is 0 when
nothing differs, 1 when something does, 2 when the input cannot be read.

The rules:
- No key more and no key less.
- An expected integer equals a number or the decimal text of the same value, a float equals a number of the same value,
  everything else equals itself only.
- An array beside an expected `<name>_total` is an append array: it must hold at least min(total, 100) elements, and its
  newest 100 must match. Every other array must match as a whole.
- A leaf that is not expected is a difference, unless it is one of those that the expected values leave out: the
  whole-account captures at the root, `derived.last_slot`, the `timestamp` of event and capture wrappers, hidden `__`
  fields, `_seq`, nulls, and `state.mint_authority` of TokenMint (a cleared authority leaves its old bytes behind).
"""

import json
import re
import sys
from dataclasses import dataclass, field

APPEND_KEEP = 100
CAPTURES_AT_ROOT = {"raw", "curve_snapshot"}
LEFT_OUT = {("TokenMint", "state.mint_authority")}
DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\Z")
MISSING = object()


@dataclass
class Report:
    entities: int = 0
    leaves_expected: int = 0
    leaves_compared: int = 0
    leaves_ignored: int = 0
    differences: list = field(default_factory=list)  # (path, expected, got), all text

    def differ(self, path, expected, got):
        self.differences.append((path, show(expected), show(got)))


def show(value):
    if value is MISSING:
        return "(absent)"
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 200 else text[:200] + "..."


def same_scalar(expected, got):
    """True when two leaves have the same value under the rules above."""
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, int):
        if isinstance(got, str):
            return DECIMAL.match(got) is not None and int(got) == expected
        return isinstance(got, int) and got == expected
    if isinstance(expected, float):
        return isinstance(got, (int, float)) and got == expected
    return type(expected) is type(got) and expected == got


def is_wrapper(value):
    """Event and capture wrappers: {timestamp, data, slot, signature}, a capture with its account_address."""
    return "data" in value and ("slot" in value or "signature" in value)


def is_ignored(entity, path, key, parent):
    """Whether a leaf or subtree that the expected file lacks is one of those it leaves out."""
    if key.startswith("__") or path in ("_seq", "derived.last_slot") or path in CAPTURES_AT_ROOT:
        return True
    if key == "timestamp" and is_wrapper(parent):
        return True
    return (entity, path) in LEFT_OUT


def count_leaves(value):
    if isinstance(value, dict):
        return sum(count_leaves(v) for v in value.values())
    if isinstance(value, list):
        return sum(count_leaves(v) for v in value)
    return 1


def without_totals(value):
    """Expected members without the `<name>_total` companions of its arrays, and those totals by array name."""
    totals = {k: value[k + "_total"] for k, v in value.items() if isinstance(v, list) and k + "_total" in value}
    companions = {name + "_total" for name in totals}
    return {k: v for k, v in value.items() if k not in companions}, totals


class Comparison:
    """Compares one entity's value at a time into one report."""

    def __init__(self, entity, key, report):
        self.entity = entity
        self.prefix = f"{entity}[{key}]"
        self.report = report

    def at(self, path):
        return f"{self.prefix}.{path}"

    def objects(self, expected, got, path):
        expected, totals = without_totals(expected)
        for key in sorted(expected.keys() | got.keys()):
            below = f"{path}.{key}" if path else key
            want, have = expected.get(key, MISSING), got.get(key, MISSING)
            if key in totals and isinstance(have, list):
                self.append_array(want, have, totals[key], below)
            elif want is MISSING:
                self.unexpected(have, below, key, got)
            else:
                self.values(want, have, below)

    def unexpected(self, have, path, key, parent):
        if is_ignored(self.entity, path, key, parent):
            self.report.leaves_ignored += count_leaves(have)
        elif have is None:
            self.report.leaves_ignored += 1
        elif isinstance(have, dict):
            for name in sorted(have):
                self.unexpected(have[name], f"{path}.{name}", name, have)
        else:
            self.report.differ(self.at(path), MISSING, have)

    def append_array(self, want, have, total, path):
        least = min(total, APPEND_KEEP)
        if len(have) < least:
            self.report.differ(self.at(path), f"at least {least} elements", f"{len(have)} elements")
        newest_want, newest_have = want[-APPEND_KEEP:], have[-APPEND_KEEP:]
        if len(newest_have) > len(newest_want):
            self.report.differ(self.at(path), f"{len(newest_want)} elements", f"{len(have)} elements")
        # Both are aligned at their newest end, so that one element too many or too few is one difference.
        for back in range(1, min(len(newest_want), len(newest_have)) + 1):
            self.values(newest_want[-back], newest_have[-back], f"{path}[-{back}]")

    def values(self, want, have, path):
        if isinstance(want, dict) and isinstance(have, dict):
            self.objects(want, have, path)
        elif isinstance(want, list) and isinstance(have, list):
            if len(want) != len(have):
                self.report.differ(self.at(path), f"{len(want)} elements", f"{len(have)} elements")
            for i, (w, h) in enumerate(zip(want, have)):
                self.values(w, h, f"{path}[{i}]")
        elif want is None and have is MISSING:
            self.report.leaves_compared += 1
        else:
            self.report.leaves_compared += count_leaves(want)
            if not same_scalar(want, have):
                self.report.differ(self.at(path), want, have)


def compare(expected, got):
    """Compares {entity: {key: value}} with the same shape of what is held, and returns a Report."""
    report = Report()
    for entity in sorted(expected.keys() | got.keys()):
        want, have = expected.get(entity, {}), got.get(entity, {})
        for key in sorted(want.keys() | have.keys()):
            if key not in want:
                report.differ(f"{entity}[{key}]", MISSING, have[key])
                continue
            report.leaves_expected += leaves_to_compare(want[key])
            if key not in have:
                report.differ(f"{entity}[{key}]", want[key], MISSING)
                continue
            report.entities += 1
            Comparison(entity, key, report).objects(want[key], have[key], "")
    return report


def leaves_to_compare(value):
    if isinstance(value, dict):
        members, _ = without_totals(value)
        return sum(leaves_to_compare(v) for v in members.values())
    if isinstance(value, list):
        return sum(leaves_to_compare(v) for v in value)
    return 1


def read_rows(path):
    """One entity's rows from JSON lines; a key twice or a line of another shape is an error that names the line."""
    rows = {}
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}:{number}: not JSON: {error}") from error
            members = (row.get("key"), row.get("data")) if isinstance(row, dict) else (None, None)
            if not isinstance(members[0], str) or not isinstance(members[1], dict):
                raise ValueError(f"{path}:{number}: a row must have a text key and an object as data")
            if row["key"] in rows:
                raise ValueError(f"{path}:{number}: key {row['key']} for the second time")
            rows[row["key"]] = row["data"]
    return rows


def print_report(report):
    for path, expected, got in report.differences:
        print(f"{path}: expected {expected}, got {got}")
    print(
        f"{report.entities} entities compared, {report.leaves_compared} of {report.leaves_expected} leaves compared, "
        f"{report.leaves_ignored} leaves ignored, {len(report.differences)} differences"
    )


def main(argv):
    if len(argv) < 3 or any("=" not in a for a in argv[2:]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with open(argv[1], encoding="utf-8") as file:
            expected = json.load(file)
        got = {entity: read_rows(path) for entity, path in (a.split("=", 1) for a in argv[2:])}
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    report = compare(expected, got)
    print_report(report)
    return 1 if report.differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
