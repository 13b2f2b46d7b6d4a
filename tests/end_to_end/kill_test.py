#!/usr/bin/env python3
"""A killed server loses nothing: SIGKILL at seeded moments, each time the stream goes on exactly where the store stands, and the
end is the same as without a kill."""

import os
import random
import time
import unittest

import harness
from harness import Replay, Server

import places
import recording as oracle_recording

# The short form is for every run. The long one plays the whole recording at the chain's pace, 20 kills in 45 s, also against another
# Geyser server: EVERSTATE_KILLS=20 EVERSTATE_SLOTS_PER_SECOND=2.5 EVERSTATE_RECORDING=spl EVERSTATE_GEYSER=PROGRAM ./kill_test.py
KILLS = int(os.environ.get("EVERSTATE_KILLS", "8"))
SLOTS_PER_SECOND = float(os.environ.get("EVERSTATE_SLOTS_PER_SECOND", "6"))
SEED = int(os.environ.get("EVERSTATE_SEED", "1"))


class KillTest(harness.EndToEndTest):
    def uninterrupted(self, path, last, options=()):
        replay = self.start(Replay(path, options=["--slots-per-second", "max"]))
        server = self.start(Server(replay.endpoint, self.folder / "uninterrupted", options).listening())
        server.wait_for_slot(last)
        self.assertEqual(server.stop(), 0)
        replay.stop()
        return harness.digest(self.folder / "uninterrupted")

    def test_kills_lose_nothing(self):
        path = places.recording(os.environ.get("EVERSTATE_RECORDING", "spl-small"))
        slots = [block.slot for block in oracle_recording.blocks(path)]
        wanted = self.uninterrupted(path, slots[-1])

        randomness = random.Random(SEED)
        replay = self.start(harness.provider(path, SLOTS_PER_SECOND, 30))
        seconds = (slots[-1] - slots[0]) / SLOTS_PER_SECOND - 2
        moments = sorted(randomness.uniform(0.3, seconds) for _ in range(KILLS))
        data = self.folder / "killed"
        resumed_at = []
        server = self.start(Server(replay.endpoint, data).listening())
        # A server that is killed before its first block has nothing to resume: it begins anew where the stream then is.
        harness.wait_for("the first block", lambda: server.status()["watermark"] is not None)
        begin = time.monotonic()
        for moment in moments:
            time.sleep(max(0.0, begin + moment - time.monotonic()))
            harness.wait_for("the subscription to be there", lambda: len(replay.subscribes()) > len(resumed_at))
            server.kill()
            report = harness.inspect(data) if (data / "current").exists() else {"watermark": None}
            expected = report["watermark"]["slot"] if report["watermark"] else -1
            resumed_at.append(expected)
            server = self.start(Server(replay.endpoint, data).listening())
            harness.wait_for("the next subscription", lambda: len(replay.subscribes()) > len(resumed_at))
            self.assertEqual(replay.subscribes()[len(resumed_at)], expected, "the stream must go on at the store's watermark")
        server.wait_for_slot(slots[-1])
        self.assertEqual(server.stop(), 0)

        print(f"{KILLS} kills, resumed at {len(set(resumed_at))} distinct slots: {resumed_at}")
        report = harness.inspect(data)
        self.assertEqual(report["gaps"], [])
        self.assertEqual(report["watermark"]["slot"], slots[-1])
        self.assertEqual(harness.digest(data), wanted)
        self.assertGreaterEqual(len(set(resumed_at)), 15 if KILLS >= 20 else KILLS // 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
