"""The judge of a looped recording finds nothing wrong in the frames that are due, and every fault that is put in."""

import itertools
import json
import os
import tempfile
import unittest

import counting
import looped
import places
import recording
import spl_fold

PATH = places.recording("spl-small")
LOOK = 398210040  # in the second pass
PASSES = 3
ENTITY = "TokenAccount"


def lines(entity, look, to_slot):
    """What a right server sends to one that subscribes at `look`."""
    state, live = spl_fold.Fold(), []
    rows = None
    for block in looped.blocks(PATH):
        if block.slot > to_slot:
            break
        if block.slot > look and rows is None:
            rows = [{"key": k, "data": {**row["data"], "_seq": row["seq"]}} for k, row in counting.final_rows(state)[entity].items()]
            rows = json.loads(json.dumps(rows))
        changes = [c for c in state.block(block) if c.entity == entity]
        live += [{"op": "patch", "entity": f"{entity}/list", **frame(change)} for change in changes if block.slot > look]
    half = len(rows) // 2
    snapshot = [{"op": "snapshot", "data": part, "complete": part is not rows[:half]} for part in (rows[:half], rows[half:])]
    snapshot[0]["complete"] = False
    return [{"op": "subscribed", "view": f"{entity}/list"}, *snapshot, *json.loads(json.dumps(live))]


def frame(change):
    due = counting.frame_due(change)
    return {"key": due["key"], "seq": due["seq"], "append": due["append"], "data": {**due["patch"], "_seq": due["seq"]}}


class LoopedTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.to_slot = list(itertools.islice((b.slot for b in looped.blocks(PATH)), 30 * PASSES))[-1]
        cls.lines = lines(ENTITY, LOOK, cls.to_slot)

    def judge(self, frames):
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "frames.jsonl")
            with open(file, "w", encoding="utf-8") as out:
                out.writelines(json.dumps(f) + "\n" for f in frames)
            return looped.compare(PATH, [file], self.to_slot)[0]

    def test_what_is_due_has_no_difference(self):
        judge = self.judge(self.lines)
        self.assertEqual(dict(judge.differences), {}, judge.lines)
        self.assertEqual(judge.frames, judge.due_total)
        self.assertGreater(judge.frames, 500)

    def test_faults_are_found(self):
        at = len(self.lines) - 100
        without = self.lines[:at] + self.lines[at + 1 :]
        self.assertEqual(self.judge(without).differences["count"], 1)
        twice = self.lines[: at + 1] + self.lines[at:]
        self.assertEqual(self.judge(twice).differences["count"], 1)
        stale = json.loads(json.dumps(self.lines))
        stale[1]["data"][0]["data"]["state"]["amount"] = -1
        self.assertEqual(self.judge(stale).differences["snapshot"], 1)
        late = json.loads(json.dumps(self.lines))
        late.append({**late[-1], "seq": f"{self.to_slot + 1}:000000000001"})
        self.assertEqual(self.judge(late).differences["count"], 1)

    def test_passes_differ_in_slots_times_and_signatures_only(self):
        blocks = list(itertools.islice(looped.blocks(PATH), 61))
        self.assertEqual([blocks[30].slot - blocks[0].slot, blocks[60].slot - blocks[0].slot], [31, 62])
        self.assertGreater(blocks[30].time, blocks[29].time)
        signatures = [{t.signature for block in blocks[i : i + 30] for t in block.transactions.values()} for i in (0, 30)]
        self.assertEqual(len(signatures[0]), len(signatures[1]))
        self.assertEqual(signatures[0] & signatures[1], set())
        some = next(iter(signatures[0]))
        self.assertEqual(looped.moved_signature(looped.moved_signature(some, 7), 7), some)
        self.assertEqual(recording.base58(looped.base58_bytes(some, 64)), some)


if __name__ == "__main__":
    unittest.main()
