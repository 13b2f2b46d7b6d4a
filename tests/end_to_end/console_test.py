#!/usr/bin/env python3
"""The desktop console against a real server, on a display of its own: what is injected reaches the server, and what the widgets
show is what the server says elsewhere.

TEST_CONSOLE_PROGRAM names the console; TEST_SHOTS=FOLDER leaves pictures there.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

import harness
from harness import Replay, Server, wait_for

import places
import recording as oracle_recording

CONSOLE = os.environ.get("TEST_CONSOLE_PROGRAM", str(harness.TESTS.parent / "build" / "test" / "everstate-console"))
SHOTS = os.environ.get("TEST_SHOTS")
HEALTHY, UNHEALTHY, UNREACHABLE = 0, 1, 2


class Display:
    """An Xvfb with a number that it finds itself."""

    def __init__(self):
        self.process = subprocess.Popen(["Xvfb", "-displayfd", "1", "-screen", "0", "1700x1100x24", "-nolisten", "tcp"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.name = ":" + self.process.stdout.readline().strip()

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


class Console:
    """The console, driven by its script."""

    def __init__(self, admin, display, folder):
        self.dump_file = folder / "widgets.json"
        environment = {**os.environ, "DISPLAY": display.name, "LIBGL_ALWAYS_SOFTWARE": "1"}
        self.process = subprocess.Popen([CONSOLE, "--admin", admin, "--scale", "1", "--script", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def do(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().rstrip("\n")
        if answer != "ok " + command:
            raise AssertionError(answer or f"the console ended at: {command}")

    def widgets(self):
        self.do(f"dump {self.dump_file}")
        return json.loads(self.dump_file.read_text())["widgets"]

    def text(self, name):
        return next((w["text"] for w in self.widgets() if w["name"] == name and w["kind"] != "tooltip"), None)

    def shot(self, name):
        if SHOTS:
            self.do(f"screenshot {SHOTS}/{name}.ppm")

    def quit(self):
        self.process.stdin.close()
        code = self.process.wait(30)
        self.process.stdout.close()
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def newest_frame(console):
    """The number of the last frame that the tail shows."""
    return max(int(found[1]) for widget in console.widgets() if (found := re.match(r"frame (\d+)", widget["name"])))


def number(text):
    """The number at the beginning of a text with a unit."""
    return float(text.split(" ")[0].replace(",", ""))


@unittest.skipUnless(pathlib.Path(CONSOLE).exists(), f"there is no console at {CONSOLE}")
class OnceTest(harness.EndToEndTest):
    def once(self, admin, *options):
        environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
        done = subprocess.run([CONSOLE, "--once", "--json", "--admin", admin, *options], capture_output=True, text=True, timeout=harness.DEADLINE_S, env=environment)
        return done.returncode, json.loads(done.stdout) if done.stdout else None

    def test_health_and_rates(self):
        admin = f"127.0.0.1:{harness.quiet_port()}"
        self.assertEqual(self.once(admin)[0], UNREACHABLE)
        rates = {}
        for pace in (1, 10):
            replay = self.start(Replay(places.recording("spl-small"), options=["--slots-per-second", str(pace), "--loop"]))
            server = self.start(Server(replay.endpoint, self.folder / f"data-{pace}", options=["--admin", admin]).ready())
            code, seen = self.once(admin, "--over", "12")
            self.assertEqual((code, seen["healthy"], seen["state"]), (HEALTHY, True, "live"))
            self.assertEqual(seen["generation"], 1)
            self.assertGreater(seen["slot"], 0)
            rates[pace] = seen["blocks_per_second"]
            # Without a provider the server is not healthy for long.
            if pace == 10:
                replay.kill()
                wait_for("an unhealthy server", lambda: self.once(admin)[0] == UNHEALTHY)
            self.assertEqual(server.stop(), 0)
            replay.kill()
        # One slot more or less in each span.
        self.assertAlmostEqual(rates[10] / rates[1], 10, delta=3)


@unittest.skipUnless(pathlib.Path(CONSOLE).exists(), f"there is no console at {CONSOLE}")
@unittest.skipUnless(shutil.which("Xvfb"), "Xvfb is not installed")
class WindowTest(harness.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.display = Display()
        self.addCleanup(self.display.stop)
        self.admin = f"127.0.0.1:{harness.quiet_port()}"
        self.replay = self.start(Replay(places.recording("spl-small"), options=["--slots-per-second", "5", "--loop"]))

    def serve(self):
        return self.start(Server(self.replay.endpoint, self.folder / "data", options=["--admin", self.admin, "--archive-keep", "64MiB"]).ready())

    def open(self):
        return self.start(Console(self.admin, self.display, self.folder))

    def test_what_it_shows_is_what_the_server_says(self):
        server = self.serve()
        console = self.open()
        console.do("wait state live is lit")
        console.do("wait receive rate contains updates/s")
        # What it shows was true a moment ago, and what is true now it shows in a moment.
        before = server.status()["watermark"]["slot"]
        wait_for("the slot in the console", lambda: int(console.text("slot applied")) >= before)
        shown = int(console.text("slot applied"))
        self.assertLessEqual(shown, server.status()["watermark"]["slot"])
        self.assertEqual(console.text("commitment"), "confirmed")
        console.do("rest 6")
        console.shot("real-stream-health")

        console.do("key Ctrl+2")
        console.do("wait tail state is live")
        wait_for("frames in the tail", lambda: number(console.text("rows")) > 20)
        console.do("click pause")
        console.do("wait tail state is paused at the server")
        kept, newest = number(console.text("rows")), newest_frame(console)
        slot = server.status()["watermark"]["slot"]
        server.wait_for_slot(slot + 5)
        self.assertEqual(number(console.text("rows")), kept, "paused, and yet frames came")
        console.do("click pause")
        console.do("wait tail state is live")
        # The tail keeps so many rows and no more: it is the newest that tells.
        wait_for("more frames", lambda: newest_frame(console) > newest)

        console.do("click view")
        console.do("click view=TokenMint/list")
        console.do("click text filter")
        console.do("type \"op\":\"patch\"")
        wait_for("frames that match", lambda: number(console.text("rows")) > 0)
        console.do("click pause")
        console.do("wait tail state is paused at the server")
        widgets = console.widgets()
        views = {w["text"] for w in widgets if w["name"].startswith("frame ") and w["name"].endswith(" view") and w["kind"] == "name"}
        ops = {w["text"] for w in widgets if w["name"].startswith("frame ") and w["name"].endswith(" op")}
        self.assertEqual((views, ops), ({"TokenMint/list"}, {"patch"}))
        # One in the middle: the first may lie half below the header.
        rows = [w["name"] for w in widgets if w["kind"] == "row" and w["visible"]]
        console.do(f"click {rows[len(rows) // 2]}")
        self.assertEqual(json.loads(console.text("frame json"))["entity"], "TokenMint/list")
        console.shot("real-bus-traffic")
        self.assertEqual(console.quit(), 0)
        self.assertEqual(server.stop(), 0)

    def test_checkpoint_and_rewind(self):
        path = places.recording("spl-small")
        first = oracle_recording.blocks(path)[0].slot
        server = self.serve()
        server.wait_for_slot(first + 5)
        console = self.open()
        console.do("key Ctrl+3")
        console.do("click create")
        console.do("wait notice contains made ")
        wait_for("the checkpoint in the list", lambda: any(w["name"].startswith("checkpoint ") for w in console.widgets()))
        row = next(w["name"] for w in console.widgets() if w["kind"] == "row" and w["name"].startswith("checkpoint "))
        slot = int(re.fullmatch(r"checkpoint (\d+)-.*", row)[1])
        console.do(f"click {row}")
        console.do("click verify")
        console.do("wait notice contains is whole")
        server.wait_for_slot(slot + 10)

        console.do("click rewind")
        console.do("wait rewind now disabled")
        console.do("click rewind confirmation")
        console.do(f"type {slot}")
        console.do("click rewind now")
        console.do("wait rewind state contains done")
        console.shot("real-checkpoints")
        self.assertEqual(server.status()["generation"], 2)
        console.do("wait timeline contains generation 2")
        self.assertEqual(console.quit(), 0)
        self.assertEqual(server.stop(), 0)

    def test_a_killed_server_is_shown_lost_and_found(self):
        server = self.serve()
        console = self.open()
        console.do("wait state live is lit")
        console.do("wait slot applied fresh")
        server.kill()
        console.do("wait server contains LOST")
        console.do("wait slot applied stale")
        self.assertNotEqual(console.text("slot applied"), "—", "its last known state stays")
        again = self.serve()
        console.do("wait server contains connected to")
        console.do("wait slot applied fresh")
        self.assertEqual(console.quit(), 0)
        self.assertEqual(again.stop(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
