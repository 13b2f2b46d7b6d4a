#!/usr/bin/env python3
"""Many sessions on a running feed: one socket write per session and batch, a reader that pauses costs only itself."""

import json
import pathlib
import re
import shutil
import subprocess
import threading
import time
import unittest

import harness
from harness import Replay, Server

import places
import raw_ws

WATCHERS = 50


class Reader(threading.Thread):
    """Subscribes and counts live frames per (key, seq); notices doubles."""

    def __init__(self, url, view, **options):
        super().__init__(daemon=True)
        self.seen, self.doubles, self.whole, self.error = set(), 0, threading.Event(), None
        self.socket = raw_ws.connect(url, **options)
        self.socket.send({"type": "subscribe", "view": view})

    def run(self):
        try:
            while True:
                frame = json.loads(self.socket.message(deadline_seconds=harness.DEADLINE_S))
                if frame.get("op") == "snapshot" and frame["complete"]:
                    self.whole.set()
                elif frame.get("op") == "patch":
                    key = (frame["key"], frame["seq"])
                    self.doubles += key in self.seen
                    self.seen.add(key)
        except (raw_ws.Closed, TimeoutError) as error:
            self.error = error


def resident_bytes(pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) * 1024


class FanoutTest(harness.EndToEndTest):
    def serve(self, slots_per_second):
        replay = self.start(Replay(places.recording("spl-small"), options=["--slots-per-second", str(slots_per_second), "--loop"]))
        return self.start(Server(replay.endpoint, self.folder / "data").ready())

    def test_one_write_per_socket_and_batch(self):
        server = self.serve(20)
        readers = [Reader(server.url, "TokenAccount/list") for _ in range(WATCHERS)]
        for reader in readers:
            reader.start()
        for reader in readers:
            self.assertTrue(reader.whole.wait(60))
        outer_begin = server.status()["fanout"]["batches_with_frames"]
        tracer = self.trace(server)
        before = server.status()["fanout"]
        harness.wait_for("100 batches with changes", lambda: server.status()["fanout"]["batches_with_frames"] >= before["batches_with_frames"] + 100)
        after = server.status()["fanout"]
        if tracer is not None:
            tracer.terminate()
            tracer.wait(20)
        outer_end = server.status()["fanout"]["batches_with_frames"]
        batches = after["batches_with_frames"] - before["batches_with_frames"]
        writes = after["socket_writes"] - before["socket_writes"]
        print(f"{writes} socket writes for {batches} batches x {WATCHERS} sessions: {writes / (batches * WATCHERS):.3f}")
        # The two readings of /status are not the instants of a batch: one batch may be half counted at either end.
        self.assertLessEqual(writes, 1.05 * WATCHERS * (batches + 1))
        if tracer is not None:
            self.check_trace(server, batches, outer_end - outer_begin)
        self.assertEqual([reader.doubles for reader in readers], [0] * WATCHERS)
        self.assertEqual(server.stop(), 0)

    def trace(self, server):
        """strace counts what the kernel sees; where it may not attach, the server's own counter has to do."""
        if shutil.which("strace") is None:
            return None
        self.trace_file = self.folder / "trace"
        tracer = subprocess.Popen(["strace", "-f", "-yy", "-e", "trace=sendmsg,sendto,write,writev", "-o", str(self.trace_file), "-p", str(server.process.pid)],
                                  stderr=subprocess.PIPE, text=True)
        self.addCleanup(tracer.kill)
        time.sleep(1)
        if tracer.poll() is not None:
            print("strace cannot attach here:", tracer.stderr.read().strip())
            return None
        return tracer

    def check_trace(self, server, fewest, most):
        """strace saw at least the batches between the inner readings, at most those between the outer ones."""
        port = server.url.rsplit(":", 1)[1]
        calls = [line for line in self.trace_file.read_text().splitlines() if re.search(rf"<TCP(v6)?:\[[^\]]*:{port}->", line) and "resumed" not in line]
        data = [line for line in calls if "HTTP/1.1" not in line]
        print(f"strace: {len(data)} sends on the listen port for {fewest} to {most} batches x {WATCHERS} sessions: "
              f"{len(data) / (most * WATCHERS):.3f} to {len(data) / (fewest * WATCHERS):.3f}")
        self.assertLessEqual(len(data), 1.05 * WATCHERS * most)
        self.assertGreaterEqual(len(data), 0.95 * WATCHERS * fewest)

    def test_a_paused_reader_costs_only_itself(self):
        server = self.serve(200)
        readers = [Reader(server.url, "TokenAccount/list") for _ in range(4)]
        paused = Reader(server.url, "TokenAccount/list", receive_buffer_bytes=4096)
        for reader in readers:
            reader.start()
        for reader in readers:
            self.assertTrue(reader.whole.wait(60))
        closed = lambda: server.status()["fanout"]["sessions_closed_slow"] >= 1
        highest = 0

        def closed_while_flat():
            nonlocal highest
            highest = max(highest, resident_bytes(server.process.pid))
            return closed()

        begin = resident_bytes(server.process.pid)
        harness.wait_for("the paused session to be closed", closed_while_flat)
        print(f"RSS {begin >> 20} MiB -> {highest >> 20} MiB while one session did not read")
        paused.start()
        paused.join(30)
        # The close frame comes behind what the socket still held; when the socket stayed full it was reset instead.
        self.assertIsInstance(paused.error, raw_ws.Closed)
        self.assertIn(paused.error.code, (1013, 1006))
        harness.wait_for("the queue to be empty again", lambda: server.status()["fanout"]["queued_bytes"] < 1 << 20)

        # The others have all that was published since, and the same.
        common = set.intersection(*(set(reader.seen) for reader in readers))
        self.assertGreater(len(common), 100)
        self.assertEqual([reader.doubles for reader in readers], [0] * len(readers))
        self.assertEqual([reader.error for reader in readers], [None] * len(readers))
        self.assertEqual(server.stop(), 0)
        for reader in readers:
            reader.join(10)
        last = [max(reader.seen, key=lambda k: [int(n) for n in k[1].split(":")]) for reader in readers]
        self.assertEqual(len(set(last)), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
