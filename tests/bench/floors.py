"""What the machine can do at best: programs that share no code with ours, run beside them in the same minutes.

Their sources may lie beside the checkout (../shared/tools/bench); `run` builds them. Every function answers None when its program is
not there.
"""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("BENCH_BUILD", ROOT / "build" / "bench"))
FLOORS = BUILD / "floors"
RECEIVE_SECONDS = 3


def program(name):
    path = FLOORS / name
    return path if path.exists() else None


def output(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        print(f"{command[0]}: exit {done.returncode}: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return None
    return done.stdout


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def listening(command, port):
    """A server process that listens on the port; gone at the end."""
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError(f"{command[0]} does not listen on {port}") from None
                time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def feed(recording):
    """An endpoint that streams the recording without end at next to no cost; None when h2feed is not there."""
    h2feed = program("h2feed")
    if h2feed is None:
        yield None
        return
    port = free_port()
    with listening([h2feed, port, recording], port):
        yield port


def receive(port, api):
    """CPU µs per message of a client: `sync-bytes` is gRPC without a parser, `raw-walk` a plain socket with just enough HTTP/2."""
    bench = program("grpc_bench")
    text = output(bench, "recv", api, port, RECEIVE_SECONDS) if bench and port else None
    found = re.search(r"client\s+([0-9.]+) us/msg", text or "")
    return float(found[1]) if found else None


def walk(recording):
    """CPU µs per message of a hand-written walk over account writes and transactions."""
    bench = program("grpc_bench")
    text = output(bench, "parse", recording) if bench else None
    total = count = 0
    for name, n, what, ns in re.findall(r"^(\S+)\s+n=(\d+)\s+avg\s+\d+ B\s+(.*?)\s+ns min\s+\d+ med\s+(\d+)", text or "", re.MULTILINE):
        if name in ("account", "tx") and "hand" in what:
            total, count = total + int(n) * int(ns), count + int(n)
    return total / count / 1000 if count else None


def nanoseconds(name, line):
    """Of one line of decode_floor or json_bench: the median, in µs."""
    bench = program(name)
    text = output(bench) if bench else None
    found = re.search(rf"^{re.escape(line)}\s+ns min\s+[0-9.]+ med\s+([0-9.]+)", text or "", re.MULTILINE)
    return float(found[1]) / 1000 if found else None


def apply():
    """CPU µs per row of RocksDB alone: whole rows of 300 to 1,500 bytes in batches of 1,000, over 100,000, the log synced every 100 ms."""
    bench = program("storage")
    if bench is None:
        return None
    with tempfile.TemporaryDirectory(prefix="everstate-floor-") as folder:
        text = output(bench, "--dir", pathlib.Path(folder) / "db", "--n", 100000, "--k", 1000, "--index", 0, "--sync-ms", 100, "--secs", 5,
                      "--hot", 1, "--kill", 0, "--reads", 0, "--block-kb", 4)
    result = json.loads(text) if text else None
    return result and result["total_cpu_us_row"] - result["gen_us_row"]


def wsload(port, sessions, pid, seconds, *more):
    """The load client on the second core: what it says of `sessions` sessions on the server `pid`; most of them read every 100 ms."""
    text = output(program("wsload"), "--port", port, "--conns", sessions, "--pid", pid, "--duration", seconds, "--cpu", 1,
                  "--lazy-ms", 100, "--prompt", max(5, sessions // 20), "--json", *more)
    return json.loads(text.strip().splitlines()[-1]) if text else None


def fan_out(sessions, window, payload, seconds):
    """CPU µs per delivered frame of a plain epoll loop with one send per session and `window` frames."""
    server = program("raw_epoll")
    if server is None or program("wsload") is None:
        return None
    port = free_port()
    with listening(["taskset", "-c", "0", server, "--port", port], port) as process:
        result = wsload(port, sessions, process.pid, seconds, "--send", "sub", "--ready", "ok", "--pub", "--pub-path", "/pub",
                        "--payload", payload, "--window", window, "--warmup", 1)
    return result and result["srv_us_per_msg"]
