#!/usr/bin/env python3
"""Endpoints that refuse, lie, close, babble or say nothing: the server says what is wrong and what may help, comes back for ever with growing
pauses, and goes on answering its clients. What was heard before a fault is lost nowhere and counted nowhere twice."""

import json
import os
import re
import struct
import unittest

import harness
from harness import Replay, Server

import places
import raw_geyser
import raw_ws
import recording as oracle_recording
import tls

RECORDING = places.recording("spl-small")
SLOTS = [block.slot for block in oracle_recording.blocks(RECORDING)]
MESSAGES = list(oracle_recording.raw_messages(RECORDING))
NO_UPDATE = b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # field 2 with a length that needs more than 64 bits
MESSAGE_MAX = 64 << 20  # the setting's default
MAYBE_TLS = "; this may be no Yellowstone server, or one that speaks TLS (https://): check --endpoint"
ROOTS = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"


def send_all(call, messages=tuple(MESSAGES)):
    for message in messages:
        call.send(message)
    call.hang()


class EndpointTest(harness.EndToEndTest):
    def serve(self, endpoint, name="data", options=(), env=None):
        return self.start(Server(endpoint, self.folder / name, options, env=env).listening())

    def listen(self, server):
        self.addCleanup(server.close)
        return server

    def check_error(self, server, *words):
        """The fault is in /status and in the log, and the clients are answered nevertheless."""

        def said():
            text = server.status().get("stream", {"error": ""})["error"]
            return text if all(word in text for word in words) else None

        text = harness.wait_for(f"{words} in the stream's error, which is {server.status().get('stream')}", said, 60)
        print(text)
        server.line(re.escape(text))  # it is logged after it is shown
        self.assertEqual(server.get("/health")[0], 200)
        self.assertEqual(server.get("/ready")[0], 503)
        with raw_ws.connect(server.url) as client:
            client.send({"type": "subscribe", "view": "TokenMint/list"})
            self.assertEqual(json.loads(client.message())["op"], "subscribed")
            self.assertTrue(json.loads(client.message())["complete"])
        self.assertTrue(server.running())

    def check_whole(self, server):
        self.check_end(server, self.folder / "data", RECORDING, self.undisturbed(RECORDING)[0])


class Connections(EndpointTest):
    def test_nobody_listens(self):
        endpoint = f"http://127.0.0.1:{harness.quiet_port()}"
        server = self.serve(endpoint)
        self.check_error(server, f"UNAVAILABLE: {endpoint}: ", "Connection refused; nobody answers there: check host and port of --endpoint")
        harness.wait_for("further tries", lambda: server.status()["stream"]["reconnects"] >= 3)

    def test_a_provider_that_closes_at_once_is_tried_until_it_does_not(self):
        provider = self.start(Replay(RECORDING, options=["--slots-per-second", "max"]))
        front = self.listen(raw_geyser.Front(int(provider.endpoint.rsplit(":", 1)[1]), refused=4))
        server = self.serve(front.endpoint)
        server.line(rf"the stream ended: UNAVAILABLE: {front.endpoint}: .*; again in \d+ ms")
        server.line("ready ws://")
        self.assertGreaterEqual(server.status()["stream"]["reconnects"], 4)
        self.check_whole(server)

    def test_what_speaks_no_http2_is_named(self):
        web = self.listen(raw_geyser.RawServer(lambda sock: (sock.recv(1024), sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))))
        self.check_error(self.serve(web.endpoint, "web"), f"{web.endpoint}: ", "http1.x server", "; this may be no Yellowstone server: check --endpoint")
        noise = self.listen(raw_geyser.RawServer(lambda sock: (sock.recv(1024), sock.sendall(os.urandom(4096)))))
        self.check_error(self.serve(noise.endpoint, "noise"), f"UNAVAILABLE: {noise.endpoint}: ", MAYBE_TLS)

    def test_a_refused_token_says_which_setting(self):
        provider = self.listen(raw_geyser.RawGeyser(lambda call: call.end(16, "No valid auth token")))
        server = self.serve(provider.endpoint, "none")
        self.check_error(server, f"UNAUTHENTICATED: {provider.endpoint}: No valid auth token; no token is set: --x-token-file names the file that holds it")
        self.check_not_tried_again(server, provider)
        (self.folder / "token").write_text("an-old-token\n")
        wrong = self.listen(raw_geyser.RawGeyser(lambda call: call.end(7, "token an-old-token has expired")))
        server = self.serve(wrong.endpoint, "wrong", ["--x-token-file", self.folder / "token"])
        self.check_error(server, f"PERMISSION_DENIED: {wrong.endpoint}: token [token] has expired; "
                                 "the token of --x-token-file (or --x-token) is not the one that the provider wants")
        self.check_not_tried_again(server, wrong)

    def check_not_tried_again(self, server, provider):
        """A token that was refused is not sent again and again."""
        self.assertEqual(provider.subscribes, 1)
        self.assertEqual(server.stop(), 0)

    def test_a_server_of_another_kind(self):
        provider = self.listen(raw_geyser.RawGeyser(lambda call: call.end(12, "unknown service geyser.Geyser")))
        self.check_error(self.serve(provider.endpoint), "unknown service geyser.Geyser; this may be no Yellowstone server: check --endpoint")
        web = self.listen(raw_geyser.WebServer())
        self.check_error(self.serve(web.endpoint, "web"), f"UNKNOWN: {web.endpoint}: ", "405; this may be no Yellowstone server: check --endpoint")


