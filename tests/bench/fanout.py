#!/usr/bin/env python3
"""Fan-out, measured: a running feed, many sessions on one view, the server's CPU time per delivered frame beyond what it spends
without sessions. Beside it a plain epoll loop that sends frames of the same size, as many in one write (floors.py)."""

import json
import os
import pathlib
import sys
import tempfile
import time

import floors
from line import cpu_seconds, harness, places

SECONDS = float(os.environ.get("BENCH_SECONDS", "10"))
SESSIONS = int(os.environ.get("BENCH_SESSIONS", "1000"))
SLOTS_PER_SECOND = 10
VIEW = "TokenAccount/list"


class Pinned(harness.Server):
    """On the first core; feed and clients are on the second one."""

    def __init__(self, endpoint, data):
        super().__init__(endpoint, data)
        os.system(f"taskset -apc 0 {self.process.pid} >/dev/null")


def reading(server):
    return time.monotonic(), cpu_seconds(server.process.pid), server.status()["fanout"]


def load(server, seconds):
    """Sessions that read, for so long; what the client says of them."""
    port = server.url.rsplit(":", 1)[1].rstrip("/")
    subscribe = json.dumps({"type": "subscribe", "view": VIEW})
    return floors.wsload(port, SESSIONS, server.process.pid, seconds, "--send", subscribe, "--ready", '"subscribed"',
                         "--seq-mode", "mono", "--ts-key", "", "--warmup", 3)


def measure():
    """None without the load client."""
    if floors.program("wsload") is None:
        return None
    recording = places.recording("spl-small")
    with tempfile.TemporaryDirectory(prefix="everstate-bench-") as folder:
        replay = harness.Replay(recording, options=["--slots-per-second", str(SLOTS_PER_SECOND), "--loop"])
        os.system(f"taskset -apc 1 {replay.process.pid} >/dev/null")
        server = Pinned(replay.endpoint, pathlib.Path(folder) / "data").ready()
        try:
            begin = reading(server)
            time.sleep(SECONDS / 2)
            end = reading(server)
            alone = (end[1] - begin[1]) / (end[0] - begin[0])
            begin = reading(server)
            client = load(server, SECONDS)
            end = reading(server)
        finally:
            server.stop()
            replay.kill()
    if client is None:
        return None
    frames, writes, sent = (end[2][key] - begin[2][key] for key in ("frames_sent", "socket_writes", "bytes_sent"))
    per_write, frame_bytes = frames / writes, sent / frames
    ours = {
        "sessions": SESSIONS,
        "frames_per_s": round(client["msgs_per_s"]),
        "frames_per_write": round(per_write, 1),
        "frame_bytes": round(frame_bytes),
        "us_per_frame": client["srv_us_per_msg"] - alone * 1e6 / client["msgs_per_s"],
        "us_per_frame_with_the_line": client["srv_us_per_msg"],
        "gaps": client["gaps"],
        "closed": client["closed"],
    }
    return ours, floors.fan_out(SESSIONS, max(1, round(per_write)), round(frame_bytes), SECONDS / 2)


if __name__ == "__main__":
    result = measure()
    if result is None:
        sys.exit("wsload is not there")
    print(json.dumps(result[0]), "floor", result[1])
