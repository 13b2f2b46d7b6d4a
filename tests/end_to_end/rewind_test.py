#!/usr/bin/env python3
"""Rewinds: from a checkpoint a server comes to the state that it would have had anyway, whatever happens on the way, and what it
leaves behind stays as it was."""

import json
import os
import random
import shutil
import time
import unittest

import harness
from harness import OtherGeyser, Replay, Server

import counting
import places
import raw_ws
import recording as oracle_recording

# The short form is for every run. The long one plays spl.updates at the chain's pace:
# TEST_RECORDING=spl TEST_SLOTS_PER_SECOND=2.5 TEST_REPLAY_SLOTS=30 TEST_KILLS=20 ./rewind_test.py
RECORDING = places.recording(os.environ.get("TEST_RECORDING", "spl-small"))
SLOTS_PER_SECOND = float(os.environ.get("TEST_SLOTS_PER_SECOND", "2"))
REPLAY_SLOTS = int(os.environ.get("TEST_REPLAY_SLOTS", "8"))
KILLS = int(os.environ.get("TEST_KILLS", "6"))
SEED = int(os.environ.get("TEST_SEED", "1"))
SLOTS = [block.slot for block in oracle_recording.blocks(RECORDING)]


def at(fraction):
    """The slot that far into the recording."""
    return SLOTS[int(fraction * (len(SLOTS) - 1))]


def checkpoints(data):
    return harness.inspect(data)["checkpoints"]


def copy_checkpoint(checkpoint, data, to):
    (to / "checkpoints").mkdir(parents=True)
    shutil.copytree(data / "checkpoints" / checkpoint["name"], to / "checkpoints" / checkpoint["name"])


class Frames:
    """Live frames by (view, key, seq), as a raw client got them."""

    def __init__(self):
        self.live, self.resets, self.deletes = {}, 0, 0

    def read(self, socket, last_slot):
        """Until the slot has been seen."""
        end = time.monotonic() + harness.DEADLINE_S
        while time.monotonic() < end:
            try:
                frame = json.loads(socket.message(deadline_seconds=0.5))
            except TimeoutError:
                continue
            if frame.get("op") == "snapshot":
                self.resets += bool(frame.get("reset"))
            elif frame.get("seq"):
                self.live[(frame["entity"], frame["key"], frame["seq"])] = frame
                if int(frame["seq"].split(":")[0]) >= last_slot:
                    return
        raise AssertionError(f"no frame of slot {last_slot} came")


