#!/usr/bin/env python3
"""The demo, served: it ends as the chain did that executed it, and goes on making sense when the recording goes round."""

import json
import pathlib
import unittest

import harness
from harness import Replay, Server

import demo_fold
import entities
import looped
import places
import recording as oracle_recording

STACK = harness.TESTS / "stacks" / "Demo.stack.json"
PASSES = 2


class DemoTest(harness.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.path = places.recording("demo")
        self.chain = json.loads(pathlib.Path(places.expected("demo.accounts.json")).read_text())
        self.blocks = oracle_recording.blocks(self.path)

    def fold(self, blocks):
        state = demo_fold.Fold(self.chain)
        for block in blocks:
            state.block(block)
        return state.entities()

    def serve(self, *replay_options):
        replay = self.start(Replay(self.path, options=replay_options))
        return self.start(Server(replay.endpoint, self.folder / "data", stack=STACK).listening())

    def held(self):
        found = {}
        for entity in demo_fold.UI_AMOUNTS:
            file = self.folder / f"{entity}.jsonl"
            file.write_text(harness.run("inspect", "--data", self.folder / "data", "--view", f"{entity}/list"))
            found[entity] = entities.read_rows(str(file))
        return found

    def check(self, expected, held):
        report = entities.compare(expected, held)
        entities.print_report(report)
        self.assertEqual(report.differences, [])

    def test_once(self):
        server = self.serve("--slots-per-second", "max")
        server.wait_for_slot(self.blocks[-1].slot)
        self.assertEqual(server.stop(), 0)
        self.assertEqual(harness.inspect(self.folder / "data")["gaps"], [])
        held = self.held()
        self.check(self.fold(self.blocks), held)
        for mint, row in held["Token"].items():
            self.assertEqual(int(row["supply"]["raw"]), int(self.chain["mints"][mint]["supply"]))
        for address, row in held["Holder"].items():
            due = self.chain["tokens"].get(address, {"amount": 0})
            self.assertEqual(row["about"]["state"], "open" if address in self.chain["tokens"] else "closed")
            self.assertEqual(int(row["balance"]["raw"]), int(due["amount"]))

    def test_in_a_loop(self):
        server = self.serve("--slots-per-second", "200", "--loop")
        span = self.blocks[-1].slot - self.blocks[0].slot + 1
        server.wait_for_slot(self.blocks[0].slot + PASSES * span)
        self.assertEqual(server.stop(), 0)
        found = harness.inspect(self.folder / "data")
        self.assertEqual(found["gaps"], [])
        blocks = []
        for block in looped.blocks(self.path):
            if block.slot > found["watermark"]["slot"]:
                break
            blocks.append(block)
        self.assertGreater(len(blocks), PASSES * len(self.blocks))
        self.check(self.fold(blocks), self.held())


if __name__ == "__main__":
    unittest.main(verbosity=2)
