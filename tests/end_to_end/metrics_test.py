#!/usr/bin/env python3
"""/metrics and the port for health alone, of a real server: right by the format's rules, equal to /status at rest, rising under load."""

import json
import unittest
import urllib.error
import urllib.request

import harness
from harness import Replay, Server

import places
import prometheus_text
import raw_ws

RECORDING = places.recording("spl-small")
# What goes on while nothing comes: time, and what is moved by the asking.
MOVES = ("_uptime_seconds", "_since_heard_seconds", "_lag_seconds", "_bytes_sent_total", "_socket_writes_total")
# Where /status shows a counter, and what its metric's name begins with.
GROUPS = {"ingest": ["everstate_ingest_"], "archive": ["everstate_archive_"], "projector": ["everstate_projector_", "everstate_vm_"],
          "store": ["everstate_store_"], "fanout": ["everstate_fanout_"]}


def fetch(url):
    """(status, content type, body)."""
    try:
        with urllib.request.urlopen(url, timeout=30) as reply:
            return reply.status, reply.headers["Content-Type"], reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def scrape(server):
    status, content_type, body = fetch(server.http + "/metrics")
    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8"), (status, content_type)
    return prometheus_text.parse(body)


def value(families, name, **labels):
    family = families[name]
    key = tuple(sorted({"stack": "SplStream", **labels}.items()))
    return family.samples[key]