class RewindTest(harness.EndToEndTest):
    OPTIONS = ("--checkpoint-every", "1slots", "--checkpoints-keep", "1000")

    def provider(self, slots_per_second=None, replay_slots=REPLAY_SLOTS, subscribers=1):
        options = ["--slots-per-second", f"{slots_per_second or harness.pace(SLOTS_PER_SECOND, REPLAY_SLOTS / 2):.2f}", "--replay-slots", str(replay_slots)]
        if harness.GEYSER:
            return self.start(OtherGeyser(RECORDING, options=[*options, "--start-on-subscribers", str(subscribers)]))
        return self.start(Replay(RECORDING, options=[*options, "--wait-subscribers", str(subscribers)]))

    def check_is_a_moment_of_the_recording(self, data):
        """Whatever generation serves: it holds what the recording means up to its watermark, no more and no less."""
        report = harness.inspect(data)
        last = report["watermark"]["slot"]
        state, _ = counting.fold(RECORDING, last)
        for entity, due in counting.final_rows(state).items():
            rows = [json.loads(line) for line in harness.run("inspect", "--data", data, "--view", f"{entity}/list").splitlines()]
            held = {row["key"]: row["data"] for row in rows}
            self.assertEqual(held.keys(), due.keys())
            for key, row in due.items():
                self.assertIsNone(counting.first_difference(row["data"], counting.without_seq(held[key])), key)
        return report

    def rewind(self, provider, data, slot, more=()):
        """Starts a server with a rewind and waits until it serves the new generation."""
        before = harness.inspect(data)
        server = self.start(Server(provider.endpoint, data, (*self.OPTIONS, "--resume-from", str(slot), *more)).listening())
        server.line(r"rewound: generation \d+ serves")
        chosen = server.line(r"from checkpoint (\S+):")[1]
        after = server.status()
        self.assertEqual(after["generation"], before["generation"] + 1)
        return server, before, chosen

    def test_three_rewinds_in_mid_stream(self):
        wanted, _ = self.undisturbed(RECORDING)
        provider, data = self.provider(), self.folder / "data"
        server = self.start(Server(provider.endpoint, data, self.OPTIONS).listening())
        used = set()
        for to, after in ((0.1, 0.5), (0.25, 0.65), (0.45, 0.8)):
            server.wait_for_slot(at(after))
            server.kill()
            left = harness.digest(data)
            server, before, chosen = self.rewind(provider, data, at(to))
            used.add(chosen)
            self.assertLessEqual(int(chosen.split("-")[0]), at(to))
            kept = harness.run("inspect", "--data", data, "--generation", before["generation"], "--digest").strip()
            self.assertEqual(kept, left, "the generation left behind is as it was")
            print(f"rewound at slot {before['watermark']['slot']} to checkpoint {chosen}, generation {before['generation']} kept with digest {kept[:16]}…")
        self.assertEqual(len(used), 3)
        self.check_end(server, data, RECORDING, wanted)
        print(f"digest at the end {wanted}, as without a rewind")

    def test_without_an_archive_the_missing_slots_are_named(self):
        provider, data = self.provider(), self.folder / "data"
        options = (*self.OPTIONS, "--archive-keep", "0")
        server = self.start(Server(provider.endpoint, data, options).listening())
        server.wait_for_slot(at(0.6))
        self.assertEqual(server.stop(), 0)
        left = harness.digest(data)
        server = self.start(Server(provider.endpoint, data, (*options, "--resume-from", str(at(0.1)))))
        self.assertEqual(server.wait(), 2)
        refusal = server.line(r"the rewind to slot \d+ is refused: the blocks of slots (\d+) to (\d+) are missing")
        print(refusal.string)
        self.assertGreater(int(refusal[2]), int(refusal[1]))
        self.assertEqual(harness.digest(data), left)
        self.assertEqual(harness.inspect(data)["generation"], 1)

    def test_a_checkpoint_of_a_stopped_store(self):
        wanted, _ = self.undisturbed(RECORDING)
        provider, data = self.provider(replay_slots=1000), self.folder / "data"
        server = self.start(Server(provider.endpoint, data, ("--checkpoint-every", "off")).listening())
        server.wait_for_slot(at(0.3))
        server.kill()
        left = harness.digest(data)
        made = json.loads(harness.run("checkpoint", "create", "--data", data, "--admin", f"127.0.0.1:{harness.quiet_port()}", "--json"))
        self.assertEqual(made["slot"], harness.inspect(data)["watermark"]["slot"])
        self.assertEqual(made["reach"], None)
        self.assertIn("is whole", harness.run("checkpoint", "verify", "--data", data))
        self.assertEqual(harness.digest(data), left)
        server, _, chosen = self.rewind(provider, data, made["slot"])
        self.assertEqual(chosen, made["name"])
        self.check_end(server, data, RECORDING, wanted)

    def test_kills_at_any_moment_leave_one_whole_generation(self):
        wanted, _ = self.undisturbed(RECORDING)
        randomness = random.Random(SEED)
        provider, data = self.provider(replay_slots=1000), self.folder / "data"
        server = self.start(Server(provider.endpoint, data, self.OPTIONS).listening())
        server.wait_for_slot(at(0.3))
        harness.wait_for("a checkpoint", lambda: checkpoints(data))
        server.kill()
        generations = set()
        for number in range(KILLS):
            slot = randomness.choice(checkpoints(data))["slot"]
            before = harness.inspect(data)
            server = self.start(Server(provider.endpoint, data, (*self.OPTIONS, "--resume-from", str(slot), "--again")))
            if number % 2 == 0:  # aimed at the rewind itself; the others fall wherever they fall
                server.line(r"rewinding to slot")
            time.sleep(randomness.uniform(0.0, 0.25))
            server.kill()
            report = self.check_is_a_moment_of_the_recording(data)
            self.assertIn(report["generation"], (before["generation"], before["generation"] + 1))
            self.assertEqual(report["gaps"], [])
            generations.add((report["generation"], report["watermark"]["slot"]))
            for checkpoint in report["checkpoints"]:
                self.assertIsNone(checkpoint["damage"], checkpoint)
        server = self.start(Server(provider.endpoint, data, self.OPTIONS).listening())
        print(f"{KILLS} kills: (generation, watermark) afterwards {sorted(generations)}, {len(checkpoints(data))} checkpoints whole")
        self.check_end(server, data, RECORDING, wanted)

    def check_second_folder(self, copy_archive, replay_slots):
        """A checkpoint, and maybe the archive, are carried elsewhere and started there while the first server goes on."""
        wanted, _ = self.undisturbed(RECORDING)
        provider, data, second = self.provider(replay_slots=replay_slots), self.folder / "data", self.folder / "second"
        server = self.start(Server(provider.endpoint, data, self.OPTIONS).listening())
        server.wait_for_slot(at(0.5))
        checkpoint = harness.wait_for("a checkpoint", lambda: next((c for c in checkpoints(data) if c["slot"] >= at(0.1)), None))
        copy_checkpoint(checkpoint, data, second)
        if copy_archive:
            shutil.copytree(data / "archive", second / "archive")
        with raw_ws.connect(server.url) as first_socket:
            for view in ("TokenMint/list", "TokenAccount/list"):
                first_socket.send({"type": "subscribe", "view": view})
            other = self.start(Server(provider.endpoint, second, (*self.OPTIONS, "--resume-from", str(checkpoint["slot"]))).listening())
            other.line(r"rewound: generation \d+ serves")
            with raw_ws.connect(other.url) as second_socket:
                for view in ("TokenMint/list", "TokenAccount/list"):
                    second_socket.send({"type": "subscribe", "view": view})
                last = max(slot for slot, _ in counting_slots())
                frames = Frames(), Frames()
                frames[0].read(first_socket, last)
                frames[1].read(second_socket, last)
        both = frames[0].live.keys() & frames[1].live.keys()
        for name in both:
            self.assertEqual(frames[0].live[name], frames[1].live[name])
        print(f"checkpoint {checkpoint['name']} in a second folder: {len(both)} live frames the same, seq by seq")
        self.assertGreater(len(both), 0)
        self.check_end(other, second, RECORDING, wanted)
        self.check_end(server, data, RECORDING, wanted)
        self.assertEqual(harness.inspect(second)["lineage"], harness.inspect(data)["lineage"])

    def test_a_copied_checkpoint_with_a_provider_that_reaches_back(self):
        self.check_second_folder(copy_archive=False, replay_slots=1000)

    def test_a_copied_checkpoint_with_its_archive(self):
        self.check_second_folder(copy_archive=True, replay_slots=max(REPLAY_SLOTS, 5))


def counting_slots():
    """(slot, frames due) of every slot in which something changed."""
    state, _ = counting.fold(RECORDING, SLOTS[-1])
    found = {}
    for rows in counting.final_rows(state).values():
        for row in rows.values():
            slot = int(row["seq"].split(":")[0])
            found[slot] = found.get(slot, 0) + 1
    return sorted(found.items())


if __name__ == "__main__":
    unittest.main(verbosity=2)
