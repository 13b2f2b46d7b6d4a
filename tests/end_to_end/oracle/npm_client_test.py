"""Runs the real npm client against a scripted server: it must merge as the wire protocol says, and dump when told.

The packages are taken from TEST_NPM_ROOT, else from tests/end_to_end (`npm ci` there puts them in place).
"""

import json
import os
import signal
import subprocess
import tempfile
import threading
import unittest

import counting
import counting_test
import entities
import places
from fake_server import FakeServer

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.environ.get("TEST_NPM_ROOT", os.path.dirname(HERE))
NODE = os.path.join(ROOT, "node_modules", "node", "bin", "node")
LIVE = [
    {"op": "patch", "key": "a", "data": {"n": {"y": 2}, "log": [2, 3], "_seq": "10:000000000001"}, "append": ["log"]},
    {"op": "patch", "key": "new", "data": {"n": {"x": 7}, "log": [9]}, "append": ["log"]},
    {"op": "upsert", "key": "b", "data": {"n": {"z": 1}}},
    {"op": "patch", "key": "a", "data": {"n": {"x": None}, "list": [4]}},
    {"op": "delete", "key": "c", "data": None},
    {"op": "create", "key": "d", "data": {"big": "18446744073709551615"}},
]
HELD = {
    "a": {"n": {"x": None, "y": 2}, "log": [1, 2, 3], "list": [4], "_seq": "10:000000000001"},
    "b": {"n": {"z": 1}},
    "d": {"big": "18446744073709551615"},
    "new": {"n": {"x": 7}, "log": [9]},
}


def answer(connection, subscribe, rows, look="9:000000000004"):
    view = subscribe["view"]
    mode = view.split("/")[1]
    sort = {"field": ["_seq"], "order": "desc"}
    connection.send({"op": "subscribed", "view": view, "mode": mode, "sort": sort, "seq": look})
    half = len(rows) // 2
    for part, complete in ((rows[:half], False), (rows[half:], True)):
        connection.send({"mode": mode, "entity": view, "op": "snapshot", "data": part, "complete": complete})


def live(view):
    for index, frame in enumerate(LIVE, 1):
        yield {"mode": "list", "entity": view, **frame, "seq": f"10:{index:012d}"}


def rows():
    return [
        {"key": "a", "data": {"n": {"x": 1}, "log": [1], "list": [1, 2]}},
        {"key": "b", "data": {"n": {"x": 1, "y": 1}}},
        {"key": "c", "data": {}},
    ]


