#!/usr/bin/env python3
"""Runs all benchmarks and prints one table: what each step of an update costs, beside what the machine can do at best.

Compare figures of one run only: the same code costs up to twice as much at another minute of a shared machine.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import fanout
import floors
import line

HERE = pathlib.Path(__file__).resolve().parent


class Costs:
    """CPU µs per item of the benchmarks of one program: the median of some runs."""

    def __init__(self, program, **environment):
        print(f"\n== {program}", flush=True)
        with tempfile.NamedTemporaryFile(suffix=".json") as out:
            options = {"repetitions": line.RUNS, "report_aggregates_only": "true", "min_time": 0.3, "out": out.name, "out_format": "json"}
            arguments = [f"--benchmark_{name}={value}" for name, value in options.items()]
            subprocess.run([floors.BUILD / "tests" / "bench" / program, *arguments], check=True, stderr=subprocess.DEVNULL,
                           env={**os.environ, **environment})
            self.found = json.loads(pathlib.Path(out.name).read_text())["benchmarks"]

    def of(self, name):
        for benchmark in self.found:
            if benchmark["run_name"].split("/")[0] != name:
                continue
            if benchmark.get("error_occurred"):
                print(f"{name}: {benchmark['error_message']}", file=sys.stderr)
                return None
            if benchmark.get("aggregate_name") == "median":
                return 1e6 / benchmark["items_per_second"]
        raise KeyError(name)


class Table:
    def __init__(self):
        self.rows = []

    def add(self, step, unit, ours, floor, source, rate=None):
        """`ours`, `floor`: CPU µs per unit, None when not measured. `rate`: units per second as seen; else what one core could do."""
        if ours is None:
            print(f"{step}: not measured", file=sys.stderr)
            return
        times = f"{ours / floor:.2f}" if floor else "—"
        self.rows.append((step, unit, cost(ours), f"{rate or 1e6 / ours:,.0f}", cost(floor), times, source))

    def print(self):
        print("\n| step | per | CPU µs | per s | floor, CPU µs | × floor | from |\n|---|---|---|---|---|---|---|")
        for row in self.rows:
            print("| " + " | ".join(row) + " |")
        print('\n"per s" is what one core could do of the step alone; in the rows "whole line" and "fan-out" what was seen.')


def cost(us):
    return "—" if us is None else f"{us:.3f}" if us < 1 else f"{us:.2f}"


def receive(recording):
    """(ours, gRPC alone, source): from the same feed."""
    with floors.feed(recording) as port:
        if port is not None:
            ours = Costs("receive_bench", BENCH_ENDPOINT=f"http://127.0.0.1:{port}").of("Receive")
            grpc = [floors.receive(port, "sync-bytes") for _ in range(line.RUNS)]
            grpc = statistics.median(grpc) if None not in grpc else None
            return ours, grpc, "receive_bench fed by h2feed; floor: grpc_bench recv sync-bytes"
    replay = line.harness.Replay(recording, options=["--slots-per-second", "max", "--loop"])
    try:
        return Costs("receive_bench", BENCH_ENDPOINT=replay.endpoint).of("Receive"), None, "receive_bench fed by everstate replay"
    finally:
        replay.kill()


def add_steps(table, recording):
    table.add("receive", "message", *receive(recording))
    wire = Costs("wire_bench", BENCH_RECORDING=str(recording))
    table.add("walk", "message", wire.of("Walk"), floors.walk(recording),
              "wire_bench Walk; floor: grpc_bench parse, the hand walk of accounts and transactions")
    table.add("walk, file, seal", "message", wire.of("WalkAndLedger"), None, "wire_bench WalkAndLedger")
    decode = Costs("decode_bench")
    table.add("decode five fields", "event", decode.of("BM_FiveFixedFields"),
              floors.nanoseconds("decode_floor", "TradeEvent: run-time layout, 5 fields"),
              "decode_bench FiveFixedFields; floor: decode_floor")
    table.add("decode all 28 fields", "event", decode.of("BM_AllFields"),
              floors.nanoseconds("decode_floor", "TradeEvent: run-time layout, all 25 fields (views, no copy)"),
              "decode_bench AllFields; floor: decode_floor, 25 fields")
    table.add("decode + VM", "update", Costs("machine_bench").of("BM_SplBlock"), None, "machine_bench SplBlock")
    table.add("apply", "changed row", Costs("apply_bench").of("ApplyOneFieldOfTwenty"), floors.apply(),
              "apply_bench; floor: storage, whole rows of 300 to 1,500 bytes")
    for program in ("checkpoint_bench", "row_bench"):  # for their own output: what stands still, and parts of the steps around it
        Costs(program)
    encode = Costs("encode_bench")
    table.add("encode, one field", "frame", encode.of("EncodeFramesOfOneField"), None, "encode_bench")
    table.add("encode, twenty fields", "frame", encode.of("EncodeFramesOfTwentyFields"),
              floors.nanoseconds("json_bench", "hand-written append writer"), "encode_bench; floor: json_bench, hand-written append writer")


def add_whole_line(table, recording):
    print("\n== whole line", flush=True)
    runs = line.measure_all(recording)
    table.add("whole line", "update", statistics.median(run["cpu_us_per_update"] for run in runs), None,
              f"line.py over {pathlib.Path(recording).name}, no sessions", rate=statistics.median(run["updates_per_s"] for run in runs))


def add_fan_out(table):
    print("\n== fan-out", flush=True)
    measured = fanout.measure()
    if measured is None:
        print("fan-out: not measured, the load client is not there", file=sys.stderr)
        return
    ours, floor = measured
    print(json.dumps(ours))
    table.add("fan-out", "delivered frame", ours["us_per_frame"], floor,
              f"fanout.py, {ours['sessions']:,} sessions, {ours['frames_per_write']} frames of {ours['frame_bytes']} bytes per write; "
              "floor: raw_epoll, as many per write", rate=ours["frames_per_s"])


def main():
    recording, table = line.recording(), Table()
    add_steps(table, recording)
    add_whole_line(table, recording)
    add_fan_out(table)
    table.print()


if __name__ == "__main__":
    main()