class MetricsTest(harness.EndToEndTest):
    def subscribe(self, server, view):
        client = raw_ws.connect(server.url)
        self.addCleanup(client.close)
        client.send({"type": "subscribe", "view": view})
        while not ('"op":"snapshot"' in (text := client.message(harness.DEADLINE_S)) and json.loads(text)["complete"]):
            pass
        return client

    def test_no_linter_complains(self):
        families = scrape(self.followed(RECORDING)[1])
        self.assertEqual(prometheus_text.complaints(families), [])
        self.assertGreater(len(families), 90)

    def test_values_are_those_of_status(self):
        _, server = self.followed(RECORDING, "--health-listen", "127.0.0.1:0")
        self.subscribe(server, "TokenMint/list")
        status, families = harness.wait_for("two equal scrapes", lambda: self.between_equal_scrapes(server))
        self.assertEqual(value(families, "everstate_watermark_slot"), status["watermark"]["slot"])
        self.assertEqual(value(families, "everstate_ingest_newest_slot"), status["newest_slot"])
        self.assertEqual(value(families, "everstate_lag_slots"), status["lag_slots"])
        self.assertEqual(value(families, "everstate_generation"), status["generation"])
        self.assertEqual(value(families, "everstate_checkpoints_made_total"), status["checkpoints_made"])
        self.assertEqual(value(families, "everstate_stream_state", state=status["stream"]["state"]), 1)
        self.assertEqual(families["everstate_stream_state"].total(), 1)
        self.assertEqual(value(families, "hyperstack_ws_connections_active"), 1)
        self.assertEqual(value(families, "hyperstack_ws_subscriptions_active", view_id="TokenMint/list"), 1)
        self.assertEqual(value(families, "hyperstack_stream_events_received_total", event_type="account"), status["ingest"]["accounts"])
        self.check_shares(families, status["projector"])
        self.assertEqual(value(families, "hyperstack_entities_active"), status["store"]["entities_estimate"])
        shown = {dict(labels)["view_id"] for labels in families["hyperstack_ws_subscriptions_active"].samples}
        self.assertEqual(shown, {view["id"] for view in status["views"]})
        self.assertLess(abs(value(families, "everstate_stream_since_heard_seconds") - status["stream"]["heard_ms_ago"] / 1000), 30)
        found = sum(self.compare_group(families, status[group], prefixes) for group, prefixes in GROUPS.items())
        self.assertGreater(found, 50)

    def check_shares(self, families, projector):
        """What is told by entity and by program adds up to what the machine counted."""
        mutations = families["hyperstack_projector_mutations_processed_total"]
        self.assertEqual({dict(labels)["entity"] for labels in mutations.samples}, {"TokenMint", "TokenAccount"})
        self.assertEqual(mutations.total(), projector["mutations"])
        self.assertTrue(all(mutations.samples.values()), mutations.samples)
        program = json.loads(harness.STACK.read_text())["program_ids"][0]
        for kind, counter in {"account": "accounts_matched", "instruction": "instructions_matched", "log_event": "events_logged"}.items():
            count = value(families, "hyperstack_vm_events_processed_total", event_type=kind, program_id=program)
            self.assertEqual(count, projector[counter])
        latency = families["hyperstack_projector_latency_seconds"]
        counts = {dict(labels)["le"]: count for (part, labels), count in latency.parts.items() if part == "_bucket"}
        self.assertEqual((latency.type, counts["+Inf"]), ("histogram", projector["blocks"]))
        self.assertEqual(list(counts.values()), sorted(counts.values()))

    def between_equal_scrapes(self, server):
        """(status, metrics) of one moment; None when something moved meanwhile, a ping for example."""
        before, status, after = scrape(server), server.status(), scrape(server)
        same = all(before[name].samples == family.samples for name, family in after.items() if not name.endswith(MOVES))
        return (status, after) if same else None

    def compare_group(self, families, counters, prefixes):
        """Every number of an object of /status that has a metric of its own name is equal to it; how many there were."""
        found = 0
        for key, expected in counters.items():
            if isinstance(expected, (dict, list)) or expected is None:
                continue
            scale, name = 1, key
            for unit, per_second in (("_us", 1e6), ("_ms", 1e3)):
                if key.endswith(unit):
                    scale, name = per_second, key.removesuffix(unit) + "_seconds"
            for metric in (prefix + name + end for prefix in prefixes for end in ("", "_total")):
                if metric in families and not metric.endswith(MOVES):
                    self.assertAlmostEqual(value(families, metric) * scale, expected, msg=metric, delta=1e-3)
                    found += 1
        return found

    def test_scrapes_under_load_only_rise(self):
        provider = self.start(Replay(RECORDING, options=["--slots-per-second", "200", "--loop"]))
        server = self.start(Server(provider.endpoint, self.folder / "data").ready())
        clients = [self.subscribe(server, view) for view in ("TokenMint/list", "TokenAccount/list")]
        earlier = scrape(server)
        begun = value(earlier, "everstate_projector_updates_total")
        for _ in range(20):
            for client in clients:
                client.message(harness.DEADLINE_S)
            later = scrape(server)
            self.assertEqual(prometheus_text.complaints(later), [])
            for name, family in earlier.items():
                rising = family.samples if family.type == "counter" else family.parts
                now = later[name].samples if family.type == "counter" else later[name].parts
                for labels, was in rising.items():
                    self.assertGreaterEqual(now[labels], was, f"{name} {labels}")
            earlier = later
        harness.wait_for("updates", lambda: value(scrape(server), "everstate_projector_updates_total") > begun)
        of_view = {"view_id": "TokenMint/list", "entity": "TokenMint", "mode": "list"}
        self.assertGreater(value(scrape(server), "hyperstack_projector_frames_published_total", **of_view), 0)

    def test_the_health_port_answers_and_stops(self):
        _, server = self.followed(RECORDING, "--health-listen", "127.0.0.1:0")
        health = server.line(r"^health (http://127\.0\.0\.1:\d+)$")[1]
        self.assertNotEqual(health, server.http)
        for path, expected in {"/health": "OK", "/healthz": "OK", "/ready": "READY", "/readiness": "READY"}.items():
            self.assertEqual(fetch(health + path), (200, "text/plain", expected))
        status, content_type, body = fetch(health + "/status")
        self.assertEqual((status, content_type, json.loads(body)["healthy"]), (200, "application/json", True))
        self.assertEqual(value(prometheus_text.parse(fetch(health + "/metrics")[2]), "everstate_ready"), 1)
        for path in ("/", "/index.html", "/nothing"):
            self.assertEqual(fetch(health + path), (404, "text/plain", "There is nothing here. What there is: /health, /healthz, /ready, /readiness, /status, /metrics\n"))
        with self.assertRaises(raw_ws.Refused) as refused:
            raw_ws.connect(health.replace("http://", "ws://"))
        self.assertEqual(refused.exception.status, 404)
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
