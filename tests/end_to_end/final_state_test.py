#!/usr/bin/env python3
"""The straight line: replay -> serve -> store and clients, each judged by programs that share no code with the server."""

import json
import pathlib
import subprocess
import threading
import unittest

import harness
from clients import node
from harness import OtherGeyser, Process, Replay, Server

import counting
import entities
import places
import raw_ws
import recording as oracle_recording


def settled_slots(path):
    """Slots of the blocks that a recording confirms, in order."""
    return [block.slot for block in oracle_recording.blocks(path)]


def live_frames(frames):
    return [frame for frame in list(frames) if frame.get("op") in ("patch", "upsert", "delete")]


def merged(frames):
    """What a client that began with nothing holds after these frames: {key: entity}."""
    held = {}
    for frame in live_frames(frames):
        if frame["op"] == "delete":
            held.pop(frame["key"], None)
        elif frame["op"] == "patch" and frame["key"] in held:
            held[frame["key"]] = counting.merge(held[frame["key"]], frame["data"], frame.get("append", []))
        else:
            held[frame["key"]] = frame["data"]
    return held


class Subscriber(threading.Thread):
    """A raw client that notes every frame, on a connection that it never renews."""

    def __init__(self, url, view):
        super().__init__(daemon=True)
        self.frames, self.error = [], None
        self.socket = raw_ws.connect(url)
        self.socket.send({"type": "subscribe", "view": view})
        self.start()

    def run(self):
        try:
            while True:
                self.frames.append(json.loads(self.socket.message(deadline_seconds=harness.DEADLINE_S)))
        except Exception as error:  # the test reads it
            self.error = error

    def snapshot(self):
        harness.wait_for("a whole snapshot", lambda: any(f.get("op") == "snapshot" and f["complete"] for f in list(self.frames)))
        return [row for f in list(self.frames) if f.get("op") == "snapshot" for row in f["data"]]


