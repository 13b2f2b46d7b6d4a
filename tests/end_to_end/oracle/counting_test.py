"""Tests of the counting judge: its fold against other decoders' values, its comparison against faults put in."""

import contextlib
import io
import json
import os
import random
import tempfile
import unittest

import counting
import entities
import places
import recording
import spl_fold


def ranked_frames(changes):
    """A right client's messages for the given changes."""
    messages = [{"op": "subscribed", "view": "TokenMint/list", "mode": "list"}]
    messages.append({"mode": "list", "entity": "TokenMint/list", "op": "snapshot", "data": [], "complete": True})
    for change in changes:
        frame = {"mode": "list", "entity": change.entity + "/list", "op": "patch", "key": change.key}
        frame["data"] = {**spl_fold.nested(change.patch), "_seq": change.seq}
        if change.append:
            frame["append"] = change.append
        messages.append({**frame, "seq": change.seq})
    return json.loads(json.dumps(messages))


class StackTest(unittest.TestCase):
    def test_the_fold_is_of_this_stack(self):
        path = places.stack("SplStream")
        if path is None:
            self.skipTest("SplStream.stack.json is not in this checkout")
        with open(path, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["content_hash"], spl_fold.STACK_HASH)


class SplCase(unittest.TestCase):
    NAME = "spl-small"

    @classmethod
    def setUpClass(cls):
        cls.path = places.recording(cls.NAME)
        if cls.path is None:
            raise unittest.SkipTest(f"{cls.NAME}.updates is not in this checkout")
        cls.state, cls.changes = counting.fold(cls.path)


class FoldTest(SplCase):
    def held(self, state):
        return {e: {k: row["data"] for k, row in rows.items()} for e, rows in counting.final_rows(state).items()}

    def expected(self, name):
        path = places.expected(name)
        if path is None:
            self.skipTest(f"{name} is not in this checkout")
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file] if name.endswith(".jsonl") else json.load(file)

    def test_final_entities_are_those_expected(self):
        report = entities.compare(self.expected(self.NAME + ".entities.json"), self.held(self.state))
        self.assertEqual(report.differences, [])
        self.assertEqual(report.leaves_compared, report.leaves_expected)

    def test_merging_all_frames_gives_the_final_entities(self):
        merged = {}
        for change in self.changes:
            at = (change.entity, change.key)
            merged[at] = counting.merge(merged.get(at, {}), spl_fold.nested(change.patch), change.append)
        for entity, rows in self.held(self.state).items():
            for key, row in rows.items():
                self.assertIsNone(counting.first_difference(row, merged[(entity, key)]))

    def test_cursors_are_dense_within_a_slot(self):
        ranks = {}
        for change in self.changes:
            ranks.setdefault(change.slot, []).append(change.index)
        for found in ranks.values():
            self.assertEqual(found, list(range(1, len(found) + 1)))


class WholeFoldTest(FoldTest):
    NAME = "spl"

    def test_first_blocks_are_the_small_recording(self):
        state = spl_fold.Fold()
        for block in recording.blocks(self.path)[:30]:
            state.block(block)
        report = entities.compare(self.expected("spl-small.entities.json"), self.held(state))
        self.assertEqual(report.differences, [])

    def test_instructions_and_accounts_decode_as_elsewhere(self):
        known = {name[0].lower() + name[1:] for name, _, _ in spl_fold.INSTRUCTIONS.values()}
        due, found = {}, {}
        for value in self.expected("spl.jsonl"):
            if value["kind"] == "instruction" and value["program"] == "token" and value["name"] in known:
                at = (int(value["slot"]), value["txIndex"], tuple(value["path"]))
                due[at] = (value["name"], value["failed"], value["args"].get("amount"), value["accounts"])
            elif value["kind"] == "account" and value.get("program") == "token":
                at = (int(value["slot"]), value["pubkey"])
                due[at] = (value["data"].get("amount"), value["data"].get("supply"), value["data"].get("owner"))
        for block in recording.blocks(self.path):
            for transaction in block.transactions.values():
                for instruction in transaction.instructions:
                    decoded = spl_fold.decode_instruction(instruction.data)
                    if instruction.program != spl_fold.TOKEN or decoded is None:
                        continue
                    name, names, args = decoded
                    at = (block.slot, transaction.index, instruction.path)
                    due_name, due_failed, due_amount, due_accounts = due.pop(at)
                    self.assertEqual(name[0].lower() + name[1:], due_name)
                    self.assertEqual(transaction.failed, due_failed)
                    self.assertEqual(None if due_amount is None else int(due_amount), args.get("amount"))
                    ours = dict(zip(names, instruction.accounts))
                    for role in ("source", "destination", "mint", "authority", "owned", "account"):
                        self.assertEqual(ours.get(role), due_accounts.get(role), (at, role))
            for write in block.accounts.values():
                if write.owner == spl_fold.TOKEN and write.lamports:
                    found[(block.slot, write.pubkey)] = write
        for (_, pubkey), (amount, supply, owner) in due.items():
            write = found[(_, pubkey)]
            if amount is not None:
                token = spl_fold.decode_token(write.data)
                self.assertEqual((str(token["amount"]), token["owner"]), (amount, owner))
            elif supply is not None:
                self.assertEqual(str(spl_fold.decode_mint(write.data)["supply"]), supply)
        self.assertEqual(len(due), len(found))