@unittest.skipUnless(os.path.exists(NODE), f"no pinned Node at {NODE}: run `npm ci` in tests/end_to_end")
class NpmClientTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.raw = os.path.join(self.folder, "raw.jsonl")
        self.requests = []

    def start(self, url, *arguments):
        command = [NODE, os.path.join(HERE, "npm_client.mjs"), url, *arguments, "--out", self.folder, "--raw", self.raw]
        pipe = subprocess.PIPE
        environment = {**os.environ, "TEST_NPM_ROOT": ROOT}
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        for cleanup in (process.stdout.close, process.stdin.close, process.wait, process.kill):
            self.addCleanup(cleanup)
        return process

    def run_script(self, *arguments, end=None, views=1, code=0, extra=()):
        """Serves `views` list subscriptions, sends the live frames of each, lets `end(process)` stop the client."""
        sent = threading.Event()

        def script(connection):
            for _ in range(views):
                self.requests.append(connection.request())
                answer(connection, self.requests[-1], rows())
            for request in self.requests:
                for frame in [*live(request["view"]), *extra]:
                    connection.send(frame)
            sent.set()
            while connection.frame() is not None:
                pass

        with FakeServer(script) as server:
            process = self.start(server.url, *arguments)
            if end:
                self.assertTrue(sent.wait(60))
                end(process)
            text = process.stdout.read()
            self.assertEqual(process.wait(60), code, text)
        return text

    def wait_for_frames(self, count):
        """Waits until the client has written down so many messages; its merge of each follows in the same turn."""
        for _ in range(6000):
            if os.path.exists(self.raw):
                with open(self.raw, encoding="utf-8") as file:
                    if len(file.readlines()) >= count:
                        return
            threading.Event().wait(0.01)
        raise AssertionError(f"{count} messages did not arrive")

    def held(self, view):
        return entities.read_rows(os.path.join(self.folder, view + ".jsonl"))

    def test_merges_until_a_cursor(self):
        text = self.run_script("E/list", "--until-seq", "10:000000000006")
        self.assertEqual(self.held("E.list"), HELD)
        self.assertEqual(text.split("\n")[-2], "dumped 4")
        self.assertIn("subscribed E/list\ncomplete E/list\n", text)
        self.assertEqual(self.requests, [{"type": "subscribe", "view": "E/list"}])

    def test_the_raw_messages_merge_to_the_same(self):
        self.run_script("E/list", "--until-seq", "10:6")
        merged = {}
        with open(self.raw, encoding="utf-8") as file:
            for frame in map(json.loads, file):
                if frame["op"] == "snapshot":
                    merged.update((row["key"], row["data"]) for row in frame["data"])
                elif frame["op"] == "patch" and frame["key"] in merged:
                    held = merged[frame["key"]]
                    merged[frame["key"]] = counting.merge(held, frame["data"], frame.get("append", []))
                elif frame["op"] == "delete":
                    del merged[frame["key"]]
                elif frame["op"] != "subscribed":
                    merged[frame["key"]] = frame["data"]
        self.assertEqual(merged, HELD)

    def test_dumps_when_stdin_ends(self):
        def end(process):
            self.wait_for_frames(3 + len(LIVE))
            process.stdin.close()

        self.run_script("E/list", end=end)
        self.assertEqual(self.held("E.list"), HELD)

    def test_dumps_on_sigterm(self):
        def end(process):
            self.wait_for_frames(3 + len(LIVE))
            process.send_signal(signal.SIGTERM)

        self.run_script("E/list", end=end)
        self.assertEqual(self.held("E.list"), HELD)

    def test_two_views_both_reach_the_cursor(self):
        self.run_script("E/list", "F/list", "--until-seq", "10:6", views=2)
        self.assertEqual(self.held("E.list"), HELD)
        self.assertEqual(self.held("F.list"), HELD)

    def test_options_and_keys_are_sent(self):
        def script(connection):
            self.requests.append(connection.request())
            answer(connection, self.requests[-1], rows()[:1])
            while connection.frame() is not None:
                pass

        with FakeServer(script) as server:
            process = self.start(server.url, "E/state@a", "--options", '{"after":"3:1"}', "--until-seq", "9:4")
            self.assertEqual(process.wait(60), 0)
        self.assertEqual(self.requests, [{"type": "subscribe", "view": "E/state", "key": "a", "after": "3:1"}])
        self.assertEqual(self.held("E.state"), {"a": rows()[0]["data"]})

    def test_a_client_in_error_is_no_success(self):
        def end(process):
            self.wait_for_frames(3 + len(LIVE) + 1)
            process.stdin.close()

        # The client takes a message that is null for a failure of the connection.
        text = self.run_script("E/list", end=end, code=1, extra=[None])
        self.assertIn("state error", text)

    def test_the_judges_agree_with_the_real_client(self):
        """The frames due for a recording, through the real client: what it dumps are the entities expected."""
        path, expected = places.recording("spl-small"), places.expected("spl-small.entities.json")
        if not path or not expected:
            self.skipTest("spl-small is not in this checkout")
        changes = counting.fold(path)[1]

        def script(connection):
            for _ in range(2):
                answer(connection, connection.request(), [], look="0:000000000000")
            for frame in counting_test.ranked_frames(changes)[2:]:
                connection.send(frame)
            while connection.frame() is not None:
                pass

        with FakeServer(script) as server:
            process = self.start(server.url, "TokenMint/list", "TokenAccount/list")
            self.wait_for_frames(2 * 3 + len(changes))
            process.stdin.close()
            self.assertEqual(process.wait(60), 0)
        judge = counting.compare(path, [self.raw])
        self.assertEqual((judge.frames, judge.lines), (len(changes), []))
        with open(expected, encoding="utf-8") as file:
            held = {entity: self.held(entity + ".list") for entity in ("TokenMint", "TokenAccount")}
            report = entities.compare(json.load(file), held)
        self.assertEqual(report.differences, [])
        self.assertEqual(report.leaves_compared, report.leaves_expected)


if __name__ == "__main__":
    unittest.main()
