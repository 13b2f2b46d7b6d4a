#!/usr/bin/env python3
"""The page in a real Chromium against a real server ends with the state that the store has."""

import json
import os
import pathlib
import shutil
import subprocess
import unittest

import harness
from harness import Process, Replay, Server

import places
import recording as oracle_recording

SHOTS = os.environ.get("TEST_SHOTS")
NPM_ROOT = pathlib.Path(os.environ.get("TEST_NPM_ROOT", harness.HERE))
NODE = NPM_ROOT / "node_modules" / "node" / "bin" / "node"
CHROMIUM = os.environ.get("TEST_CHROMIUM") or shutil.which("chromium")
PAGE_TEST = harness.TESTS / "web" / "page_test.mjs"


@unittest.skipUnless(CHROMIUM, "chromium is not installed")
@unittest.skipUnless(NODE.exists(), "the pinned npm packages are not installed")
class PageTest(harness.EndToEndTest):
    ENVIRONMENT = {**os.environ, "TEST_NPM_ROOT": str(NPM_ROOT), "TEST_CHROMIUM": str(CHROMIUM)}

    def check_page(self, server, *arguments):
        command = [NODE, PAGE_TEST, server.http + "/", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=self.ENVIRONMENT)
        print(done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def shots(self, name):
        """Pictures at two widths, light and dark, in a folder of TEST_SHOTS when that is set."""
        return ["--shots", pathlib.Path(SHOTS) / name] if SHOTS else []

    def test_page_ends_with_the_state(self):
        path = places.recording("spl-small")
        replay = self.start(Replay(path, options=["--slots-per-second", "20"]))
        server = self.start(Server(replay.endpoint, self.folder / "data").listening())
        server.wait_for_slot(harness.last_slot(path))
        dumps = harness.dump_views(self.folder / "data", self.folder)
        self.check_page(server, dumps["TokenMint"], "--view", "TokenMint/list", *self.shots("end"))
        self.check_page(server, dumps["TokenAccount"], "--view", "TokenAccount/append")
        # A State view has one entity, whichever was asked for.
        line = pathlib.Path(dumps["TokenAccount"]).read_text().splitlines()[7]
        alone = self.folder / "alone.jsonl"
        alone.write_text(line + "\n")
        self.check_page(server, alone, "--view", "TokenAccount/state", "--key", json.loads(line)["key"])
        self.assertEqual(server.stop(), 0)

    def test_page_stays_open_through_a_kill_and_a_rewind(self):
        path = places.recording("spl-small")
        slots = [block.slot for block in oracle_recording.blocks(path)]
        replay = self.start(Replay(path, options=["--slots-per-second", "max"]))
        server = self.start(Server(replay.endpoint, self.folder / "uninterrupted").listening())
        server.wait_for_slot(slots[-1])
        self.assertEqual(server.stop(), 0)
        expected = harness.dump_views(self.folder / "uninterrupted", self.folder)["TokenAccount"]

        # The stream begins with the second subscriber, when the page is there.
        replay = self.start(Replay(path, options=["--slots-per-second", "4", "--wait-subscribers", "2"]))
        data, port = self.folder / "data", harness.quiet_port()
        options = ("--checkpoint-every", "1slots", "--checkpoints-keep", "1000")
        server = self.start(Server(replay.endpoint, data, options, port=port).listening())
        page_test = (NODE, PAGE_TEST, server.http + "/", expected, "--view", "TokenAccount/list", "--interrupted", "--seconds", "120")
        page = self.start(Process(*page_test, name="page", env=self.ENVIRONMENT))
        harness.wait_for("the page to follow the view", lambda: server.status().get("fanout", {}).get("subscriptions") == 1)
        self.start(Server(replay.endpoint, self.folder / "second"))
        server.wait_for_slot(slots[5])
        harness.wait_for("a checkpoint", lambda: harness.inspect(data)["checkpoints"])
        self.assertTrue(page.running())
        server.kill()
        back_to = harness.inspect(data)["checkpoints"][0]["slot"]
        server = self.start(Server(replay.endpoint, data, (*options, "--resume-from", str(back_to)), port=port).listening())
        server.line(r"rewound: generation 2 serves")
        self.assertEqual(page.wait(), 0, "\n".join(page.lines))
        self.assertEqual(server.status()["watermark"]["slot"], slots[-1])
        self.assertEqual(server.stop(), 0)

    def test_page_under_load(self):
        """Every row changes several times a second: the page stays live and complains about nothing."""
        for view in ("TokenMint/list", "TokenAccount/list"):
            replay = self.start(Replay(places.recording("spl-small"), options=["--slots-per-second", "50", "--loop"]))
            server = self.start(Server(replay.endpoint, self.folder / view.split("/")[0]).ready())
            server.wait_for_slot(server.status()["newest_slot"] + 100)
            self.check_page(server, "--view", view, *self.shots(view.split("/")[0]))
            self.assertEqual(server.stop(), 0)
            replay.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