class CompareTest(SplCase):
    def judge(self, messages, *options):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "frames.jsonl")
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(json.dumps(m) + "\n" for m in messages)
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                code = counting.main(["counting.py", "compare", self.path, path, *options])
            return code, out.getvalue()

    def wrong(self, messages, kind):
        code, text = self.judge(messages)
        self.assertEqual(code, 1, text)
        self.assertIn(f"{kind}: ", text)

    def setUp(self):
        self.messages = ranked_frames(self.changes)
        self.random = random.Random(7)
        self.frames = range(2, len(self.messages))

    def test_right_frames(self):
        code, text = self.judge(self.messages)
        self.assertEqual(code, 0, text)
        self.assertIn(f"{len(self.changes)} frames received, {len(self.changes)} due, 0 differences", text)

    def test_full_upserts_are_right_too(self):
        for at, change in zip(self.frames, self.changes):
            data = {**spl_fold.nested(change.after), "_seq": change.seq}
            self.messages[at].update(op="upsert", data=data)
            self.messages[at].pop("append", None)
        code, text = self.judge(self.messages)
        self.assertEqual(code, 0, text)

    def test_a_frame_left_out(self):
        del self.messages[self.random.choice(self.frames)]
        self.wrong(self.messages, "count")

    def test_a_frame_twice(self):
        at = self.random.choice(self.frames)
        self.messages.insert(at, self.messages[at])
        self.wrong(self.messages, "count")

    def test_an_append_twice(self):
        at = next(i for i in self.frames if "append" in self.messages[i])
        self.messages[at]["data"]["transfers"] *= 2
        self.wrong(self.messages, "state")
        self.wrong(self.messages, "final")

    def test_a_wrong_value(self):
        at = next(i for i in self.frames if "raw" in self.messages[i]["data"])
        self.messages[at]["data"]["raw"]["timestamp"] += 1
        self.wrong(self.messages, "state")

    def test_two_frames_swapped(self):
        at = next(i for i in self.frames if self.messages[i]["entity"] == self.messages[i + 1]["entity"])
        self.messages[at : at + 2] = reversed(self.messages[at : at + 2])
        self.wrong(self.messages, "order")

    def test_a_field_that_did_not_change(self):
        at = next(i for i in self.frames if self.messages[i]["key"] in [m.get("key") for m in self.messages[2:i]])
        key, entity = self.messages[at]["key"], self.messages[at]["entity"]
        self.messages[at]["data"]["id"] = {"mint" if entity == "TokenMint/list" else "address": key}
        self.wrong(self.messages, "unchanged")

    def test_nulls_that_were_never_set_are_no_fault(self):
        at = next(i for i in self.frames if "id" in self.messages[i]["data"])
        self.messages[at]["data"]["never_set"] = None
        self.assertEqual(self.judge(self.messages)[0], 0)

    def test_another_rank(self):
        for message in self.messages[2:]:
            slot, rank = message["seq"].split(":")
            message["seq"] = message["data"]["_seq"] = f"{slot}:{int(rank) + 1:012d}"
        self.wrong(self.messages, "rank")
        code, text = self.judge(self.messages, "--any-rank")
        self.assertEqual(code, 0, text)

    def test_end_at_a_slot(self):
        slot = self.changes[len(self.changes) // 2].slot
        kept = [m for m in self.messages if int(m.get("seq", "0:0").split(":")[0]) <= slot]
        code, text = self.judge(kept, "--to-slot", str(slot))
        self.assertEqual(code, 0, text)

    def test_rows_in_the_snapshot_and_deletes(self):
        self.messages[1]["data"] = [{"key": "a", "data": {}}]
        self.wrong(self.messages, "snapshot")
        self.messages.append({"entity": "TokenMint/list", "op": "delete", "key": "a", "data": None, "seq": "1:1"})
        self.wrong(self.messages, "op")


if __name__ == "__main__":
    unittest.main()
