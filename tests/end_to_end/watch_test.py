#!/usr/bin/env python3
"""`everstate watch`: what it prints of a real server, and what it makes of arguments, servers and readers that are not as they should be."""

import json
import signal
import socket
import subprocess
import threading
import unittest

import harness
from harness import EVERSTATE, Process, refused

import fake_server
import places
import raw_ws

RECORDING = places.recording("spl-small")
ROW = {"op": "snapshot", "data": [{"key": "a", "data": {"n": 1}}], "complete": True}


class Watch(harness.EndToEndTest):
    def watch(self, *args):
        return self.start(Process(EVERSTATE, "watch", *args))

    def test_it_prints_what_inspect_prints(self):
        _, server = self.followed(RECORDING)
        rows = [json.loads(line) for line in harness.run("inspect", "--data", self.folder / "data", "--view", "TokenAccount/list").splitlines()]
        for line, row in zip(harness.run("watch", server.url, "TokenAccount/list", "--once").splitlines(), rows, strict=True):
            self.assertEqual(json.loads(line), {"key": row["key"], "data": row["data"]})
        for view in ("Nothing/list", "TokenMint/by_volume"):
            code, text = refused("watch", server.url, view)
            self.assertEqual(code, 2)
            self.assertIn(view, text)

    def test_arguments_that_cannot_be_are_named(self):
        for args, words in [
            (("http://127.0.0.1:1", "X/list"), "http://127.0.0.1:1: a WebSocket address begins with ws://"),
            (("wss://host", "X/list"), "wss://host: wss:// is not supported"),
            (("ws://", "X/list"), "ws://: it names no host"),
            (("ws://127.0.0.1:99999", "X/list"), 'ws://127.0.0.1:99999: the port "99999" does not lie between 1 and 65535'),
            (("ws://127.0.0.1:http", "X/list"), 'ws://127.0.0.1:http: the port "http" is no whole number'),
            (("ws://127.0.0.1:1",), "ws://127.0.0.1:1 is an address: the view is missing"),
            (("X/list", "--key", ""), '--key: "" is empty'),
            (("",), '"" is empty'),
            ((), "[URL] VIEW is required"),
        ]:
            code, text = refused("watch", *args)
            self.assertEqual(code, 2, text)
            self.assertIn(words, text)

    def test_frames_that_are_none_end_the_connection_and_nothing_else(self):
        odd = ["not json", "[]", "5", '{"op":5}', '{"type":5}', '{"type":"error","code":5}', '{"op":"patch","key":7,"data":{}}', '{"op":"upsert","key":"k"}', '{"op":"delete"}',
               '{"op":"snapshot"}', '{"op":"snapshot","data":5}', '{"op":"snapshot","data":[5]}', '{"op":"snapshot","data":[{"key":"k"}]}',
               '{"op":"snapshot","data":[],"complete":1}', '{"op":"upsert","key":"k","data":' + "[" * 100000 + "]" * 100000 + "}"]
        for text in odd:
            came = []

            def script(connection, text=text, came=came):
                came.append(connection.request())
                if len(came) == 1:
                    connection.send_frame(raw_ws.TEXT, text.encode())
                else:
                    connection.send(ROW)
                while connection.request():
                    pass

            with self.subTest(text[:60]), fake_server.FakeServer(script) as server:
                watch = self.watch(server.url, "X/list", "--once")
                self.assertEqual(watch.wait(), 0, "\n".join(watch.lines))
                self.assertIn("a frame that is no", "\n".join(watch.lines).replace("none of this protocol", "no"))
                self.assertEqual(json.loads(watch.lines[-1]), {"key": "a", "data": {"n": 1}})

    def test_what_is_deleted_between_two_parts_of_a_snapshot_is_gone(self):
        """As when the server rewinds while a snapshot is under way."""
        rows = {key: {"key": key, "data": {"n": 1}} for key in "ab"}

        def script(connection):
            connection.request()
            connection.send({"op": "snapshot", "data": [rows["a"], rows["b"]], "complete": False})
            connection.send({"op": "delete", "key": "a"})
            for _ in range(2):
                connection.send({"op": "snapshot", "data": [rows["b"]], "complete": True, "reset": True})
            connection.send({"op": "upsert", "key": "end", "data": {}})
            connection.request()

        with fake_server.FakeServer(script) as server:
            watch = self.watch(server.url, "X/list")
            watch.line('"end"')
            self.assertEqual(watch.stop(), 0)
        self.assertEqual([json.loads(line) for line in watch.lines], [rows["a"], rows["b"], {"key": "a", "data": None}, {"key": "end", "data": {}}])

    def test_a_stop_ends_it_while_frames_come(self):
        def script(connection):
            connection.request()
            connection.send(ROW)
            try:
                while True:
                    connection.send({"op": "upsert", "key": "a", "data": {}})
            except OSError:
                return

        with fake_server.FakeServer(script) as server:
            watch = self.watch(server.url, "X/list")
            watch.line('"key":"a"')
            self.assertEqual(watch.stop(), 0)

    def test_a_stop_ends_it_while_the_server_says_nothing(self):
        with socket.create_server(("127.0.0.1", 0)) as mute:  # takes the connection, and that is all
            watch = self.watch(f"ws://127.0.0.1:{mute.getsockname()[1]}", "X/list")
            taken, _ = mute.accept()
            with taken:
                watch.process.send_signal(signal.SIGINT)
                self.assertEqual(watch.wait(), 0)
        subscribed, over = threading.Event(), threading.Event()

        def script(connection):
            connection.request()
            subscribed.set()
            over.wait(harness.DEADLINE_S)

        with fake_server.FakeServer(script) as server:
            watch = self.watch(server.url, "X/list")
            self.assertTrue(subscribed.wait(harness.DEADLINE_S))
            watch.process.send_signal(signal.SIGINT)
            self.assertEqual(watch.wait(), 0)
            over.set()

    def test_a_server_that_says_nothing_is_given_up(self):
        with socket.create_server(("127.0.0.1", 0)) as mute:
            url = f"ws://127.0.0.1:{mute.getsockname()[1]}"
            watch = self.watch(url, "X/list")
            watch.line(f"{url}: .*timeout; connecting again in 500 ms")
            self.assertEqual(watch.stop(), 0)

    def test_it_ends_when_nobody_reads_it(self):
        go_on = threading.Event()

        def script(connection):
            connection.request()
            connection.send(ROW)
            go_on.wait(harness.DEADLINE_S)
            try:
                while True:
                    connection.send({"op": "upsert", "key": "a", "data": {}})
            except OSError:
                return

        with fake_server.FakeServer(script) as server:
            watch = subprocess.Popen([EVERSTATE, "watch", server.url, "X/list"], stdout=subprocess.PIPE)
            self.addCleanup(watch.kill)
            self.assertTrue(watch.stdout.readline())
            watch.stdout.close()
            go_on.set()
            self.assertEqual(watch.wait(harness.DEADLINE_S), -signal.SIGPIPE)


if __name__ == "__main__":
    unittest.main(verbosity=2)
