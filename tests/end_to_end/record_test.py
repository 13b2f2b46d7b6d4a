#!/usr/bin/env python3
"""`everstate record`: a stream becomes a recording that means the same, whatever cuts it."""

import json
import os
import resource
import signal
import subprocess
import threading
import unittest

import harness
from harness import EVERSTATE, STACK, OtherGeyser, Process, Replay, Server

import places
import raw_geyser
import recording as oracle_recording

RECORDING = places.recording("spl-small")


def decoded(path, code=0):
    """What `decode` prints of a recording, line by line, and what it says of its end."""
    done = subprocess.run([EVERSTATE, "decode", "--stack", STACK, path], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def settled(path):
    return [block.slot for block in oracle_recording.blocks(path)]


def within(lines, slots, needed_only=False):
    """The lines of these slots; of what a stack needs those of its programs that did not fail."""
    return [line for line in lines if int(line["slot"]) in slots and (not needed_only or ("program" in line and not line.get("failed")))]


class RecordTest(harness.EndToEndTest):
    def record(self, endpoint, slots, *more):
        self.out = self.folder / "out.updates"
        return Process(EVERSTATE, "record", "--endpoint", endpoint, "--slots", slots, "--out", self.out, *more, name="record")

    def replay(self, *options):
        return self.start(Replay(RECORDING, options=["--wait-subscribers", "1", *options]))

    def digest_of(self, path, name):
        replay = self.start(Replay(path, options=["--slots-per-second", "max", "--wait-subscribers", "1"]))
        server = self.start(Server(replay.endpoint, self.folder / name).listening())
        server.wait_for_slot(settled(path)[-1])
        self.assertEqual(server.stop(), 0)
        return harness.digest(self.folder / name)

    def check_recorded(self, slots, needed_only=False):
        """The recording ends with the last of `slots` and says of them what the original says."""
        self.assertEqual(settled(self.out), slots)
        lines, _ = decoded(self.out)
        self.assertEqual(max(int(line["slot"]) for line in lines), slots[-1])
        self.assertEqual(within(lines, slots, needed_only), within(decoded(RECORDING)[0], slots, needed_only))

    def test_everything_of_some_slots(self):
        record = self.start(self.record(self.replay("--slots-per-second", "max").endpoint, 20))
        self.assertEqual(record.wait(), 0, record.lines)
        self.check_recorded(settled(RECORDING)[:20])
        self.assertIn("20 of 20 blocks", "\n".join(record.lines))

    def test_what_a_stack_needs_gives_the_same_state(self):
        blocks = settled(RECORDING)
        record = self.start(self.record(self.replay("--slots-per-second", "max").endpoint, len(blocks), "--stack", STACK))
        self.assertEqual(record.wait(), 0, record.lines)
        self.check_recorded(blocks, needed_only=True)
        self.assertEqual(self.digest_of(self.out, "recorded"), self.digest_of(RECORDING, "original"))

    @harness.needs_geyser
    def test_another_provider(self):
        geyser = self.start(OtherGeyser(RECORDING, options=["--start-on-subscribers", "1", "--slots-per-second", "100"]))
        record = self.start(self.record(geyser.endpoint, 25))
        self.assertEqual(record.wait(), 0, record.lines)
        self.check_recorded(settled(RECORDING)[:25])

    def test_an_orderly_stop_leaves_whole_slots(self):
        record = self.start(self.record(self.replay("--slots-per-second", "10").endpoint, 1000))
        harness.wait_for("some blocks", lambda: self.out.exists() and self.out.stat().st_size > 300_000)
        self.assertEqual(record.stop(), 0, record.lines)
        recorded = settled(self.out)
        self.check_recorded(settled(RECORDING)[: len(recorded)])
        record.line(rf"out\.updates: {len(recorded)} of 1000 blocks, slots {recorded[0]} to {recorded[-1]}; stopped before the rest$")

    def check_cut(self, code):
        """Of a recording that was cut: all but the last slot are whole, and the last one has a beginning."""
        whole = decoded(RECORDING)[0]
        lines, said = decoded(self.out, code)
        slots = sorted({int(line["slot"]) for line in lines})
        self.assertGreater(len(slots), 2)
        self.assertEqual(within(lines, slots[:-1]), within(whole, slots[:-1]))
        last = within(lines, slots[-1:])
        self.assertEqual(last, within(whole, slots[-1:])[: len(last)])
        return said

    def test_a_killed_recorder(self):
        record = self.start(self.record(self.replay("--slots-per-second", "10").endpoint, 1000))
        harness.wait_for("some blocks", lambda: self.out.exists() and self.out.stat().st_size > 300_000)
        record.kill()
        size = self.out.stat().st_size
        whole = sum(1 for _ in complete_messages(self.out))
        self.assertGreater(whole, 0)
        torn = complete_bytes(self.out) < size
        said = self.check_cut(2 if torn else 0)
        if torn:
            self.assertIn(f"at offset {complete_bytes(self.out)}", said)

    def test_a_full_disk(self):
        replay = self.replay("--slots-per-second", "max")
        out = self.folder / "out.updates"

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

        done = subprocess.run([EVERSTATE, "record", "--endpoint", replay.endpoint, "--slots", "25", "--out", out], preexec_fn=limit,
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(f"cannot write recording {out}: File too large", done.stderr)
        self.out = out
        self.assertLess(out.stat().st_size, 400_000)
        self.assertEqual(complete_bytes(out), out.stat().st_size)
        recorded = settled(out)
        self.assertGreater(len(recorded), 2)
        self.assertIn(f"{out}: {len(recorded)} of 25 blocks, slots {recorded[0]} to {recorded[-1]}\n", done.stdout)
        self.check_cut(0)

    def test_a_stream_that_ends(self):
        replay = self.replay("--slots-per-second", "10")
        record = self.start(self.record(replay.endpoint, 1000))
        harness.wait_for("some blocks", lambda: self.out.exists() and self.out.stat().st_size > 300_000)
        replay.kill()
        self.assertEqual(record.wait(), 6, record.lines)
        [error] = [line for line in record.lines if " error " in line]
        self.assertEqual(error.count(replay.endpoint), 1, error)
        self.check_recorded(settled(RECORDING)[: len(settled(self.out))])

    def test_a_provider_that_refuses_or_is_not_there(self):
        """Nothing of the command line is wrong: a script may try again."""
        provider = raw_geyser.RawGeyser(lambda call: call.end(16, "No valid auth token"))
        self.addCleanup(provider.close)
        record = self.start(self.record(provider.endpoint, 1))
        self.assertEqual(record.wait(), 6, record.lines)
        record.line("No valid auth token; no token is set")
        self.assertEqual(provider.subscribes, 1)
        self.assertFalse(self.out.exists())
        self.out.write_text("the recording of yesterday")
        record = self.start(self.record(provider.endpoint, 1))
        self.assertEqual(record.wait(), 6, record.lines)
        self.assertEqual(self.out.read_text(), "the recording of yesterday")
        endpoint = f"http://127.0.0.1:{harness.quiet_port()}"
        record = self.start(self.record(endpoint, 1))
        self.assertEqual(record.wait(), 6, record.lines)
        record.line(f"{endpoint}: .*Connection refused; nobody answers there: check host and port of --endpoint")

    def test_a_provider_that_says_nothing(self):
        provider = raw_geyser.RawGeyser(lambda call: call.hang())
        self.addCleanup(provider.close)
        (self.folder / "out.updates").write_text("the recording of yesterday")
        record = self.start(self.record(provider.endpoint, 1))
        self.assertEqual(record.wait(), 6, record.lines)
        record.line(f"{provider.endpoint}: nothing was heard for 30 seconds")
        self.assertEqual(self.out.read_text(), "the recording of yesterday")

    def test_a_stop_while_nobody_answers_is_a_stop(self):
        asked = threading.Event()

        def mute(sock):
            while sock.recv(1 << 20):
                asked.set()
        provider = raw_geyser.RawServer(mute)
        self.addCleanup(provider.close)
        record = self.start(self.record(provider.endpoint, 1))
        self.assertTrue(asked.wait(harness.DEADLINE_S))
        self.assertEqual(record.stop(), 0, record.lines)
        self.assertFalse(self.out.exists())
        silent = raw_geyser.RawGeyser(lambda call: call.hang())
        self.addCleanup(silent.close)
        record = self.start(self.record(silent.endpoint, 1))
        harness.wait_for("the subscription", lambda: silent.subscribes == 1)
        self.assertEqual(record.stop(), 0, record.lines)
        self.assertFalse(self.out.exists())

    def test_the_provider_is_said_as_for_serve(self):
        """A variable of a setting's own before the reference's, a flag before both; the token too."""
        replay = self.replay("--slots-per-second", "20", "--loop")
        out = self.folder / "out.updates"

        def record(*args, **variables):
            environment = {name: value for name, value in os.environ.items() if not name.startswith(("EVERSTATE_", "YELLOWSTONE_"))}
            return subprocess.run([EVERSTATE, "record", "--slots", "1", "--out", out, *args], env={**environment, **variables}, capture_output=True, text=True, timeout=60)

        nowhere = "http://127.0.0.1:1"
        for args, variables in (((), {"EVERSTATE_ENDPOINT": replay.endpoint, "YELLOWSTONE_ENDPOINT": nowhere}), ((), {"YELLOWSTONE_ENDPOINT": replay.endpoint}),
                                (("--endpoint", replay.endpoint), {"EVERSTATE_ENDPOINT": nowhere})):
            done = record(*args, **variables)
            self.assertEqual(done.returncode, 0, done.stderr)
        done = record()
        self.assertEqual(done.returncode, 2)
        self.assertIn("endpoint is not set: say --endpoint URL, EVERSTATE_ENDPOINT or YELLOWSTONE_ENDPOINT", done.stderr)
        provider = raw_geyser.RawGeyser(lambda call: call.end(16, "no"))
        self.addCleanup(provider.close)
        (self.folder / "token").write_text("a-token\n")
        for variables in ({"EVERSTATE_X_TOKEN": "a-token"}, {"YELLOWSTONE_X_TOKEN": "a-token"}, {"EVERSTATE_X_TOKEN_FILE": str(self.folder / "token")}):
            done = record("--endpoint", provider.endpoint, **variables)
            self.assertEqual(done.returncode, 6, done.stderr)
            self.assertIn("is not the one that the provider wants", done.stderr)
            self.assertNotIn("a-token", done.stderr)

    def test_refusals_name_the_thing(self):
        for args, word in [
            (("--endpoint", "ftp://x", "--slots", 1, "--out", self.folder / "o"), "ftp://x"),
            (("--endpoint", "http://127.0.0.1:1", "--slots", 0, "--out", self.folder / "o"), "--slots"),
            (("--endpoint", "http://127.0.0.1:1", "--slots", 1, "--out", self.folder / "o", "--stack", "no.json"), "no.json"),
            (("--endpoint", "http://127.0.0.1:1", "--slots", 1, "--out", self.folder / "o", "--stack", ""), '--stack: "" is empty'),
            (("--endpoint", "http://127.0.0.1:1", "--slots", 1, "--out", ""), '--out: "" is empty'),
        ]:
            done = subprocess.run([EVERSTATE, "record", *map(str, args)], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
            self.assertIn(word, done.stdout + done.stderr)
        replay = self.replay()
        out = self.folder / "no" / "such" / "folder"
        done = subprocess.run([EVERSTATE, "record", "--endpoint", replay.endpoint, "--slots", "1", "--out", out], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
        self.assertIn(str(out), done.stdout + done.stderr)


def complete_messages(path):
    """The sizes of the messages that are whole, with their lengths."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        try:
            size, content = oracle_recording.varint(data, at)
        except IndexError:
            return
        if content + size > len(data):
            return
        yield content + size - at
        at = content + size


def complete_bytes(path):
    return sum(complete_messages(path))


if __name__ == "__main__":
    unittest.main()
