"""Runs the program as its users do: real processes on free ports of the loopback interface, real files, real signals.

EVERSTATE names the program; TEST_GEYSER may name another Geyser server, which shares no code with our replay: one that takes
--recording, --listen, --slots-per-second, --replay-slots, --start-on-subscribers and --report. Tests that need it do not run without.
The variables of the tests begin with TEST_: EVERSTATE_… are the settings of the program, which refuses those that it does not know.
"""

import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent
sys.path.insert(0, str(HERE / "oracle"))

import recording as oracle_recording  # noqa: E402

EVERSTATE = os.environ.get("EVERSTATE", str(TESTS.parent / "build" / "test" / "everstate"))
STACK = TESTS / "stacks" / "SplStream.stack.json"
GEYSER = os.environ.get("TEST_GEYSER")
needs_geyser = unittest.skipUnless(GEYSER, "TEST_GEYSER names no other Geyser server")
DEADLINE_S = 120
# For servers that are looked at long after the last slot of their recording.
PATIENT = ("--health-slot-silence", "10m")


def wait_for(what, condition, deadline_s=DEADLINE_S):
    """Waits until condition() is true; says what it waited for when it does not become so."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"waited {deadline_s} s in vain for {what}")


def quiet_port():
    """A free port that the kernel gives to nobody who asks for any: nobody comes to sit on it while its server is not there, or not yet."""
    low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(low // 2, low)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Process:
    """A child whose output is collected line by line."""

    def __init__(self, *args, name=None, stdin=None, **popen):
        self.name = name or pathlib.Path(str(args[0])).name
        self.lines = []
        self.process = subprocess.Popen([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=stdin, text=True, **popen)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def line(self, pattern, deadline_s=DEADLINE_S):
        """The first line that matches, as a match object."""

        def look():
            for text in list(self.lines):
                found = re.search(pattern, text)
                if found:
                    return found
            if self.process.poll() is not None:
                self.reader.join(5)
                for text in self.lines:
                    found = re.search(pattern, text)
                    if found:
                        return found
                raise AssertionError(f"{self.name} ended with {self.process.returncode} before {pattern!r}:\n" + "\n".join(self.lines[-20:]))
            return None

        return wait_for(f"{self.name} to print {pattern!r}", look, deadline_s)

    def running(self):
        return self.process.poll() is None

    def kill(self):
        if self.running():
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.reader.join(5)
        self.process.stdout.close()
        if self.process.stdin:
            self.process.stdin.close()

    def stop(self, deadline_s=30):
        """SIGTERM; the exit code."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {deadline_s} s:\n" + "\n".join(self.lines[-20:]))
        self.reader.join(5)
        return code

    def wait(self, deadline_s=DEADLINE_S):
        code = self.process.wait(deadline_s)
        self.reader.join(5)
        return code


class Replay(Process):
    """`everstate replay`: a provider in a process of its own."""

    def __init__(self, *recordings, options=()):
        super().__init__(EVERSTATE, "replay", *recordings, "--listen", "127.0.0.1:0", *options, name="replay")
        self.endpoint = self.line(r"^listening (http://\S+)")[1]

    def subscribes(self):
        """The from_slot of each subscribe so far, -1 for none."""
        found = []
        for text in list(self.lines):
            if text.startswith("{") and '"subscribe"' in text:
                found.append(json.loads(text)["from_slot"])
        return found


class OtherGeyser(Replay):
    """The Geyser server that TEST_GEYSER names: it judges our ingest without sharing code with our replay."""

    def __init__(self, recording, options=()):
        port = quiet_port()
        Process.__init__(self, GEYSER, "--recording", recording, "--listen", f"127.0.0.1:{port}", "--report", *options, name="geyser")
        self.line('"event":"ready"')
        self.endpoint = f"http://127.0.0.1:{port}"


