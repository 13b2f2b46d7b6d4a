#!/usr/bin/env python3
"""Clients that break every rule there is, on the port of the views and on that of the admin service: each gets an answer that says what was
wrong, and a client that keeps the rules loses and waits for nothing meanwhile."""

import contextlib
import json
import os
import socket
import ssl
import unittest

import harness
from fanout_test import Reader
from harness import Replay, Server

import looped
import places
import raw_ws

RECORDING = places.recording("spl-small")
SLOTS_PER_SECOND = 50
CLIENT_MESSAGE_BYTES_MAX = 64 << 10  # FanoutOptions: beyond it a session is closed with 1009
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


def client_hello():
    """The first bytes of a TLS client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def exchange(address, data):
    """Everything that comes back; empty when the other side just closes."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=harness.DEADLINE_S) as sock:
        answer = b""
        with contextlib.suppress(ConnectionError):
            sock.sendall(data)
            while more := sock.recv(1 << 16):
                answer += more
        return answer


class BadClientsTest(harness.EndToEndTest):
    def serve(self, admin="off"):
        self.replay = self.start(Replay(RECORDING, options=["--slots-per-second", str(SLOTS_PER_SECOND), "--loop"]))
        return self.start(Server(self.replay.endpoint, self.folder / "data", ["--admin", admin, "--checkpoint-every", "off"]).ready())

    @contextlib.contextmanager
    def nobody_else_notices(self, server):
        """A client that keeps the rules, from before the body until after it: it must get every frame that is due, and no other."""
        reader = Reader(server.url, "TokenAccount/list", self.folder / "reader.jsonl")
        self.addCleanup(reader.socket.sock.close)
        reader.start()
        self.assertTrue(reader.whole.wait(harness.DEADLINE_S))
        yield
        heard = len(reader.slots)
        harness.wait_for("the reader to go on", lambda: len(reader.slots) > heard + 5)
        self.replay.stop()
        last = server.end_of_feed()
        self.assertEqual(server.stop(), 0)
        reader.join(harness.DEADLINE_S)
        self.assertEqual(reader.error.code, 1012)
        [judge] = looped.compare(RECORDING, [reader.file], last)
        print(f"meanwhile: {judge.frames} frames received, {judge.due_total} due, differences {dict(judge.differences)}")
        self.assertEqual(dict(judge.differences), {}, "\n".join(judge.lines[:20]))

    def test_what_is_no_upgrade_is_answered_in_http(self):
        server = self.serve()
        address = server.url.removeprefix("ws://")
        before = server.status()["fanout"]
        with self.nobody_else_notices(server):
            slow = socket.create_connection(address.rsplit(":", 1))  # it never ends its request
            self.addCleanup(slow.close)
            slow.sendall(b"GET / HTTP/1.1\r\nHost: l")
            for data, status, words in (
                (b"GET / HTTP/1.1\r\nHost: t\r\n\r\n", 200, "<!doctype html>"),
                (b"GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n", 404, "There is nothing here. WebSocket clients may connect to any path."),
                (b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello", 405, "Only GET and HEAD are answered."),
                (f"GET / HTTP/1.1\r\nHost: t\r\n{UPGRADE}Sec-WebSocket-Version: 8\r\n\r\n".encode(), 426, "Only WebSocket version 13 is spoken here."),
                (b"GET / HTTP/1.1\r\nHost: t\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431, "The request's head is larger than 8 KiB."),
                (client_hello(), 400, "This is no HTTP request: "),
                (b"\0" * 3000 + b"\r\n\r\n", 400, "This is no HTTP request: "),
                (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "This is no HTTP request: "),
            ):
                answer = exchange(address, data).decode()
                self.assertTrue(answer.startswith(f"HTTP/1.1 {status} "), (data[:40], answer[:200]))
                self.assertIn(words, answer)
            slow.settimeout(harness.DEADLINE_S)
            self.assertEqual(slow.recv(1), b"")
            fanout = server.status()["fanout"]
            self.assertEqual(fanout["sessions_refused"] - before["sessions_refused"], 7)
            self.assertEqual(fanout["sessions_total"] - before["sessions_total"], 1)  # the reader

    def test_messages_that_are_none_are_answered_by_name(self):
        server = self.serve()
        with self.nobody_else_notices(server), raw_ws.connect(server.url) as client:
            for message, code, words in (
                ("this is no JSON", "invalid-message", "The message is not JSON."),
                ('{"type":"subscribe","view":"TokenMint/list"', "invalid-message", "The message is not JSON."),
                ("", "invalid-message", "The message is not JSON."),
                ("[" * 40000, "invalid-message", "The message is nested deeper than 16 levels."),
                ('{"a":' * 10000, "invalid-message", "The message is nested deeper than 16 levels."),
                ("[1,2]", "invalid-message", "The message is not a JSON object."),
                ('{"type":"shout"}', "invalid-message", '"type" must be one of subscribe, unsubscribe, ping, refresh_auth.'),
                ('{"type":"subscribe","view":7}', "invalid-message", '"view" must be text: the name of a view.'),
                ('{"view":"TokenMint/list","key":{"a":1}}', "invalid-message", '"key" must be text.'),
                ('{"view":"TokenMint/list","take":-1}', "invalid-message", '"take" must be an integer of at least 0.'),
                (json.dumps({"type": "subscribe", "view": "x" * 1024}), "unknown-view", ""),
                (json.dumps({"type": "subscribe", "view": "x" * 1025}), "invalid-message", '"view" is longer than 1024 bytes.'),
                (json.dumps({"view": "TokenMint/list", "key": "x" * 1025}), "invalid-message", '"key" is longer than 1024 bytes.'),
            ):
                client.send(message)
                reply = json.loads(client.message())
                self.assertEqual((reply["type"], reply["code"], reply["fatal"]), ("error", code, False), message[:60])
                self.assertIn(words, reply["message"])
            client.send_frame(raw_ws.BINARY, os.urandom(2000))
            client.ping(b"still here")
            harness.wait_for("the binary message to be counted", lambda: server.status()["fanout"]["messages_ignored"] == 13)
            client.send({"type": "subscribe", "view": "TokenMint/list", "key": "nobody"})
            self.assertEqual(json.loads(client.message())["op"], "subscribed")

    def test_broken_rules_end_their_session_with_a_code(self):
        server = self.serve()
        text = lambda data: raw_ws.encode_frame(raw_ws.TEXT, data, b"mask")
        with self.nobody_else_notices(server):
            for data, code in (
                (text(b" " * (CLIENT_MESSAGE_BYTES_MAX + 1)), 1009),
                (b"\x81\xff" + (1 << 62).to_bytes(8, "big") + b"mask", 1009),  # announces 4 EiB
                (text(b"\xff\xfe\xfd"), 1007),
                (raw_ws.encode_frame(raw_ws.TEXT, b"{}"), 1002),  # without a mask
                (raw_ws.encode_frame(3, b"x", b"mask"), 1002),  # an opcode that is reserved
                (raw_ws.encode_frame(raw_ws.PING, b"x" * 126, b"mask"), 1002),
                (client_hello(), 1002),
            ):
                with raw_ws.connect(server.url) as client:
                    client.sock.sendall(data)
                    self.assertEqual(client.close_code(harness.DEADLINE_S), code, data[:20])
            self.assertEqual(server.status()["fanout"]["sessions_closed_error"], 7)
            self.assertEqual(server.status()["fanout"]["sessions"], 1)

    def test_noise_on_the_admin_port_holds_up_nobody(self):
        server = self.serve(admin="127.0.0.1:0")
        admin = server.line(r"^admin (\S+)")[1]
        with self.nobody_else_notices(server):
            for data in (os.urandom(4096), b"GET /status HTTP/1.1\r\nHost: t\r\n\r\n", client_hello(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(4096), b"\0" * 100_000):
                exchange(admin, data)
            harness.run("checkpoint", "create", "--data", self.folder / "data", "--admin", admin)
            [checkpoint] = json.loads("[" + ",".join(harness.run("checkpoint", "list", "--json", "--data", self.folder / "data", "--admin", admin).splitlines()) + "]")
            self.assertIsNone(checkpoint["damage"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
