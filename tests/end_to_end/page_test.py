#!/usr/bin/env python3
"""The page in a real Chromium against a real server ends with the state that the store has."""

import os
import pathlib
import shutil
import subprocess
import unittest

import harness
from harness import Replay, Server

import places
import recording as oracle_recording

SHOTS = os.environ.get("EVERSTATE_SHOTS")
NPM_ROOT = pathlib.Path(os.environ.get("EVERSTATE_NPM_ROOT", harness.HERE))
NODE = NPM_ROOT / "node_modules" / "node" / "bin" / "node"


@unittest.skipUnless(shutil.which("chromium"), "chromium is not installed")
@unittest.skipUnless(NODE.exists(), "the pinned npm packages are not installed")
class PageTest(harness.EndToEndTest):
    def test_page_ends_with_the_state(self):
        path = places.recording("spl-small")
        replay = self.start(Replay(path, options=["--slots-per-second", "20"]))
        server = self.start(Server(replay.endpoint, self.folder / "data").listening())
        server.wait_for_slot([block.slot for block in oracle_recording.blocks(path)][-1])
        expected = harness.dump_views(self.folder / "data", self.folder)["TokenMint"]
        shots = ["--shots", SHOTS] if SHOTS else []
        done = subprocess.run([NODE, harness.TESTS / "web" / "page_test.mjs", server.http + "/", expected, *shots], capture_output=True, text=True, timeout=300,
                              env={**os.environ, "EVERSTATE_NPM_ROOT": str(NPM_ROOT)})
        print(done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
