#!/usr/bin/env python3
"""The whole line, measured: a replay server in a process of its own, the server following it as fast as it can, the CPU time of
the server's process alone. Prints updates/s, CPU microseconds per update, and bytes per entity in the store."""

import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "end_to_end"))
import floors  # noqa: E402

os.environ.setdefault("EVERSTATE", str(floors.BUILD / "everstate"))

import harness  # noqa: E402
import places  # noqa: E402

SECONDS = float(os.environ.get("BENCH_SECONDS", "10"))
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def measure(of):
    with tempfile.TemporaryDirectory(prefix="everstate-bench-") as folder:
        replay = harness.Replay(of, options=["--slots-per-second", "max", "--loop"])
        server = harness.Server(replay.endpoint, pathlib.Path(folder) / "data").ready()
        try:
            time.sleep(1)
            begin = (time.monotonic(), cpu_seconds(server.process.pid), server.status())
            time.sleep(SECONDS)
            end = (time.monotonic(), cpu_seconds(server.process.pid), server.status())
        finally:
            server.stop()
            replay.kill()
        updates = end[2]["projector"]["updates"] - begin[2]["projector"]["updates"]
        mutations = end[2]["projector"]["mutations"] - begin[2]["projector"]["mutations"]
        report = harness.inspect(pathlib.Path(folder) / "data")
        entities = sum(report["entities"].values())
        return {
            "updates_per_s": round(updates / (end[0] - begin[0])),
            "cpu_us_per_update": round((end[1] - begin[1]) * 1e6 / updates, 2),
            "mutations_per_update": round(mutations / updates, 2),
            "entity_bytes": round(report["sizes"]["entity"] / entities),
        }


def recording():
    return places.recording("spl") or places.recording("spl-small")


def measure_all(of):
    print(f"whole line over {pathlib.Path(of).name}, {RUNS} runs of {SECONDS:.0f} s, 0 subscribers", flush=True)
    runs = []
    for _ in range(RUNS):
        runs.append(measure(of))
        print(json.dumps(runs[-1]), flush=True)
    cpu = [run["cpu_us_per_update"] for run in runs]
    print(f"CPU per update: {statistics.median(cpu)} us at the median, {min(cpu)} to {max(cpu)}")
    return runs


if __name__ == "__main__":
    measure_all(recording())
