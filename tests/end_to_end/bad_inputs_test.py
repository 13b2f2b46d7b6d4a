#!/usr/bin/env python3
"""Recordings that are none, accounts that do not fit, disks without room, folders and ports that are not to be had: each is named, nothing
that was applied is lost, and what else is served goes on."""

import json
import os
import pathlib
import shutil
import socket
import threading
import unittest

import harness
from harness import STACK, Replay, Server, refused

import looped
import mounts
import places
import raw_geyser
import raw_ws
import recording as oracle_recording

RECORDING = places.recording("spl-small")
SLOTS = [block.slot for block in oracle_recording.blocks(RECORDING)]
TOKEN_PROGRAM = looped.base58_bytes("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", 32)
SMALL_DISK_BYTES = 24 << 20


def at(fraction):
    return SLOTS[int(fraction * (len(SLOTS) - 1))]


def slot_of(message):
    """The slot that an update is about, None for one of another kind."""
    update = oracle_recording.fields(message)
    for kind, place in ((2, 2), (3, 1), (4, 2), (7, 1)):  # account, slot, transaction, block meta
        if kind in update:
            return oracle_recording.one(oracle_recording.fields(update[kind][0]), place, 0)
    return None


class BadInputTest(harness.EndToEndTest):
    def command(self, *more, data=None, endpoint="http://127.0.0.1:1", listen="127.0.0.1:0", admin="off"):
        return ("serve", "--stack", STACK, "--endpoint", endpoint, "--data", data or self.folder / "data", "--listen", listen, "--admin", admin, *more)

    def check_served(self, server):
        """Clients are answered."""
        self.assertEqual(server.get("/health")[0], 200)
        with raw_ws.connect(server.url) as client:
            client.send({"type": "subscribe", "view": "TokenMint/list"})
            self.assertEqual(json.loads(client.message())["op"], "subscribed")
            self.assertTrue(json.loads(client.message())["data"])


class TwoParts(raw_geyser.RawGeyser):
    """Serves the recording; before the block in its middle it waits until `go_on` is set."""

    def __init__(self):
        self.go_on = threading.Event()
        super().__init__(self.script)

    def script(self, call):
        for message in oracle_recording.raw_messages(RECORDING):
            if slot_of(message) == at(0.5):
                self.go_on.wait(harness.DEADLINE_S)
            call.send(message)
        call.hang()