class Certificates(EndpointTest):
    def setUp(self):
        super().setUp()
        self.authority = tls.Authority(self.folder)
        self.provider = self.start(Replay(RECORDING, options=["--slots-per-second", "max"]))

    def front(self, certificate):
        return self.listen(tls.TlsFront(certificate, int(self.provider.endpoint.rsplit(":", 1)[1])))

    def trusting(self, front, name):
        return self.serve(front.endpoint, name, env={ROOTS: str(self.authority.roots)})

    def test_a_good_one_of_an_authority_that_the_environment_names(self):
        server = self.trusting(self.front(self.authority.certificate("good")), "data")
        server.line("ready ws://")
        self.check_whole(server)

    def test_one_of_an_unknown_authority(self):
        front = self.front(self.authority.certificate("good"))
        self.check_error(self.serve(front.endpoint), f"UNAVAILABLE: {front.endpoint}: its certificate is refused: unable to get local issuer certificate (CN = good",
                         f"; {ROOTS} may name a file with the roots to trust")

    def test_one_that_has_expired(self):
        front = self.front(self.authority.certificate("old", days=-1))
        self.check_error(self.trusting(front, "data"), f"UNAVAILABLE: {front.endpoint}: its certificate is refused: certificate has expired (CN = old, valid until ")

    def test_one_for_another_host(self):
        front = self.front(self.authority.certificate("other", "DNS:other.example"))
        self.check_error(self.trusting(front, "data"), f"UNAVAILABLE: {front.endpoint}: its certificate is refused: hostname mismatch (CN = other")

    def test_no_tls_where_tls_is_asked_for(self):
        endpoint = self.provider.endpoint.replace("http://", "https://")
        self.check_error(self.serve(endpoint), f"UNAVAILABLE: {endpoint}: it does not speak TLS there; without TLS the endpoint begins with http://")

    def test_tls_where_none_is_asked_for(self):
        front = self.front(self.authority.certificate("good"))
        endpoint = front.endpoint.replace("https://", "http://")
        self.check_error(self.serve(endpoint), f"UNAVAILABLE: {endpoint}: ", "; this may be no Yellowstone server, or one that speaks TLS (https://): check --endpoint")

    def test_roots_that_are_none(self):
        (self.folder / "no-roots").write_text("this is no certificate\n")
        server = self.start(Server("https://localhost:1", self.folder / "data", env={ROOTS: str(self.folder / "no-roots")}))
        self.assertEqual(server.wait(), 2)
        server.line(f"{ROOTS} names {self.folder / 'no-roots'}, which holds no certificates")


class Babble(EndpointTest):
    def test_what_is_no_update_is_counted_and_costs_nothing(self):
        """Each call breaks in another way; the last one serves the whole stream, as all before it had begun to."""
        third = len(MESSAGES) // 3

        def no_update(call):
            send_all(call, [*MESSAGES[:third], NO_UPDATE])

        def half_a_message(call):
            for message in MESSAGES[:third]:
                call.send(message)
            call.raw(struct.pack(">BI", 0, 1000) + b"x" * 100)
            call.cut()

        def no_grpc_message(call):
            for message in MESSAGES[: 2 * third]:
                call.send(message)
            call.raw(b"\x07" + os.urandom(600))
            call.hang()

        provider = self.listen(raw_geyser.RawGeyser([no_update, half_a_message, no_grpc_message, send_all]))
        server = self.serve(provider.endpoint)
        print(server.line(r"the stream ended: INVALID_ARGUMENT: .*; again in \d+ ms").string)
        server.wait_for_slot(SLOTS[-1])
        status = server.status()
        self.assertEqual(status["ingest"]["malformed_messages"], 1)
        self.assertEqual(status["stream"]["reconnects"], 3)
        self.check_whole(server)


class Large(EndpointTest):
    def test_a_message_beyond_the_limit_is_named_with_its_setting(self):
        """The stream ends there and comes back; a later one, which does without the message, loses nothing."""
        third = len(MESSAGES) // 3
        provider = self.listen(raw_geyser.RawGeyser([lambda call: send_all(call, [*MESSAGES[:third], bytes(MESSAGE_MAX + 1)]), send_all]))
        server = self.serve(provider.endpoint)
        said = server.line(r"the stream ended: RESOURCE_EXHAUSTED: (.*); again in \d+ ms")
        print(said.string)
        self.assertEqual(said[1], f"{provider.endpoint}: Received message larger than max ({MESSAGE_MAX + 1} vs. {MESSAGE_MAX}); stream.message_max is {MESSAGE_MAX} bytes")
        self.assertEqual(server.get("/health")[0], 200)
        server.wait_for_slot(SLOTS[-1])
        self.assertEqual(server.stop(), 0)
        self.assertEqual(harness.inspect(self.folder / "data")["gaps"], [])


class Silence(EndpointTest):
    def test_who_says_nothing_is_left(self):
        """One takes the connection and is no HTTP/2 server; one takes the subscription and never says anything."""
        mute = self.listen(raw_geyser.RawServer(lambda sock: sock.recv(1 << 20) and sock.recv(1)))
        stalled = self.listen(raw_geyser.RawGeyser(lambda call: call.hang()))
        servers = [self.serve(mute.endpoint, "mute"), self.serve(stalled.endpoint, "stalled")]
        self.check_error(servers[0], f"UNAVAILABLE: no connection to {mute.endpoint} within 10000 ms", "; nobody may answer there, or " + MAYBE_TLS[2:])
        self.check_error(servers[1], "DEADLINE_EXCEEDED: nothing was heard for 30000 ms")
        harness.wait_for("another subscription", lambda: stalled.subscribes >= 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