class FinalStateTest(harness.EndToEndTest):
    def check_entities(self, expected, files):
        report = entities.compare(json.loads(pathlib.Path(expected).read_text()), {name: entities.read_rows(str(file)) for name, file in files.items()})
        entities.print_report(report)
        self.assertEqual(report.differences, [])

    def replay(self, path):
        return Replay(path, options=["--slots-per-second", "max", "--wait-subscribers", "2"])

    def other_geyser(self, path):
        return OtherGeyser(path, options=["--start-on-subscribers", "2"])

    def check_whole_line(self, name, provider):
        path = places.recording(name)
        if path is None:
            self.skipTest(f"{name}.updates is not here")
        last = settled_slots(path)[-1]
        replay = self.start(provider(path))
        server = self.start(Server(replay.endpoint, self.folder / "a", harness.PATIENT).listening())

        # Both are there before the first slot: the provider waits for a second subscriber, which is another server.
        watchers = {view: Subscriber(server.url, view) for view in ("TokenMint/list", "TokenAccount/list")}
        for watcher in watchers.values():
            self.addCleanup(watcher.socket.sock.close)
            self.assertEqual(watcher.snapshot(), [])
        watch = self.start(Process(harness.EVERSTATE, "watch", server.url, "TokenMint/list", "--raw"))
        watch.line('"complete":true')
        npm = self.start_npm_client(server.url)
        other = self.start(Server(replay.endpoint, self.folder / "b").listening())

        server.wait_for_slot(last)
        other.wait_for_slot(last)
        self.assertEqual(server.get("/ready"), (200, "READY"))
        self.assertEqual(harness.inspect(self.folder / "a")["gaps"], [])
        self.assertEqual(harness.digest(self.folder / "a"), harness.digest(self.folder / "b"))

        expected = places.expected(f"{name}.entities.json")
        self.check_entities(expected, harness.dump_views(self.folder / "a", self.folder))
        self.check_frames(path, watchers)
        self.check_watch(path, watch)
        if npm is not None:
            self.check_npm_client(npm, path, expected)
        self.assertEqual(server.stop(), 0)
        for watcher in watchers.values():
            watcher.join(harness.DEADLINE_S)
            self.assertEqual(getattr(watcher.error, "code", None), 1012, repr(watcher.error))

    def check_frames(self, path, watchers):
        files = []
        for view, watcher in watchers.items():
            wanted = self.frames_due(path, view)
            harness.wait_for(f"{wanted} frames of {view}", lambda w=watcher, n=wanted: len(live_frames(w.frames)) >= n)
            file = self.folder / (view.replace("/", "-") + ".frames.jsonl")
            file.write_text("".join(json.dumps(f) + "\n" for f in list(watcher.frames)))
            files.append(str(file))
        self.check_judged("raw client", path, files)

    def check_judged(self, who, path, files):
        judge = counting.compare(path, files)
        print(f"{who}: {judge.frames} frames received, {len(judge.due)} due, differences {dict(judge.differences)}")
        self.assertEqual(dict(judge.differences), {}, "\n".join(judge.lines[:20]))

    def frames_due(self, path, *views):
        return sum(1 for change in counting.fold(path)[1] if f"{change.entity}/list" in views)

    def check_watch(self, path, watch):
        wanted = self.frames_due(path, "TokenMint/list")
        harness.wait_for("watch to have every frame", lambda: sum('"op":"patch"' in line for line in list(watch.lines)) >= wanted)
        self.assertEqual(watch.stop(), 0)

    def start_npm_client(self, url):
        if node() is None:
            print("the npm client did not run: its packages are not installed")
            return None
        client = self.start(
            Process(node(), harness.HERE / "oracle" / "npm_client.mjs", url, "TokenMint/list", "TokenAccount/list", "--out", self.folder, "--raw", self.folder / "npm.raw.jsonl",
                    name="npm client", stdin=subprocess.PIPE))
        client.line("complete TokenMint/list")
        client.line("complete TokenAccount/list")
        return client

    def check_npm_client(self, client, path, expected):
        raw = self.folder / "npm.raw.jsonl"
        wanted = self.frames_due(path, "TokenMint/list", "TokenAccount/list")
        harness.wait_for("the npm client to have every frame", lambda: raw.read_text().count('"op":"patch"') >= wanted)
        client.process.stdin.close()
        self.assertEqual(client.wait(), 0, "\n".join(client.lines[-20:]))
        self.check_judged("npm client", path, [str(raw)])
        self.check_entities(expected, {entity: self.folder / f"{entity}.list.jsonl" for entity in ("TokenMint", "TokenAccount")})

    def check_pump(self, name, provider):
        """Two entities of one program: events, keys that addresses lead to, computed fields."""
        path, stack, expected = places.recording(name), places.stack("PumpStream"), places.expected(f"{name}.entities.json")
        if None in (path, stack, expected):
            self.skipTest(f"{name}.updates or PumpStream is not here")
        last = settled_slots(path)[-1]
        replay = self.start(provider(path))
        server = self.start(Server(replay.endpoint, self.folder / "a", stack=stack).listening())
        watchers = {entity: Subscriber(server.url, f"{entity}/list") for entity in ("PumpToken", "PumpTrader")}
        for watcher in watchers.values():
            self.addCleanup(watcher.socket.sock.close)
            self.assertEqual(watcher.snapshot(), [])
        self.check_unsupported_view(server, "PumpToken/by_volume")
        other = self.start(Server(replay.endpoint, self.folder / "b", stack=stack).listening())
        server.wait_for_slot(last)
        other.wait_for_slot(last)
        self.assertEqual(harness.digest(self.folder / "a"), harness.digest(self.folder / "b"))

        files = {}
        for entity in watchers:
            files[entity] = self.folder / f"{entity}.jsonl"
            files[entity].write_text(harness.run("inspect", "--data", self.folder / "a", "--view", f"{entity}/list"))
        self.check_entities(expected, files)
        held = {}
        for entity, watcher in watchers.items():
            wanted = [json.loads(line) for line in files[entity].read_text().splitlines()]
            seqs = {row["key"]: row["data"]["_seq"] for row in wanted}
            harness.wait_for(f"the subscriber of {entity} to be where the store is", lambda w=watcher, due=seqs: {k: v["_seq"] for k, v in merged(w.frames).items()} == due)
            held[entity] = self.folder / f"{entity}.merged.jsonl"
            held[entity].write_text("".join(json.dumps({"key": k, "data": v}) + "\n" for k, v in merged(watcher.frames).items()))
        self.check_entities(expected, held)
        self.assertEqual(server.stop(), 0)

    def check_unsupported_view(self, server, view):
        socket = raw_ws.connect(server.url)
        self.addCleanup(socket.sock.close)
        socket.send({"type": "subscribe", "view": view})
        answer = json.loads(socket.message(deadline_seconds=harness.DEADLINE_S))
        self.assertEqual(answer["code"], "unsupported-view", answer)
        self.assertIn(view, answer["message"])

    def test_small_recording(self):
        self.check_whole_line("spl-small", self.replay)

    def test_full_recording(self):
        self.check_whole_line("spl", self.replay)

    def test_pump_recording(self):
        self.check_pump("pump", self.replay)

    def test_pump_market(self):
        self.check_pump("pump-sim", self.replay)

    @harness.needs_geyser
    def test_pump_market_from_another_geyser(self):
        self.check_pump("pump-sim", self.other_geyser)

    @harness.needs_geyser
    def test_small_recording_from_another_geyser(self):
        self.check_whole_line("spl-small", self.other_geyser)

    @harness.needs_geyser
    def test_full_recording_from_another_geyser(self):
        self.check_whole_line("spl", self.other_geyser)


if __name__ == "__main__":
    unittest.main(verbosity=2)