class Recordings(BadInputTest):
    def test_one_that_is_cut_names_the_place(self):
        data = pathlib.Path(RECORDING).read_bytes()
        cut = self.folder / "cut.updates"
        cut.write_bytes(data[: len(data) * 2 // 3])
        last, left = 0, 0
        while last < len(data) * 2 // 3:
            size, begin = oracle_recording.varint(data, last)
            if begin + size > len(data) * 2 // 3:
                left = len(data) * 2 // 3 - begin
                break
            last = begin + size
        words = f"{cut}: at offset {last}: a message of {size} bytes, but only {left} are left in the file"
        code, text = refused("replay", cut, "--listen", "127.0.0.1:0")
        self.assertEqual(code, 2, text)
        self.assertIn(words, text)
        code, text = refused("decode", "--stack", STACK, cut)
        self.assertEqual(code, 2)
        self.assertIn(words, text)
        self.assertIn('"kind":"instruction"', text)  # up to the cut it is decoded

    def test_what_is_no_recording_is_named(self):
        for name, content, words in (("noise", b"\xff" * 4000, "at offset 0: the length of the message is no varint (more than 10 bytes)"),
                                     ("empty", b"", "nothing in the recording can be served"),
                                     ("text", b"this is no recording, this is a text\n", "at offset 0: ")):
            file = self.folder / name
            file.write_bytes(content)
            code, text = refused("replay", file, "--listen", "127.0.0.1:0")
            print(text)
            self.assertEqual(code, 2, text)
            self.assertIn(str(file), text)
            self.assertIn(words, text)
        code, text = refused("replay", self.folder / "nothing", "--listen", "127.0.0.1:0")
        self.assertEqual(code, 2)
        self.assertIn(f"cannot open recording {self.folder / 'nothing'}: No such file or directory", text)

    def test_an_idl_that_does_not_parse_is_named(self):
        idl = self.folder / "cut.json"
        idl.write_text('{"address":"11111111111111111111111111111112","metadata":{"name":"tok')
        code, text = refused("decode", "--idl", idl, RECORDING)
        print(text)
        self.assertEqual(code, 2)
        self.assertIn(f"{idl}: ", text)


class Accounts(BadInputTest):
    def test_what_does_not_fit_is_counted_and_costs_nothing(self):
        """Accounts that are too short, too long (of the greatest size there is) and of a program that nobody asked for, among all others."""
        wanted, undisturbed = self.undisturbed(RECORDING)
        messages, made = [], []
        for message in oracle_recording.raw_messages(RECORDING):
            messages.append(message)
            if len(made) < 3 and slot_of(message) == at(0.5) and 2 in oracle_recording.fields(message):
                made.append([{6: [bytes(100)]}, {6: [bytes(10 << 20)]}, {3: [os.urandom(32)], 6: [bytes(165)]}][len(made)])
                messages.append(self.another_account(message, made[-1]))
        self.assertEqual(len(made), 3)

        def script(call):
            for message in messages:
                call.send(message)
            call.hang()

        provider = raw_geyser.RawGeyser(script)
        self.addCleanup(provider.close)
        server = self.start(Server(provider.endpoint, self.folder / "data").listening())
        server.wait_for_slot(SLOTS[-1])
        status = server.status()
        self.assertEqual(status["projector"]["accounts_unknown"], undisturbed["projector"]["accounts_unknown"] + 2)
        self.assertEqual(status["ingest"]["malformed_messages"], 0)
        self.assertEqual(status["stream"]["reconnects"], 0)
        self.check_end(server, self.folder / "data", RECORDING, wanted)

    @staticmethod
    def another_account(message, change):
        """The same update about an account of the token program that nobody knows, with other fields."""
        update = oracle_recording.fields(message)
        outer = oracle_recording.fields(update[2][0])
        account = {**oracle_recording.fields(outer[1][0]), 1: [os.urandom(32)], 2: [1], 3: [TOKEN_PROGRAM], **change}
        return oracle_recording.encode({**update, 2: [oracle_recording.encode({**outer, 1: [oracle_recording.encode(account)]})]})


class Disks(BadInputTest):
    @classmethod
    def setUpClass(cls):
        mounts.private()

    def setUp(self):
        super().setUp()
        mounts.small(self.folder / "disk", SMALL_DISK_BYTES)
        self.addCleanup(mounts.release, self.folder / "disk")
        self.data = self.folder / "disk" / "data"

    def test_one_that_fills_up_ends_the_server_and_loses_nothing(self):
        wanted, _ = self.undisturbed(RECORDING)
        provider = TwoParts()
        self.addCleanup(provider.close)
        server = self.start(Server(provider.endpoint, self.data).listening())
        server.wait_for_slot(at(0.4))
        ballast = mounts.fill(self.folder / "disk")
        provider.go_on.set()
        self.assertEqual(server.wait(), 3)
        print(server.line(r"applying batch \d+: .*No space left on device").string)
        ballast.unlink()
        slot = harness.inspect(self.data)["watermark"]["slot"]
        self.assertGreaterEqual(slot, at(0.4))
        again = self.start(Server(provider.endpoint, self.data).listening())
        again.line(f"resuming at slot {slot}")
        self.check_end(again, self.data, RECORDING, wanted)

    def test_one_that_is_full_costs_a_checkpoint_and_not_the_server(self):
        wanted, _ = self.undisturbed(RECORDING)
        provider = TwoParts()
        self.addCleanup(provider.close)
        server = self.start(Server(provider.endpoint, self.data, ["--admin", "127.0.0.1:0", "--checkpoint-every", "off"]).listening())
        server.wait_for_slot(at(0.4))
        admin = server.line(r"^admin (\S+)")[1]
        ballast = mounts.fill(self.folder / "disk")
        code, text = refused("checkpoint", "create", "--data", self.data, "--admin", admin)
        print(text)
        self.assertNotEqual(code, 0)
        self.assertIn("No space left on device", text)
        status = server.status()
        self.assertEqual(status["checkpoints_failed"], 1)
        self.assertIn("No space left on device", status["checkpoint_error"])
        self.check_served(server)
        ballast.unlink()
        provider.go_on.set()
        server.wait_for_slot(at(0.9))
        harness.run("checkpoint", "create", "--data", self.data, "--admin", admin)
        self.check_end(server, self.data, RECORDING, wanted)
        self.assertEqual([checkpoint["damage"] for checkpoint in harness.inspect(self.data)["checkpoints"]], [None])

    def test_one_that_fills_up_while_a_rewind_is_made(self):
        """The rewind is refused; the generation that was served before is as it was, and with room the same command succeeds."""
        wanted, _ = self.undisturbed(RECORDING)
        provider = self.start(Replay(RECORDING, options=["--slots-per-second", "max"]))
        options = ["--archive-keep", "0", "--checkpoint-every", "1slots", "--checkpoints-keep", "1000"]
        provider, server = self.followed(RECORDING, *options, data=self.data)
        self.assertEqual(server.stop(), 0)
        oldest = harness.inspect(self.data)["checkpoints"][0]["slot"]
        provider.stop()

        # This one has the first blocks only, so that the rewind waits for more when the disk fills up.
        slow = TwoParts()
        self.addCleanup(slow.close)
        rewind = [*options, "--resume-from", str(oldest)]
        server = self.start(Server(slow.endpoint, self.data, rewind).listening())
        harness.wait_for("the rewind to be under way", lambda: ((server.status().get("rewind") or {}).get("slot") or 0) >= at(0.4))
        ballast = mounts.fill(self.folder / "disk")
        slow.go_on.set()
        self.assertEqual(server.wait(), 3)
        print(server.line(rf"the rewind to slot {oldest} is refused: .*No space left on device").string)
        ballast.unlink()
        self.assertEqual(harness.inspect(self.data)["generation"], 1)
        self.assertEqual(harness.digest(self.data), wanted)
        server = self.start(Server(slow.endpoint, self.data, rewind).listening())
        server.line("rewound: generation 2 serves")
        self.check_end(server, self.data, RECORDING, wanted)


class Folders(BadInputTest):
    def test_one_that_is_read_only(self):
        mounts.private()
        data = self.folder / "data"
        data.mkdir()
        mounts.read_only(data)
        self.addCleanup(mounts.release, data)
        code, text = refused(*self.command())
        self.assertEqual(code, 3, text)
        self.assertIn(f"cannot write to data directory {data}: Read-only file system", text)

    def test_one_that_cannot_be_made(self):
        mounts.private()
        parent = self.folder / "parent"
        parent.mkdir()
        mounts.read_only(parent)
        self.addCleanup(mounts.release, parent)
        code, text = refused(*self.command(data=parent / "data"))
        self.assertEqual(code, 3, text)
        self.assertIn(f"cannot create data directory {parent / 'data'}: Read-only file system", text)

    def test_a_file_in_its_place(self):
        (self.folder / "data").write_text("a file\n")
        code, text = refused(*self.command())
        self.assertEqual(code, 3, text)
        self.assertIn(f"data directory {self.folder / 'data'}: Not a directory", text)
        self.assertEqual((self.folder / "data").read_text(), "a file\n")

    def test_a_file_in_the_place_of_the_archive(self):
        archive = self.folder / "data" / "archive"
        archive.parent.mkdir()
        archive.write_text("a file\n")
        code, text = refused(*self.command())
        self.assertEqual(code, 3, text)
        self.assertIn(f"{archive}: Not a directory", text)
        self.assertEqual(archive.read_text(), "a file\n")

    def test_one_that_was_copied_in_part(self):
        """A copy that ended before the file `current`, which comes last by name: nothing of it is deleted, and with that file it serves."""
        provider = self.start(Replay(RECORDING, options=["--slots-per-second", "max"]))
        server = self.start(Server(provider.endpoint, self.folder / "data").listening())
        server.wait_for_slot(SLOTS[-1])
        self.assertEqual(server.stop(), 0)
        copy, wanted = self.folder / "copy", harness.digest(self.folder / "data")
        shutil.copytree(self.folder / "data", copy, ignore=shutil.ignore_patterns("current"))
        code, text = refused(*self.command(endpoint=provider.endpoint, data=copy))
        print(text)
        self.assertEqual(code, 3, text)
        self.assertIn(f"{copy / 'current'} is missing, but generation 1 beside it holds what was applied", text)
        shutil.copy(self.folder / "data" / "current", copy)
        server = self.start(Server(provider.endpoint, copy).ready())
        self.assertEqual(server.stop(), 0)
        self.assertEqual(harness.digest(copy), wanted)

    def test_a_store_that_another_server_holds(self):
        provider = self.start(Replay(RECORDING, options=["--slots-per-second", "max"]))
        server = self.start(Server(provider.endpoint, self.folder / "data").ready())
        code, text = refused(*self.command(endpoint=provider.endpoint))
        self.assertEqual(code, 3, text)
        self.assertIn(f"data directory {self.folder / 'data'} is in use by another process", text)
        self.assertEqual(len(text.splitlines()), 1, text)  # and nobody was told before that it listens
        self.check_served(server)
        server.wait_for_slot(SLOTS[-1])
        self.assertEqual(server.stop(), 0)


class Ports(BadInputTest):
    def setUp(self):
        super().setUp()
        taken = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        self.address = f"127.0.0.1:{taken.getsockname()[1]}"

    def check_occupied(self, words, *command):
        code, text = refused(*command)
        self.assertEqual(code, 4, text)
        self.assertIn(words, text)
        self.assertEqual(len(text.splitlines()), 1, text)

    def test_the_one_to_listen_on_is_occupied(self):
        self.check_occupied(f"listen address {self.address}: cannot listen: Address already in use", *self.command(listen=self.address))
        self.assertFalse((self.folder / "data").exists())

    def test_the_one_of_health_is_occupied(self):
        self.check_occupied(f"health-listen address {self.address}: cannot listen: Address already in use", *self.command("--health-listen", self.address))
        self.assertFalse((self.folder / "data").exists())

    def test_the_one_of_the_admin_service_is_occupied(self):
        self.check_occupied(f"the admin service cannot listen on {self.address}: Address already in use", *self.command(admin=self.address))
        self.assertFalse((self.folder / "data").exists())

    def test_the_one_of_a_replay_is_occupied(self):
        self.check_occupied(f"cannot listen on {self.address}: Address already in use", "replay", RECORDING, "--listen", self.address)


if __name__ == "__main__":
    unittest.main(verbosity=2)
