"""Tests of the raw WebSocket client against a server in this process."""

import json
import socket
import threading
import unittest

import raw_ws
from fake_server import FakeServer


class FrameTest(unittest.TestCase):
    def test_the_accept_key_of_the_rfc(self):
        self.assertEqual(raw_ws.accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")

    def test_the_examples_of_the_rfc(self):
        # RFC 6455 §5.7.
        self.assertEqual(raw_ws.encode_frame(raw_ws.TEXT, b"Hello"), bytes.fromhex("810548656c6c6f"))
        mask = bytes.fromhex("37fa213d")
        wire = bytes.fromhex("818537fa213d7f9f4d5158")
        self.assertEqual(raw_ws.encode_frame(raw_ws.TEXT, b"Hello", mask), wire)
        self.assertEqual(raw_ws.FrameReader(wire, from_client=True).next(), (True, raw_ws.TEXT, b"Hello"))
        self.assertEqual(raw_ws.encode_frame(raw_ws.BINARY, bytes(256))[:4], bytes.fromhex("827e0100"))
        self.assertEqual(raw_ws.encode_frame(raw_ws.BINARY, bytes(65536))[:10], bytes.fromhex("827f0000000000010000"))

    def test_frames_come_out_whatever_the_cuts(self):
        sizes = (0, 1, 125, 126, 127, 65535, 65536)
        wire = b"".join(raw_ws.encode_frame(raw_ws.TEXT, b"x" * size) for size in sizes)
        for step in (1, 2, 3, 1000, 200000):
            reader, found = raw_ws.FrameReader(), []
            for at in range(0, len(wire), step):
                reader.data += wire[at : at + step]
                while (frame := reader.next()) is not None:
                    found.append(len(frame[2]))
            self.assertEqual(found, list(sizes))

    def test_broken_frames_are_errors(self):
        for wire in ("c100", "818037fa213d", "0900", "897e007e" + "00" * 126):
            with self.assertRaises(raw_ws.ProtocolError):
                raw_ws.FrameReader(bytes.fromhex(wire)).next()


class ClientTest(unittest.TestCase):
    def test_messages_and_fragments_and_the_close_code(self):
        def script(connection):
            self.assertIn("GET / HTTP/1.1", connection.head[0])
            self.assertEqual(connection.request(), {"type": "subscribe", "view": "A/list"})
            connection.send({"n": 1})
            connection.send_frame(raw_ws.TEXT, b'{"n"', fin=False)
            connection.send_frame(raw_ws.PING, b"between")
            connection.send_frame(raw_ws.CONTINUATION, b":2}")
            self.assertEqual(connection.frame(), (True, raw_ws.PONG, b"between"))
            connection.close(1013, "slow")

        with FakeServer(script) as server, raw_ws.connect(server.url) as client:
            client.send({"type": "subscribe", "view": "A/list"})
            found = []
            with self.assertRaises(raw_ws.Closed) as closed:
                found.extend(m["n"] for m in client.messages(30))
            self.assertEqual((closed.exception.code, closed.exception.reason), (1013, "slow"))
            self.assertEqual(client.pings, 1)

    def test_messages_before_the_close_are_delivered(self):
        def script(connection):
            for n in range(100):
                connection.send({"n": n, "pad": "x" * 1000})
            connection.close(1012)

        with FakeServer(script) as server, raw_ws.connect(server.url) as client:
            found = [json.loads(client.message())["n"] for _ in range(100)]
            self.assertEqual(found, list(range(100)))
            self.assertEqual(client.close_code(), 1012)

    def test_ping_and_own_close(self):
        def script(connection):
            _, opcode, payload = connection.frame()
            self.assertEqual(opcode, raw_ws.PING)
            connection.send_frame(raw_ws.PONG, payload)
            _, opcode, payload = connection.frame()
            self.assertEqual((opcode, payload), (raw_ws.CLOSE, b"\x0f\xa1bye"))
            connection.send_frame(raw_ws.CLOSE, payload)

        with FakeServer(script) as server, raw_ws.connect(server.url) as client:
            client.ping(b"p")
            self.assertEqual(client.close(4001, "bye"), 4001)
            self.assertEqual(client.pongs, [b"p"])

    def test_an_end_without_close_frame(self):
        with FakeServer(lambda connection: None) as server, raw_ws.connect(server.url) as client:
            self.assertEqual(client.close_code(), 1006)

    def test_the_deadline_ends_a_quiet_connection(self):
        quiet = threading.Event()
        with FakeServer(lambda connection: quiet.wait(30)) as server, raw_ws.connect(server.url) as client:
            self.assertEqual(list(client.messages(0.05)), [])
            with self.assertRaises(TimeoutError):
                client.message(0.05)
            quiet.set()

    def test_a_client_that_does_not_read_fills_the_server(self):
        blocked = threading.Event()

        def script(connection):
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            connection.sock.setblocking(False)
            payload = raw_ws.encode_frame(raw_ws.TEXT, b'"' + b"x" * 1000 + b'"')
            for _ in range(100000):
                try:
                    if connection.sock.send(payload) < len(payload):
                        break
                except BlockingIOError:
                    break
            else:
                raise AssertionError("the socket never filled")
            blocked.set()

        with FakeServer(script) as server, raw_ws.connect(server.url, receive_buffer_bytes=4096) as client:
            self.assertTrue(blocked.wait(30))
            self.assertEqual(client.close_code(30), 1006)

    def test_a_refusal_says_status_and_body(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def refuse():
                with listener.accept()[0] as sock:
                    raw_ws.read_head(sock)
                    head = b"HTTP/1.1 401 Unauthorized\r\nX-Error-Code: auth-required\r\nContent-Length: 2\r\n\r\n"
                    sock.sendall(head + b"{}")

            threading.Thread(target=refuse, daemon=True).start()
            with self.assertRaises(raw_ws.Refused) as refused:
                raw_ws.connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/?token=x")
            self.assertEqual((refused.exception.status, refused.exception.body), (401, b"{}"))
            self.assertEqual(refused.exception.headers["x-error-code"], "auth-required")


if __name__ == "__main__":
    unittest.main()