class Server(Process):
    """`everstate serve`."""

    def __init__(self, endpoint, data, options=(), stack=STACK, port=0, env=None):
        # Tests run side by side: none takes the default port of the admin service.
        admin = () if "--admin" in options else ("--admin", "off")
        super().__init__(EVERSTATE, "serve", "--stack", stack, "--endpoint", endpoint, "--data", data, "--listen", f"127.0.0.1:{port}", *admin, *options, name="serve", env={**os.environ, **(env or {})})

    gets = 0  # answers of HTTP that were asked for

    def listening(self):
        self.url = self.line(r"listening (ws://\S+)")[1]
        self.http = self.url.replace("ws://", "http://")
        return self

    def ready(self):
        self.listening()
        self.line(r"ready ws://\S+ slot=")
        return self

    def get(self, path):
        """(status, body) of a plain GET."""
        self.gets += 1
        try:
            with urllib.request.urlopen(self.http + path, timeout=DEADLINE_S) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def status(self):
        return json.loads(self.get("/status")[1])

    def wait_for_slot(self, slot, deadline_s=DEADLINE_S):
        def reached():
            if not self.running():
                raise AssertionError("the server ended:\n" + "\n".join(self.lines[-20:]))
            watermark = self.status()["watermark"]
            return watermark is not None and watermark["slot"] >= slot

        wait_for(f"watermark {slot}", reached, deadline_s)

    def end_of_feed(self):
        """Waits until all that came of a new store's only stream, which has ended, is applied and sent; the slot of its last block."""

        def applied():
            status = self.status()
            return status["watermark"]["number"] == status["ingest"]["blocks_settled"]

        wait_for("the end of the feed", lambda: self.status()["stream"]["state"] != "live")
        # A block that was taken out of the queue is in no queue, and not in the store yet.
        wait_for("the last block to be applied", applied)
        wait_for("empty queues", lambda: self.status()["fanout"]["queued_bytes"] == 0)
        return self.status()["watermark"]["slot"]


def run(*args, code=0):
    """Runs `everstate ARGS` to its end; its standard output."""
    done = subprocess.run([EVERSTATE, *map(str, args)], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == code, f"everstate {' '.join(map(str, args))}: exit {done.returncode}, not {code}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def pace(slots_per_second, slots):
    """So many slots a second, but on a slow machine only as many that no more than `slots` pass until a server that was ended is back."""
    begun = time.monotonic()
    run("check", STACK)
    restart_s = 6 * (time.monotonic() - begun)  # some readings of the store between, and the start itself
    return min(slots_per_second, slots / restart_s)


def refused(*args):
    """(exit code, everything it said) of `everstate ARGS`, run to its end."""
    done = subprocess.run([EVERSTATE, *map(str, args)], capture_output=True, text=True, timeout=DEADLINE_S)
    return done.returncode, done.stdout + done.stderr


def inspect(data):
    return json.loads(run("inspect", "--data", data))


def digest(data):
    return run("inspect", "--data", data, "--digest").strip()


def dump_views(data, folder):
    """Writes every entity's rows as JSON lines; {entity: file}."""
    files = {}
    for entity in ("TokenMint", "TokenAccount"):
        files[entity] = pathlib.Path(folder) / f"{entity}.jsonl"
        files[entity].write_text(run("inspect", "--data", data, "--view", f"{entity}/list"))
    return files


def last_slot(path):
    """The slot of a recording's last block."""
    return [block.slot for block in oracle_recording.blocks(path)][-1]


class EndToEndTest(unittest.TestCase):
    """A folder of its own, and processes that are gone when the test ends."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="everstate-e2e-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def start(self, process):
        self.addCleanup(process.kill)
        return process

    def undisturbed(self, path):
        """(digest, last status) of a server that has followed a whole recording and that nothing happened to."""
        provider, server = self.followed(path, data="undisturbed")
        status = server.status()
        self.assertEqual(server.stop(), 0)
        provider.stop()
        return digest(self.folder / "undisturbed"), status

    def check_end(self, server, data, path, wanted):
        """The server comes to the end of the recording and stops in order; its store has no gap and this digest."""
        server.wait_for_slot(last_slot(path))
        self.assertEqual(server.stop(), 0)
        self.assertEqual(inspect(data)["gaps"], [])
        self.assertEqual(digest(data), wanted)

    def followed(self, recording, *options, data="data"):
        """(provider, server): a server, in a folder of that name, that has come to the end of the recording."""
        provider = self.start(Replay(recording, options=["--slots-per-second", "max"]))
        server = self.start(Server(provider.endpoint, self.folder / data, (*PATIENT, *options)).listening())
        server.wait_for_slot(last_slot(recording))
        return provider, server
