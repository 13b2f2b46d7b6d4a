#!/usr/bin/env python3
"""Counting judge of the frames that a subscriber of SplStream's ENTITY/list views must receive.

    counting.py frames RECORDING                  the frames that are due, JSON lines in the order of their cursors
    counting.py entities RECORDING FOLDER         the final entities, FOLDER/<entity>.jsonl
    counting.py compare RECORDING FRAMES [FRAMES] a client's raw frames, JSON lines in the order received

`--to-slot S` ends the recording after slot S, `--any-rank` leaves the second half of the cursors out of the comparison.
A client that subscribed before the first slot must receive, for every entity and slot in which an emitted field
changed, exactly one frame, in the order of the cursors; after each it must hold the entity as it was at the end
of that slot. The exit code is 0 when all this holds, 1 when it does not, 2 when the input cannot be read.
"""

import argparse
import json
import os
import sys
from collections import Counter

import entities
import recording
import spl_fold

PRINTED_MAX = 20  # differences of one kind that are printed; all are counted


def fold(path, to_slot=None):
    """The fold over a recording and all its changes in order."""
    state, changes = spl_fold.Fold(), []
    for block in recording.blocks(path):
        if to_slot is None or block.slot <= to_slot:
            changes += state.block(block)
    return state, changes


def final_rows(state):
    """{entity: {key: {"seq", "data"}}} of a fold."""
    return {
        entity: {
            key: {"seq": state.seqs[(entity, key)], "data": spl_fold.nested(row)} for key, row in sorted(rows.items())
        }
        for entity, rows in state.rows.items()
    }


def frame_due(change):
    return {
        "entity": change.entity,
        "key": change.key,
        "slot": change.slot,
        "seq": change.seq,
        "patch": spl_fold.nested(change.patch),
        "append": change.append,
    }


def merge(held, patch, append, path=""):
    """What clients do with a patch: objects merge, arrays in `append` are joined, everything else is replaced."""
    if isinstance(held, dict) and isinstance(patch, dict):
        merged = dict(held)
        for key, value in patch.items():
            below = f"{path}.{key}" if path else key
            merged[key] = merge(held[key], value, append, below) if key in held else value
        return merged
    if isinstance(held, list) and isinstance(patch, list) and path in append:
        return held + patch
    return patch


def first_difference(due, held, path=""):
    """Path and values of the first difference, or None; null members equal absent ones, decimal text its integer."""
    if isinstance(due, dict) and isinstance(held, dict):
        for key in sorted(due.keys() | held.keys()):
            found = first_difference(due.get(key), held.get(key), f"{path}.{key}" if path else key)
            if found:
                return found
        return None
    if isinstance(due, list) and isinstance(held, list) and len(due) == len(held):
        found = (first_difference(d, h, f"{path}[{i}]") for i, (d, h) in enumerate(zip(due, held)))
        return next((f for f in found if f), None)
    if entities.same_scalar(due, held):
        return None
    return f"{path}: expected {entities.show(due)}, got {entities.show(held)}"


def leaf_paths(value, path=""):
    """Paths of all leaves but nulls: a field that was never set may go out as null, which changes nothing."""
    if not isinstance(value, dict):
        return [] if value is None else [path]
    return [p for key, v in value.items() for p in leaf_paths(v, f"{path}.{key}" if path else key)]


