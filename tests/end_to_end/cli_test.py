#!/usr/bin/env python3
"""What the command line says and answers: exit codes, refusals by name, secrets that stay secret, inspect and watch."""

import json
import pathlib
import unittest

import harness
from harness import EVERSTATE, STACK, Process, Replay, Server, refused

import places
import recording as oracle_recording

RECORDING = places.recording("spl-small")


class CliTest(harness.EndToEndTest):
    def serve(self, *more, endpoint="http://127.0.0.1:1"):
        return ("serve", "--stack", STACK, "--endpoint", endpoint, "--data", self.folder / "data", "--listen", "127.0.0.1:0", "--admin", "off", *more)

    def test_help_names_every_subcommand(self):
        text = harness.run("--help")
        for word in ("serve", "replay", "inspect", "watch"):
            self.assertIn(word, text)

    def test_configuration_faults_exit_2_and_name_the_thing(self):
        for args, words in [
            (self.serve("--commitment", "processed"), ["processed"]),
            (self.serve("--commitment", "sometimes"), ["sometimes", "confirmed"]),
            (self.serve(endpoint="ftp://x"), ["ftp://x", "http://"]),
            (self.serve("--no-such-option"), ["no-such-option"]),
            (("serve", "--stack", "no/such.stack.json", "--endpoint", "http://127.0.0.1:1"), ["no/such.stack.json"]),
            (("watch", "http://127.0.0.1:1", "X/list"), ["ws://"]),
        ]:
            code, text = refused(*args)
            self.assertEqual(code, 2, text)
            for word in words:
                self.assertIn(word, text)

    def test_a_broken_stack_is_refused_with_file_and_path(self):
        stack = json.loads(STACK.read_text())
        stack["entities"][0]["handlers"][0]["mappings"][0]["population"] = "Sometimes"
        file = self.folder / "broken.stack.json"
        file.write_text(json.dumps(stack))
        code, text = refused("serve", "--stack", file, "--endpoint", "http://127.0.0.1:1", "--data", self.folder / "d", "--listen", "127.0.0.1:0")
        self.assertEqual(code, 2, text)
        self.assertIn("broken.stack.json", text)
        self.assertIn("entities[0].handlers[0].mappings[0].population", text)

    def test_a_store_of_another_stack_and_a_damaged_store(self):
        replay, server = self.run_small()
        self.assertEqual(server.stop(), 0)
        stack = json.loads(STACK.read_text())
        stack["stack_name"] = "Another"
        other = self.folder / "other.stack.json"
        other.write_text(json.dumps(stack))
        code, text = refused("serve", "--stack", other, "--endpoint", replay.endpoint, "--data", self.folder / "data", "--listen", "127.0.0.1:0")
        self.assertEqual(code, 2, text)
        self.assertIn("SplStream", text)
        manifest = next((self.folder / "data" / "1").glob("MANIFEST-*"))
        manifest.write_bytes(b"not a manifest")
        code, text = refused(*self.serve(endpoint=replay.endpoint))
        self.assertEqual(code, 3, text)
        self.assertEqual(refused("inspect", "--data", self.folder / "nothing")[0], 3)

    def test_another_chain_exits_5(self):
        replay, server = self.run_small()
        self.assertEqual(server.stop(), 0)
        other = self.folder / "other.updates"
        make_other_chain(RECORDING, other)
        fork = self.start(Replay(other, options=["--slots-per-second", "max"]))
        code, text = refused(*self.serve(endpoint=fork.endpoint))
        self.assertEqual(code, 5, text)
        self.assertIn("blockhash", text)

    def run_small(self, *options):
        last = harness.last_slot(RECORDING)
        replay = self.start(Replay(RECORDING, options=["--slots-per-second", "max"]))
        server = self.start(Server(replay.endpoint, self.folder / "data", options).listening())
        server.wait_for_slot(last)
        return replay, server

    def test_inspect_of_a_running_server_and_watch(self):
        replay, server = self.run_small()
        report = harness.inspect(self.folder / "data")
        self.assertEqual(list(report), ["stack", "lineage", "generation", "watermark", "entities", "gaps", "checkpoints", "sizes"])
        self.assertEqual(report["stack"]["name"], "SplStream")
        rows = [json.loads(line) for line in harness.run("inspect", "--data", self.folder / "data", "--view", "TokenAccount/list").splitlines()]
        self.assertEqual(len(rows), report["entities"]["TokenAccount"])
        self.assertEqual([row["key"] for row in rows], sorted(row["key"] for row in rows))
        one = json.loads(harness.run("inspect", "--data", self.folder / "data", "--view", "TokenAccount/list", "--key", rows[3]["key"]))
        self.assertEqual(one, rows[3])
        for line, row in zip(harness.run("watch", server.url, "TokenAccount/list", "--once").splitlines(), rows, strict=True):
            self.assertEqual(json.loads(line), {"key": row["key"], "data": row["data"]})
        code, text = refused("watch", server.url, "Nothing/list")
        self.assertEqual(code, 2)
        self.assertIn("Nothing/list", text)
        code, text = refused("watch", server.url, "TokenMint/by_volume")
        self.assertEqual(code, 2)
        self.assertIn("TokenMint/by_volume", text)
        unsupported = {view["view"] for view in server.status()["unsupported_views"]}
        self.assertIn("TokenMint/by_volume", unsupported)
        self.assertEqual(server.get("/health"), (200, "OK"))
        self.assertEqual(server.get("/ready"), (200, "READY"))
        self.assertEqual(server.get("/nothing")[0], 404)
        replay.stop()
        harness.wait_for("the server to notice", lambda: server.get("/ready")[0] == 503)
        self.assertEqual(server.get("/status")[0], 503)

    def test_the_token_is_in_no_log(self):
        token = self.folder / "token"
        token.write_text("very-secret-token\n")
        replay = self.start(Replay(RECORDING, options=["--slots-per-second", "max"]))
        server = self.start(Process(EVERSTATE, "--log-level", "trace", *self.serve("--x-token-file", token, endpoint=replay.endpoint)))
        server.line("ready ws://")
        self.assertEqual(server.stop(), 0)
        self.assertNotIn("very-secret", "\n".join(server.lines + replay.lines))

    def test_start_again_resumes_and_says_so(self):
        replay, server = self.run_small()
        slot = server.status()["watermark"]["slot"]
        self.assertEqual(server.stop(), 0)
        again = self.start(Server(replay.endpoint, self.folder / "data", ["--from-slot", "5"]).ready())
        text = "\n".join(again.lines)
        self.assertIn(f"resuming at slot {slot}", text)
        self.assertIn("--from-slot 5 is ignored", text)
        self.assertEqual(again.stop(), 0)

    def test_a_refusal_of_the_provider_is_shown_word_for_word(self):
        data = self.folder / "finalized"
        replay = self.start(Replay(RECORDING, options=["--slots-per-second", "max"]))
        # The replay serves a confirmed feed and refuses this level by name.
        server = self.start(Server(replay.endpoint, data, ["--commitment", "finalized"]))
        server.line("a replay serves processed and confirmed only, not finalized")
        self.assertEqual(server.wait(), 2)
        self.assertEqual(harness.inspect(data)["watermark"], None)


def make_other_chain(source, target):
    """The same recording with other block hashes: the last letter of each is changed in place."""
    data = pathlib.Path(source).read_bytes()
    for update in oracle_recording.messages(source):
        if 7 in update:
            old = oracle_recording.one(oracle_recording.fields(oracle_recording.one(update, 7, b"")), 2, b"")
            data = data.replace(old, old[:-1] + (b"2" if old[-1:] != b"2" else b"3"))
    target.write_bytes(data)


if __name__ == "__main__":
    unittest.main(verbosity=2)
