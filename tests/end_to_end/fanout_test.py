#!/usr/bin/env python3
"""Many sessions on a running feed: one socket write per session and batch, a reader that pauses costs only itself."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import threading
import time
import unittest

import harness
from harness import Replay, Server

import looped
import places
import raw_ws

# The short form is for every run. The long one: TEST_PAUSE_SECONDS=60 TEST_TRACED_BATCHES=100 ./fanout_test.py
PAUSE_SECONDS = int(os.environ.get("TEST_PAUSE_SECONDS", "15"))
PAUSE_SLOTS_PER_SECOND = 50
WARM_UP_SECONDS = 5
TRACED_BATCHES = int(os.environ.get("TEST_TRACED_BATCHES", "40"))
TRACED_SLOTS_PER_SECOND = 4
WATCHERS = 50
SESSION_QUEUE_BYTES_MAX = 8 << 20  # FanoutOptions: beyond it a session is closed with 1013
# A sanitizer keeps memory of its own: shadows, and what was freed.
RESIDENT_MEMORY_IS_THE_SERVERS = not os.environ.get("TEST_SANITIZER")
# What two runs of the same feed may differ by for other reasons: caches, and pages that the allocator keeps.
RESIDENT_NOISE_BYTES = 16 << 20
RECORDING = places.recording("spl-small")


class Reader(threading.Thread):
    """Subscribes to one view and writes every message down as it came."""

    def __init__(self, url, view, file, **options):
        super().__init__(daemon=True)
        self.view, self.file, self.whole, self.error = view, file, threading.Event(), None
        self.slots = []  # of live frames, each once
        self.frames = 0
        self.socket = raw_ws.connect(url, **options)
        self.socket.send({"type": "subscribe", "view": view})

    def run(self):
        with open(self.file, "w", encoding="utf-8") as out:
            try:
                while True:
                    self.take(self.socket.message(deadline_seconds=harness.DEADLINE_S), out)
            except (raw_ws.Closed, TimeoutError, OSError) as error:
                self.error = error

    def take(self, text, out):
        out.write(text + "\n")
        if '"op":"snapshot"' in text[:200]:
            if json.loads(text)["complete"]:
                self.whole.set()
        elif '"op":"subscribed"' not in text[:200]:
            slot = int(re.search(r'"seq":"(\d+):\d+"}$', text)[1])
            self.frames += 1
            if self.slots[-1:] != [slot]:
                self.slots.append(slot)

    def last_slot(self):
        return self.slots[-1] if self.slots else None


def resident_bytes(pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def megabytes(values):
    return " ".join(f"{value / (1 << 20):.1f}" for value in values)


class FanoutTest(harness.EndToEndTest):
    def serve(self, slots_per_second, data):
        self.replay = self.start(Replay(RECORDING, options=["--slots-per-second", str(slots_per_second), "--loop"]))
        return self.start(Server(self.replay.endpoint, self.folder / data).ready())

    def read(self, server, view, name, **options):
        reader = Reader(server.url, view, self.folder / f"{name}.jsonl", **options)
        self.addCleanup(reader.socket.sock.close)
        return reader

    def start_all(self, readers):
        for reader in readers:
            reader.start()
        for reader in readers:
            self.assertTrue(reader.whole.wait(harness.DEADLINE_S))

    # --- one write per socket and batch

    def test_one_write_per_socket_and_batch(self):
        server = self.serve(TRACED_SLOTS_PER_SECOND, "data")
        readers = [self.read(server, "TokenAccount/list", f"watcher{n}") for n in range(WATCHERS)]
        self.start_all(readers)
        harness.wait_for("a window whose two ends both lie between two batches", lambda: self.measure_window(server, readers))
        self.assertEqual(server.stop(), 0)

    def measure_window(self, server, readers):
        """Counts writes in a window that begins and ends between two batches; False when an end did not."""
        begin, slots_begin, gets_begin = self.between_batches(server, readers)
        tracer = self.trace(server)
        if server.status()["fanout"]["batches_with_frames"] != begin["batches_with_frames"]:
            self.end_trace(tracer)
            return False
        harness.wait_for(f"{TRACED_BATCHES} batches with changes", lambda: len(readers[0].slots) >= slots_begin[0] + TRACED_BATCHES)
        end, slots_end, gets_end = self.between_batches(server, readers)
        self.end_trace(tracer)
        if server.status()["fanout"]["batches_with_frames"] != end["batches_with_frames"]:
            return False

        batches = end["batches_with_frames"] - begin["batches_with_frames"]
        writes = end["socket_writes"] - begin["socket_writes"] - (gets_end - gets_begin)  # without the answers to this test
        # The clients count too: a batch with changes is a slot in which they got frames.
        self.assertEqual({e - b for b, e in zip(slots_begin, slots_end)}, {batches})
        print(f"own counter: {writes} socket writes for {batches} batches x {WATCHERS} sessions: {writes / (batches * WATCHERS):.4f}")
        self.assertLessEqual(writes, 1.05 * WATCHERS * batches)
        if tracer is not None:
            self.check_trace(server, batches)
        return True

    def between_batches(self, server, readers):
        """Right after a batch has reached everybody: the counters, how many slots each watcher has, and the answers that are counted."""

        def look():
            last = {reader.last_slot() for reader in readers}
            slots = [len(reader.slots) for reader in readers]
            gets, first, second = server.gets, server.status(), server.status()
            # What reached a watcher was counted before. What is applied is counted after: while the watermark stays, no more is.
            return last == {first["watermark"]["slot"]} == {second["watermark"]["slot"]} and (first["fanout"], slots, gets)

        before = server.status()["fanout"]["batches_with_frames"]
        harness.wait_for("the next batch with changes", lambda: server.status()["fanout"]["batches_with_frames"] > before)
        return harness.wait_for("all watchers to have it", look)

    def trace(self, server):
        """strace counts what the kernel sees; where it may not attach, the server's own counter has to do."""
        if shutil.which("strace") is None:
            print("strace is not installed: only the server's own counter is looked at")
            return None
        self.trace_file = self.folder / "trace"
        tracer = subprocess.Popen(["strace", "-f", "-yy", "-e", "trace=sendmsg,sendto,write,writev", "-o", str(self.trace_file), "-p", str(server.process.pid)],
                                  stderr=subprocess.PIPE, text=True)
        self.addCleanup(tracer.stderr.close)
        self.addCleanup(tracer.wait)
        self.addCleanup(tracer.kill)
        said = tracer.stderr.readline()
        if "attached" not in said:
            print("strace cannot attach here:", said.strip())
            return None
        return tracer

    def end_trace(self, tracer):
        if tracer is not None:
            tracer.terminate()
            tracer.wait(harness.DEADLINE_S)

    def check_trace(self, server, batches):
        port = server.url.rsplit(":", 1)[1]
        calls = [line for line in self.trace_file.read_text().splitlines() if re.search(rf"<TCP(v6)?:\[[^\]]*:{port}->", line) and "resumed" not in line]
        # The answers to the readings of /status at the window's ends go out on the same port.
        sends = [line for line in calls if "HTTP/1.1" not in line]
        print(f"strace: {len(sends)} sends on the listen port ({len(calls) - len(sends)} answers of HTTP left out) for {batches} batches x {WATCHERS} sessions: "
              f"{len(sends) / (batches * WATCHERS):.4f}")
        # Five in a hundred more are for pings, every 20 s one to each session.
        self.assertLessEqual(len(sends), 1.05 * WATCHERS * batches)
        self.assertGreaterEqual(len(sends), WATCHERS * batches)

    # --- a reader that pauses

    def test_a_paused_reader_costs_only_itself(self):
        """The same feed twice, without and with readers that pause: memory behind them is bounded, the others get every frame.

        One pauses on a large view and is closed, one on a small view and catches up: behind it lie few bytes of large batches.
        """
        without = self.play("without", [])
        with_paused = self.play("with", ["TokenAccount/list", "TokenMint/list"])
        print(f"RSS in MiB each second, nobody pauses: {megabytes(without)}")
        print(f"RSS in MiB each second, two pause:     {megabytes(with_paused)}")
        print(f"difference in MiB each second:         {megabytes(b - a for a, b in zip(without, with_paused))}")
        # Memtables fill and are written out in both runs, perhaps not in the same second: the highest values are compared.
        more = max(with_paused) - max(without)
        print(f"the highest is {more / (1 << 20):.1f} MiB higher when two pause")
        if RESIDENT_MEMORY_IS_THE_SERVERS:
            self.assertLess(more, 2 * SESSION_QUEUE_BYTES_MAX + RESIDENT_NOISE_BYTES)
        else:
            print("which says nothing of a server under a sanitizer")

    def test_a_slow_reader_that_comes_back_is_told_why(self):
        server = self.serve(2 * PAUSE_SLOTS_PER_SECOND, "data")
        codes = []
        # A peer that takes nothing for 2 s after the close is reset: on a busy machine it may come too late.
        while 1013 not in codes and len(codes) < 3:
            slow = self.read(server, "TokenAccount/list", f"slow{len(codes)}", receive_buffer_bytes=4096)
            closed = server.status()["fanout"]["sessions_closed_slow"]
            harness.wait_for("it to be closed", lambda c=closed: server.status()["fanout"]["sessions_closed_slow"] > c)
            slow.start()
            slow.join(harness.DEADLINE_S)
            self.assertIsInstance(slow.error, raw_ws.Closed)
            codes.append(slow.error.code)
        self.assertEqual(codes[-1], 1013, codes)
        self.assertEqual(server.stop(), 0)

    def play(self, name, paused_views):
        """One run: the server's resident bytes each second, from the moment when the readers pause."""
        server = self.serve(PAUSE_SLOTS_PER_SECOND, name)
        readers = [self.read(server, view, f"{name}-{view.split('/')[0]}") for view in ("TokenAccount/list", "TokenMint/list")]
        self.start_all(readers)
        time.sleep(WARM_UP_SECONDS)
        # A small receive buffer, so that the server's queue fills and not the kernel's.
        paused = [self.read(server, view, f"{name}-paused-{view.split('/')[0]}", receive_buffer_bytes=4096) for view in paused_views]
        series, queued, closed_at = [], [], None
        begin = time.monotonic()
        for second in range(PAUSE_SECONDS + 1):
            time.sleep(max(0.0, begin + second - time.monotonic()))
            series.append(resident_bytes(server.process.pid))
            fanout = server.status()["fanout"]
            queued.append(fanout["queued_bytes"])
            if closed_at is None and fanout["sessions_closed_slow"]:
                closed_at = second
        if paused:
            slot = server.status()["watermark"]["slot"]
            print(f"bytes queued in MiB each second:       {megabytes(queued)}")
            print(f"first session closed as slow after {closed_at} s")
            for reader in paused:
                reader.start()
            harness.wait_for("the paused readers to have caught up or been closed", lambda: all(r.error or (r.last_slot() or 0) >= slot for r in paused))
        self.end_feed(server, readers, paused)
        return series

    def end_feed(self, server, readers, paused):
        """Stops the feed, then the server when everything is out; judges what everybody got."""
        self.replay.stop()
        last, slow = server.end_of_feed(), server.status()["fanout"]["sessions_closed_slow"]
        self.assertEqual(server.stop(), 0)
        for reader in readers + paused:
            reader.join(harness.DEADLINE_S)
            self.assertIsInstance(reader.error, raw_ws.Closed)
        for reader in readers:
            self.assertEqual(reader.error.code, 1012)
        for reader in paused:
            print(f"paused reader of {reader.view}: ended with {reader.error.code} after {reader.frames} frames")
            # The close frame waits behind what the socket still holds; a peer that takes nothing for 2 s then is reset.
            self.assertIn(reader.error.code, (1012, 1013, raw_ws.NO_CLOSE_FRAME))
        self.assertEqual(slow, sum(reader.error.code != 1012 for reader in paused))
        self.judge([reader for reader in readers + paused if reader.error.code == 1012], last)

    def judge(self, readers, last):
        for reader, judge in zip(readers, looped.compare(RECORDING, [reader.file for reader in readers], last)):
            print(f"{pathlib.Path(reader.file).stem}, {reader.view}: {judge.frames} frames received, {judge.due_total} due, differences {dict(judge.differences)}")
            self.assertEqual(dict(judge.differences), {}, "\n".join(judge.lines[:20]))
            self.assertGreater(judge.frames, 100)


if __name__ == "__main__":
    unittest.main(verbosity=2)
