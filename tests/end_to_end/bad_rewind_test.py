#!/usr/bin/env python3
"""Rewinds that cannot be: to where there is no checkpoint, from one that is damaged, half copied or of somebody else, over an archive that is
cut, flipped, gone or of another chain. Each is refused by a message that names the thing and says what to do; the generation in force is as it
was, and serves when the server is started without the rewind."""

import pathlib
import re
import shutil
import tempfile
import unittest

import harness
from cli_test import make_other_chain
from harness import Replay, Server

import places

RECORDING = places.recording("spl-small")
SLOTS_PER_SECOND = 20
REPLAY_SLOTS = 3  # so that the provider alone soon reaches back to no checkpoint
LATE = 0.9  # of a segment: behind the oldest checkpoint, however long that one took
DEMO_STACK = harness.TESTS / "stacks" / "Demo.stack.json"


def flip(file, place):
    """Another bit in the middle of a file, under this name only: a checkpoint's tables have a second one in the store."""
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= 1
    file.unlink()
    file.write_bytes(data)


def cut(file, place=0.5):
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data[: int(place * len(data))])


class BadRewindTest(harness.EndToEndTest):
    @classmethod
    def setUpClass(cls):
        """A store that has followed the recording to its end, with its archive and a checkpoint of nearly each block. The provider goes on: it
        reaches back to none of them."""
        folder = tempfile.TemporaryDirectory(prefix="everstate-e2e-")
        cls.addClassCleanup(folder.cleanup)
        cls.prepared = pathlib.Path(folder.name) / "data"
        cls.provider = cls.follow(RECORDING, cls.prepared)
        cls.addClassCleanup(cls.provider.kill)
        report = harness.inspect(cls.prepared)
        cls.digest, cls.watermark, cls.oldest = harness.digest(cls.prepared), report["watermark"]["slot"], report["checkpoints"][0]

    @classmethod
    def follow(cls, recording, data, stack=harness.STACK):
        """A server from the first block of a recording to the last one. Answers the provider, which goes on as if the recording did."""
        pace = ["--slots-per-second", str(SLOTS_PER_SECOND), "--replay-slots", str(REPLAY_SLOTS)]
        provider = Replay(recording, options=[*pace, "--wait-subscribers", "1", "--loop"])
        server = Server(provider.endpoint, data, ["--checkpoint-every", "1slots", "--checkpoints-keep", "1000"], stack=stack)
        try:
            server.listening().wait_for_slot(harness.last_slot(recording))
            assert server.stop() == 0, server.lines
        except BaseException:
            provider.kill()
            raise
        finally:
            server.kill()
        return provider

    def setUp(self):
        super().setUp()
        self.data = self.folder / "data"
        shutil.copytree(self.prepared, self.data)

    def serve(self, *options):
        return self.start(Server(self.provider.endpoint, self.data, ["--checkpoint-every", "off", *options]))

    def check_refused(self, slot, code, *words):
        """The rewind ends the server with this code and these words, and nothing else happens. Answers the last line."""
        server = self.serve("--resume-from", str(slot))
        self.assertEqual(server.wait(), code, "\n".join(server.lines[-10:]))
        print(server.lines[-1])
        for word in words:
            self.assertIn(word, server.lines[-1])
        self.check_unhurt()
        return server.lines[-1]

    def check_unhurt(self):
        self.assertEqual(harness.digest(self.data), self.digest)
        self.assertEqual(harness.inspect(self.data)["generation"], 1)
        self.assertEqual([path.name for path in self.data.iterdir() if path.name.isdigit() or path.name.startswith(".")], ["1"])

    def check_serves(self):
        """Without the rewind the same generation goes on, from where it stood."""
        server = self.serve().ready()
        server.line(f"resuming at slot {self.watermark}")
        self.assertEqual(server.status()["generation"], 1)
        self.assertEqual(server.stop(), 0)


class Slots(BadRewindTest):
    def test_to_before_the_first_checkpoint(self):
        slot = self.oldest["slot"]
        self.check_refused(slot - 1, 2, f"there is no checkpoint at or before slot {slot - 1}; the oldest is at slot {slot}")
        self.check_serves()

    def test_to_beyond_the_state(self):
        slot = self.watermark + 1
        self.check_refused(slot, 2, f"slot {slot} lies beyond the state, which is at slot {self.watermark}")
        self.check_serves()


