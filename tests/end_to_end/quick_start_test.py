#!/usr/bin/env python3
"""The installed package, used by a project that knows nothing else: hyperstack-server's two Quick Starts in C++, compiled, run
against a provider, seen over WebSocket, stopped in order. The C++ of the README is compiled on the way."""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest

import harness
from harness import Process, Replay

import places
import raw_ws

BUILD = os.environ.get("TEST_BUILD")
CMAKE = os.environ.get("TEST_CMAKE", "cmake")
README = harness.TESTS.parent / "README.md"
STACK = harness.TESTS / "stacks" / "Demo.stack.json"


def call(*args):
    """Runs a command to its end; its output."""
    done = subprocess.run([str(arg) for arg in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout


@unittest.skipUnless(BUILD, "TEST_BUILD names no build folder to install from")
class QuickStartTest(harness.EndToEndTest):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory(prefix="everstate-package-")
        cls.addClassCleanup(temporary.cleanup)
        folder = pathlib.Path(temporary.name)
        cls.prefix, cls.programs, examples = folder / "prefix", folder / "build", folder / "examples"
        call(CMAKE, "--install", BUILD, "--prefix", cls.prefix)
        examples.mkdir()
        cls.examples = re.findall(r"```cpp\n(.*?)```", README.read_text(), flags=re.DOTALL)
        for number, text in enumerate(cls.examples, 1):
            (examples / f"readme_{number}.cc").write_text(text)
        compiler = [f"-DCMAKE_CXX_COMPILER={os.environ['TEST_CXX']}"] if "TEST_CXX" in os.environ else []
        call(CMAKE, "-S", harness.HERE / "quick_start", "-B", cls.programs, f"-DCMAKE_PREFIX_PATH={cls.prefix}", f"-DEXAMPLES_DIR={examples}", *compiler)
        call(CMAKE, "--build", cls.programs)

    def run_program(self, name, *args, **replay):
        """The program, listening: (process, URL, provider)."""
        provider = self.start(Replay(places.recording("demo"), **replay))
        port = harness.quiet_port()
        environment = {**os.environ, "YELLOWSTONE_ENDPOINT": provider.endpoint}
        program = self.start(Process(self.programs / name, STACK, f"127.0.0.1:{port}", *args, name=name, env=environment, cwd=self.folder))
        url = f"ws://127.0.0.1:{port}"
        harness.wait_for(f"{name} to listen", lambda: self.connects(program, url))
        return program, url, provider

    def connects(self, program, url):
        self.assertTrue(program.running(), "\n".join(program.lines))
        try:
            raw_ws.connect(url).sock.close()
            return True
        except ConnectionRefusedError:
            return False

    def see_rows(self, url):
        """Waits until a snapshot of the tokens has rows; the client, still subscribed."""
        client = raw_ws.connect(url)
        self.addCleanup(client.sock.close)
        client.send({"type": "subscribe", "view": "Token/list"})
        for message in client.messages(harness.DEADLINE_S):
            if message["op"] in ("snapshot", "patch", "upsert") and message["data"]:
                return client
        self.fail("no row came")

    def test_the_first_quick_start_serves_and_stops_in_order(self):
        program, url, _ = self.run_program("quick_start")
        client = self.see_rows(url)
        program.process.send_signal(signal.SIGTERM)
        self.assertEqual(client.close_code(), 1012)
        self.assertEqual(program.wait(30), 0, "\n".join(program.lines))
        self.assertIn("stopped at slot", program.lines[-1])
        # What it projected is there, where `everstate serve` would have put it.
        self.assertEqual(harness.inspect(self.folder / "data" / "Demo")["stack"]["name"], "Demo")

    def test_max_clients_of_the_second_holds(self):
        program, url, _ = self.run_program("quick_start_configured", 2)
        with self.see_rows(url), raw_ws.connect(url) as second:
            with self.assertRaises(raw_ws.Refused) as refused:
                raw_ws.connect(url)
            self.assertEqual(refused.exception.status, 503)
            self.assertEqual(refused.exception.headers["x-error-code"], "too-many-sessions")
            second.close()
            harness.wait_for("the place of the one that left", lambda: self.accepted(url))
        self.assertEqual(program.stop(), 0)

    def accepted(self, url):
        try:
            raw_ws.connect(url).sock.close()
            return True
        except raw_ws.Refused:
            return False

    def test_trouble_of_the_stream_is_logged_at_each_heartbeat(self):
        program, url, provider = self.run_program("quick_start_configured", 10, 1)
        self.see_rows(url)
        provider.stop()
        program.line("not ready: the stream is not live")
        said = len(program.lines)
        harness.wait_for("the next heartbeat", lambda: any("not ready:" in line for line in program.lines[said:]))
        self.assertEqual(program.stop(), 0)

    def test_what_is_installed(self):
        self.assertTrue(call(self.prefix / "bin" / "everstate", "--version").startswith("everstate "))
        headers = [path for path in (self.prefix / "include").rglob("*") if path.is_file()]
        self.assertEqual([path.relative_to(self.prefix).as_posix() for path in headers], ["include/everstate/server.h"])
        included = re.findall(r"#include\s*(\S+)", re.sub(r"//.*", "", headers[0].read_text()))
        self.assertTrue(included)
        for name in included:  # the standard library and nothing else
            self.assertRegex(name, r"^<[a-z_]+>$")
        self.assertTrue(self.examples, "the README shows no C++")


if __name__ == "__main__":
    unittest.main(verbosity=2)
