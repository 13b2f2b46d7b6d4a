#!/usr/bin/env python3
"""A killed server loses nothing: SIGKILL at seeded moments, each time the stream goes on exactly where the store stands, and the
end is the same as without a kill, in the store and at every client that followed through all of it. An orderly restart likewise."""

import itertools
import os
import random
import time
import unittest

import clients
import harness
from harness import OtherGeyser, Replay, Server

import counting
import places
import recording as oracle_recording

# The short form is for every run. The long one plays the whole recording at the chain's pace, 20 kills in 45 s:
# TEST_KILLS=20 TEST_SLOTS_PER_SECOND=2.5 TEST_RECORDING=spl ./kill_test.py
KILLS = int(os.environ.get("TEST_KILLS", "8"))
SLOTS_PER_SECOND = float(os.environ.get("TEST_SLOTS_PER_SECOND", "6"))
SEED = int(os.environ.get("TEST_SEED", "1"))
RECORDING = places.recording(os.environ.get("TEST_RECORDING", "spl-small"))
RESTARTS = 3


def finalized_slots(path):
    """Slots of the blocks that are finalized by the end of a recording: finality of a block is finality of its ancestors."""
    slots = [block.slot for block in oracle_recording.blocks(path)]
    statuses = [oracle_recording.fields(oracle_recording.one(u, 3, b"")) for u in oracle_recording.messages(path) if 3 in u]
    last = max(oracle_recording.one(s, 1, 0) for s in statuses if oracle_recording.one(s, 3, 0) == oracle_recording.FINALIZED)
    return [slot for slot in slots if slot <= last]