class Checkpoints(BadRewindTest):
    def setUp(self):
        super().setUp()
        self.folder_of_one = self.data / "checkpoints" / self.oldest["name"]

    def again(self):
        """The checkpoint as it was made."""
        shutil.rmtree(self.folder_of_one)
        shutil.copytree(self.prepared / "checkpoints" / self.oldest["name"], self.folder_of_one)

    def files(self):
        return sorted(path.name for path in self.folder_of_one.iterdir() if path.name != "CHECKPOINT" and path.stat().st_size > 0)

    def test_one_that_is_damaged(self):
        slot, name = self.oldest["slot"], self.oldest["name"]
        for file in self.files():
            with self.subTest(file):
                flip(self.folder_of_one / file, 0.5)
                self.check_refused(slot, 3, f"checkpoint {self.folder_of_one}: file {file} was changed: its checksum is ", ": copy it again or delete it")
                self.again()
                cut(self.folder_of_one / file)
                self.check_refused(slot, 2, f"there is no checkpoint at or before slot {slot}",
                                   f"{name} is damaged: checkpoint {self.folder_of_one}: file {file} has ", ": copy it again or delete it")
                self.again()
        # With the copy that was made last it is possible.
        server = self.serve("--resume-from", str(slot))
        server.line("rewound: generation 2 serves")
        self.assertEqual(server.stop(), 0)

    def test_a_damaged_one_that_is_nearer_is_passed_over_and_named(self):
        nearer = harness.inspect(self.data)["checkpoints"][1]
        slot = nearer["slot"]
        cut(self.data / "checkpoints" / nearer["name"] / self.files()[0])
        server = self.serve("--resume-from", str(slot))
        server.line(f"checkpoint {nearer['name']} is damaged and passed over: ")
        server.line(f"rewinding to slot {slot} from checkpoint {self.oldest['name']}")
        server.line("rewound: generation 2 serves")
        self.assertEqual(server.stop(), 0)

    def test_one_that_is_half_copied(self):
        slot, name = self.oldest["slot"], self.oldest["name"]
        (self.folder_of_one / "CHECKPOINT").unlink()
        self.check_refused(slot, 2, f"{name} is damaged: checkpoint {self.folder_of_one}: ",
                           "it has no file CHECKPOINT, so it is no checkpoint or was not copied to its end: copy it again or delete it")
        self.again()
        file = self.files()[-1]
        (self.folder_of_one / file).unlink()
        self.check_refused(slot, 2, f"{name} is damaged: checkpoint {self.folder_of_one}: file {file} is missing: copy it again or delete it")
        self.check_serves()

    def test_one_of_another_stack(self):
        demo = places.recording("demo")
        self.start(self.follow(demo, self.folder / "demo", DEMO_STACK))
        foreign = harness.inspect(self.folder / "demo")["checkpoints"][0]
        shutil.rmtree(self.data / "checkpoints")
        shutil.copytree(self.folder / "demo" / "checkpoints" / foreign["name"], self.data / "checkpoints" / foreign["name"])
        self.check_refused(self.watermark, 2, f"there is no checkpoint at or before slot {self.watermark}; {foreign['name']} is of another lineage")
        self.check_serves()
        # A store that is empty has no lineage that could differ.
        self.data = self.folder / "empty"
        shutil.copytree(self.folder / "demo" / "checkpoints", self.data / "checkpoints")
        server = self.serve("--resume-from", str(foreign["slot"]))
        self.assertEqual(server.wait(), 2, server.lines)
        self.assertRegex(server.lines[-1],
                         rf"the store {self.data}/checkpoints/{foreign['name']} belongs to stack `Demo` with hash \w+, not to `SplStream` with hash \w+")
        self.assertIsNone(harness.inspect(self.data)["watermark"])


class Archives(BadRewindTest):
    def setUp(self):
        super().setUp()
        [self.segment] = (self.data / "archive").iterdir()
        self.slot = self.oldest["slot"]

    def check_hole(self, *words):
        """It is refused for blocks that nobody has: the slot of the first of them."""
        line = self.check_refused(self.slot, 2, *words)
        missing = re.search(rf"the rewind to slot {self.slot} is refused: the blocks of slots (\d+) to (\d+) are missing", line)
        self.assertIsNotNone(missing, line)
        self.assertGreaterEqual(int(missing[2]), self.watermark)
        self.check_serves()
        return int(missing[1])

    def test_a_segment_that_is_missing(self):
        self.segment.unlink()
        first = self.check_hole(" are missing: the stream does not have slot ", "; --accept-gap rewinds nevertheless and records the gap")
        self.assertEqual(first, self.slot + 1)

    def test_a_segment_that_is_cut(self):
        """What stands before the cut is used: the hole begins there."""
        cut(self.segment, LATE)
        first = self.check_hole(" are missing: the stream does not have slot ", "; --accept-gap rewinds nevertheless and records the gap")
        self.assertIn(first, range(self.slot + 2, self.watermark))

    def test_a_segment_with_a_flipped_bit(self):
        flip(self.segment, LATE)
        self.check_refused(self.slot, 3, f"the rewind to slot {self.slot} is refused: {self.segment}: at offset ",
                           "delete this file, then what it held is asked of the provider")
        self.check_serves()

    def test_a_segment_of_another_chain(self):
        other = self.folder / "other.updates"
        make_other_chain(RECORDING, other)
        self.start(self.follow(other, self.folder / "other"))
        shutil.rmtree(self.data / "archive")
        shutil.copytree(self.folder / "other" / "archive", self.data / "archive")
        self.check_refused(self.slot, 2, "another chain")
        self.check_serves()


if __name__ == "__main__":
    unittest.main(verbosity=2)
