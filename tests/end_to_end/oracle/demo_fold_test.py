"""Tests of the demo: its recording tells the story that it should, and its fold ends as the chain did that executed it."""

import hashlib
import itertools
import json
import os
import re
import unittest

import demo_fold
import looped
import places
import recording

DEAD = 6
SUMS = {f"{section}.tokens_raw" for section in ("minted", "burned", "transfers", "sent", "received", "total")}


class DemoCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = places.recording("demo")
        with open(places.expected("demo.accounts.json"), encoding="utf-8") as file:
            cls.chain = json.load(file)
        cls.blocks = recording.blocks(cls.path)

    def fold(self, blocks):
        state = demo_fold.Fold(self.chain)
        for block in blocks:
            state.block(block)
        return state


class StackTest(unittest.TestCase):
    def test_content_hash(self):
        with open(places.stack("Demo"), encoding="utf-8") as file:
            stack = json.load(file)
        content_hash = stack.pop("content_hash")
        text = json.dumps(stack, separators=(",", ":"), ensure_ascii=False)
        self.assertEqual(hashlib.sha256(text.encode()).hexdigest(), content_hash)


class StoryTest(DemoCase):
    def test_what_happens(self):
        transactions = [t for block in self.blocks for t in block.transactions.values()]
        self.assertGreater(sum(t.failed for t in transactions), 5)
        self.assertGreater(len(transactions), 300)
        slots = [block.slot for block in self.blocks]
        self.assertLess(len(slots), slots[-1] - slots[0] + 1)
        statuses = [recording.fields(update[3][0]) for update in recording.messages(self.path) if 3 in update]
        dead = {status[1][0] for status in statuses if recording.one(status, 3, 0) == DEAD}
        self.assertTrue(dead)
        self.assertFalse(dead & set(slots))

    def test_the_holder_that_dev_names(self):
        with open(os.path.join(os.path.dirname(places.TESTS), "dev"), encoding="utf-8") as file:
            (key,) = re.findall(r"Holder/list --key (\w+)", file.read())
        row = self.fold(self.blocks).rows["Holder"][key]
        self.assertEqual((row["about.who"], row["about.token"]), ("Bakery", "CROWN"))

    def test_ends_as_the_chain(self):
        state = self.fold(self.blocks)
        supplies = {mint: row["supply.raw"] for mint, row in state.rows["Token"].items()}
        self.assertEqual(supplies, {mint: int(m["supply"]) for mint, m in self.chain["mints"].items() if mint in self.chain["named"]})
        open_accounts = {key: row for key, row in state.rows["Holder"].items() if row["about.state"] == "open"}
        balances = {key: (row["id.mint"], row["id.owner"], row["balance.raw"]) for key, row in open_accounts.items()}
        self.assertEqual(balances, {key: (t["mint"], t["owner"], int(t["amount"])) for key, t in self.chain["tokens"].items()})
        closed = [row for row in state.rows["Holder"].values() if row["about.state"] == "closed"]
        self.assertGreater(len(closed), 10)
        self.assertEqual({row["balance.raw"] for row in closed}, {0})

    def test_every_token_account_is_seen_within_five_seconds(self):
        state = self.fold(block for block in self.blocks if block.slot < self.blocks[0].slot + 13)
        self.assertEqual(state.rows["Holder"].keys(), self.chain["tokens"].keys())

    def test_second_pass_ends_like_the_first(self):
        once = self.fold(self.blocks).rows
        twice = self.fold(itertools.islice(looped.blocks(self.path), 2 * len(self.blocks))).rows
        for entity, rows in once.items():
            self.assertEqual(rows.keys(), twice[entity].keys())
            for key, row in rows.items():
                for path, value in row.items():
                    again = twice[entity][key][path]
                    if path.endswith(".count") or path in SUMS:
                        self.assertEqual(again, 2 * value, f"{entity}[{key}].{path}")
                    elif path in demo_fold.LISTS:
                        self.assertEqual(len(again), 2 * len(value), f"{entity}[{key}].{path}")
                    elif not path.endswith((".slot", ".time", "_slot")):
                        self.assertEqual(again, value, f"{entity}[{key}].{path}")


if __name__ == "__main__":
    unittest.main()