class Judge:
    """Takes a client's frames one after the other and collects what is wrong with them."""

    def __init__(self, changes, any_rank=False):
        self.due = {(c.entity, c.key, c.slot): c for c in changes}
        self.any_rank = any_rank
        self.received = Counter()
        self.held = {}  # (entity, key) -> merged data
        self.last = {}  # entity -> cursor of the last frame
        self.frames = 0
        self.differences = Counter()
        self.lines = []

    def differ(self, kind, text):
        self.differences[kind] += 1
        if self.differences[kind] <= PRINTED_MAX:
            self.lines.append(f"{kind}: {text}")

    def take(self, frame):
        view, op = str(frame.get("entity", "")), frame.get("op")
        entity, _, suffix = view.partition("/")
        if suffix != "list" or op == "subscribed":
            return
        if op == "snapshot":
            if frame["data"]:
                self.differ("snapshot", f"{view} holds {len(frame['data'])} rows before the first slot")
            return
        self.frames += 1
        key, seq = frame.get("key"), frame.get("seq")
        if op not in ("patch", "upsert", "create"):
            self.differ("op", f"{view}[{key}] {seq}: {op}")
            return
        try:
            slot, rank = (int(half) for half in seq.split(":"))
        except (AttributeError, ValueError):
            self.differ("seq", f"{view}[{key}]: {seq!r} is no cursor")
            return
        if (slot, rank) <= self.last.get(entity, (0, 0)):
            self.differ("order", f"{view}[{key}]: {seq} after {self.last[entity]}")
        self.last[entity] = (slot, rank)
        self.received[(entity, key, slot)] += 1
        self.apply(frame, entity, key, slot, seq)

    def apply(self, frame, entity, key, slot, seq):
        op, data, where = frame["op"], frame.get("data"), f"{entity}[{key}] {seq}"
        held = self.held.get((entity, key))
        merged = merge(held, data, frame.get("append", [])) if op == "patch" and held is not None else data
        self.held[(entity, key)] = merged
        change = self.due.get((entity, key, slot))
        if change is None or not isinstance(merged, dict):
            return  # Counted as a frame too many, or as a wrong final state.
        if merged.get("_seq") != seq:
            self.differ("_seq", f"{where}: holds {merged.get('_seq')!r}")
        if seq != change.seq and not self.any_rank:
            self.differ("rank", f"{where}: expected {change.seq}")
        wrong = first_difference(spl_fold.nested(change.after), without_seq(merged))
        if wrong:
            self.differ("state", f"{where}: {wrong}")
        if op == "patch":
            for path in leaf_paths(without_seq(data)):
                if not any(path == due or path.startswith(due + ".") for due in change.patch):
                    self.differ("unchanged", f"{where}: {path} did not change in this slot")

    def finish(self, state):
        """Compares the counts and the merged final state."""
        for entity, key, slot in sorted(self.due.keys() | self.received.keys(), key=lambda k: (k[2], k[0], k[1])):
            due, got = int((entity, key, slot) in self.due), self.received[(entity, key, slot)]
            if due != got:
                self.differ("count", f"{entity}[{key}] in slot {slot}: {due} frames due, {got} received")
        for entity, rows in final_rows(state).items():
            held = {key: value for (e, key), value in self.held.items() if e == entity}
            for key in sorted(rows.keys() | held.keys()):
                due = rows[key]["data"] if key in rows else None
                got = without_seq(held[key]) if key in held else None
                wrong = first_difference(due, got)
                if wrong:
                    self.differ("final", f"{entity}[{key}] {wrong}")


def without_seq(value):
    return {k: v for k, v in value.items() if k != "_seq"} if isinstance(value, dict) else value


def compare(path, frame_files, to_slot=None, any_rank=False):
    """Judges the frames of the given files, one client's, as if they were one stream; returns the Judge."""
    state, changes = fold(path, to_slot)
    judge = Judge(changes, any_rank)
    for name in frame_files:
        with open(name, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    frame = json.loads(line)
                except ValueError as error:
                    raise ValueError(f"{name}:{number}: not JSON: {error}") from error
                if isinstance(frame, dict):
                    judge.take(frame)
    judge.finish(state)
    return judge


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["frames", "entities", "compare"])
    parser.add_argument("recording")
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--to-slot", type=int)
    parser.add_argument("--any-rank", action="store_true")
    options = parser.parse_args(argv[1:])
    try:
        if options.command == "compare":
            judge = compare(options.recording, options.paths, options.to_slot, options.any_rank)
            print(*judge.lines, sep="\n", end="\n" if judge.lines else "")
            total = sum(judge.differences.values())
            kinds = dict(judge.differences)
            print(f"{judge.frames} frames received, {len(judge.due)} due, {total} differences {kinds}")
            return 1 if total else 0
        state, changes = fold(options.recording, options.to_slot)
        if options.command == "frames":
            for change in changes:
                print(json.dumps(frame_due(change)))
        else:
            for entity, rows in final_rows(state).items():
                with open(os.path.join(options.paths[0], entity + ".jsonl"), "w", encoding="utf-8") as file:
                    for key, row in rows.items():
                        file.write(json.dumps({"key": key, **row}) + "\n")
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