class KillTest(harness.EndToEndTest):
    def replay(self, replay_slots=30):
        return self.start(Replay(RECORDING, options=[*self.pace(replay_slots), "--wait-subscribers", "2"]))

    def other_geyser(self, path, replay_slots=30):
        return self.start(OtherGeyser(path, options=[*self.pace(replay_slots), "--start-on-subscribers", "2"]))

    def pace(self, replay_slots):
        self.slots_per_second = harness.pace(SLOTS_PER_SECOND, 2)  # most kills shall hit another slot
        return ["--slots-per-second", f"{self.slots_per_second:.2f}", "--replay-slots", str(replay_slots)]

    def uninterrupted(self, provider, last, options=()):
        data = self.folder / "uninterrupted"
        server = self.start(Server(provider.endpoint, data, options).listening())
        server.wait_for_slot(last)
        self.assertEqual(server.stop(), 0)
        provider.stop()
        return data

    def serve(self, provider, options=()):
        """A server that comes back on the same port, and its clients; the provider begins when all of them are there."""
        self.data, self.port = self.folder / "killed", harness.quiet_port()
        server = self.start(Server(provider.endpoint, self.data, options, port=self.port).listening())
        self.clients = clients.follow(self, server.url)
        self.wait_for_clients(server)
        harness.wait_for("the subscription", lambda: len(provider.subscribes()) == 1)
        # The provider waits for a second subscriber, which has done its part when the stream has begun.
        other = self.start(Server(provider.endpoint, self.folder / "other", options).listening())
        harness.wait_for("the beginning of the stream", lambda: server.status()["newest_slot"] is not None)
        other.kill()
        return server

    def wait_for_clients(self, server):
        sessions = sum(client.sessions for client in self.clients)
        harness.wait_for("every client's session", lambda: server.status().get("fanout", {"sessions": 0})["sessions"] >= sessions)

    def kill_and_start(self, provider, server, options, resumed_at):
        subscribes = 2 + len(resumed_at)
        harness.wait_for("the subscription to be there", lambda: len(provider.subscribes()) >= subscribes)
        server.kill()
        report = harness.inspect(self.data) if (self.data / "current").exists() else {"watermark": None}
        expected = report["watermark"]["slot"] if report["watermark"] else -1
        resumed_at.append(expected)
        server = self.start(Server(provider.endpoint, self.data, options, port=self.port).listening())
        harness.wait_for("the next subscription", lambda: len(provider.subscribes()) > subscribes)
        self.assertEqual(provider.subscribes()[subscribes], expected, "the stream must go on at the store's watermark")
        return server

    def check_kills(self, provider, seconds, last, wanted, options=()):
        """Kills the server over so many seconds; at `last` it must have what the store `wanted` has."""
        randomness = random.Random(SEED)
        moments = sorted(randomness.uniform(0.3, seconds) for _ in range(KILLS))
        resumed_at = []
        server = self.serve(provider, options)
        # A server that is killed before its first block has nothing to resume: it begins anew where the stream then is.
        harness.wait_for("the first block", lambda: server.status()["watermark"] is not None)
        begin = time.monotonic()
        # However long a start takes, a server lives as long as was drawn.
        for before, moment in itertools.pairwise([0.0, *moments]):
            time.sleep(moment - before)
            server = self.kill_and_start(provider, server, options, resumed_at)
        print(f"{KILLS} kills in {time.monotonic() - begin:.1f} s, resumed at {len(set(resumed_at))} distinct slots: {resumed_at}")
        self.check_all_hold_the_end(server, last, wanted)
        self.assertGreaterEqual(len(set(resumed_at)), 15 if KILLS >= 20 else KILLS // 2)

    def check_all_hold_the_end(self, server, last, wanted):
        server.wait_for_slot(last)
        self.wait_for_clients(server)
        expected = clients.stored(self.data)
        clients.check_converged(self, self.clients, expected)
        self.assertEqual(server.stop(), 0)
        report = harness.inspect(self.data)
        print(f"watermark {report['watermark']['slot']}, gaps {report['gaps']}, digest {harness.digest(self.data)}")
        self.assertEqual(report["gaps"], [])
        self.assertEqual(report["watermark"]["slot"], last)
        self.assertEqual(clients.stored(self.data), expected)
        self.assertEqual(harness.digest(self.data), harness.digest(wanted))

    def check_oracle(self, data, path, last):
        """The store holds what the recording means up to this slot, cursors included."""
        state, _ = counting.fold(path, last)
        for entity, due in counting.final_rows(state).items():
            held = clients.stored(data)[f"{entity}/list"]
            self.assertEqual(held.keys(), due.keys())
            for key, row in due.items():
                self.assertEqual(held[key]["_seq"], row["seq"], key)
                self.assertIsNone(counting.first_difference(row["data"], counting.without_seq(held[key])), key)
            print(f"{entity}: {len(due)} entities as the oracle folds them up to slot {last}")

    def test_kills_lose_nothing(self):
        slots = [block.slot for block in oracle_recording.blocks(RECORDING)]
        wanted = self.uninterrupted(self.start(Replay(RECORDING, options=["--slots-per-second", "max"])), slots[-1])
        provider = self.replay()
        self.check_kills(provider, (slots[-1] - slots[0]) / self.slots_per_second - 2, slots[-1], wanted)

    @harness.needs_geyser
    def test_kills_lose_nothing_with_another_geyser(self):
        slots = [block.slot for block in oracle_recording.blocks(RECORDING)]
        wanted = self.uninterrupted(self.start(OtherGeyser(RECORDING)), slots[-1])
        provider = self.other_geyser(RECORDING)
        self.check_kills(provider, (slots[-1] - slots[0]) / self.slots_per_second - 2, slots[-1], wanted)

    @harness.needs_geyser
    @unittest.skipUnless(places.recording("spl"), "spl.updates is not here")
    def test_kills_lose_nothing_at_finalized(self):
        """Our replay has no finalized feed. A finalized watermark lies 31 slots behind the tip, so the stream must reach back farther."""
        path, options = places.recording("spl"), ["--commitment", "finalized"]
        slots = finalized_slots(path)
        self.assertEqual(slots[-1], 398210086)
        wanted = self.uninterrupted(self.start(OtherGeyser(path)), slots[-1], options)
        self.assertEqual(harness.inspect(wanted)["watermark"]["slot"], slots[-1])
        self.assertEqual(harness.inspect(wanted)["gaps"], [])
        self.check_oracle(wanted, path, slots[-1])
        provider = self.other_geyser(path, replay_slots=150)
        self.check_kills(provider, (slots[-1] - slots[0]) / self.slots_per_second - 2, slots[-1], wanted, options)
        self.check_oracle(self.data, path, slots[-1])

    def test_an_orderly_restart_loses_nothing(self):
        slots = [block.slot for block in oracle_recording.blocks(RECORDING)]
        wanted = self.uninterrupted(self.start(Replay(RECORDING, options=["--slots-per-second", "max"])), slots[-1])
        provider = self.replay()
        server = self.serve(provider)
        step = (slots[-1] - slots[0]) // (RESTARTS + 1)
        for number in range(1, RESTARTS + 1):
            server.wait_for_slot(slots[0] + number * step)
            # Only a client that is connected can be told; the npm client takes a second to come back.
            self.wait_for_clients(server)
            self.assertEqual(server.stop(), 0)
            server = self.start(Server(provider.endpoint, self.data, port=self.port).listening())
        raw, watch = self.clients[:2]
        self.check_all_hold_the_end(server, slots[-1], wanted)
        self.assertEqual(raw.codes[1012], RESTARTS, raw.codes)
        self.assertEqual([code for code in raw.codes if code not in (1012, "no connection")], [])
        for process in watch.processes.values():
            self.assertEqual(sum("close code 1012" in line for line in process.lines), RESTARTS, process.lines[-5:])


if __name__ == "__main__":
    unittest.main(verbosity=2)
