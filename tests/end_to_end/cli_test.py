#!/usr/bin/env python3
"""What the command line says and answers: exit codes, refusals by name, secrets that stay secret, inspect."""

import json
import pathlib
import shutil
import subprocess
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
        for word in ("serve", "replay", "inspect", "checkpoint", "archive", "check", "record", "decode", "watch"):
            self.assertRegex(text, rf"(?m)^  {word} ")

    def test_a_word_that_nobody_knows_is_named_with_those_that_are_known(self):
        for args, words in [
            (("srve", "--stack", "x"), '"srve" is no command of everstate; the commands are serve, replay, '),
            (("--lisen=x", "srve"), '\n"srve" is no command of everstate; '),
            (("decode", "--raw", "--bogus", "--", RECORDING), "--bogus is no option of everstate decode; the nearest is "),
            (("checkpoint", "lst"), '"lst" is no command of everstate checkpoint; the commands are create, list, verify, prune'),
            (("serve", "--lisen", "127.0.0.1:0"), "--lisen is no option of everstate serve; the nearest is --listen"),
            (("serve", "--log-levl=info"), "--log-levl is no option of everstate serve; the nearest is --log-level"),
            (("inspect", "--dta", "x"), "--dta is no option of everstate inspect; the nearest is --data"),
            (self.serve("more"), '"more" is one word too many for everstate serve'),
            (("decode", RECORDING, "--stak", "x", "--jsn"), "--stak is no option of everstate decode; the nearest is --stack\n--jsn is no option"),
        ]:
            code, text = refused(*args)
            self.assertEqual(code, 2, text)
            self.assertIn(words, text)
            self.assertNotIn('"x"', text)  # most likely the value of the option before it
            self.assertNotIn("-- is no option", text)

    def test_options_of_a_replay_that_cannot_be_are_named(self):
        for option, value, words in [
            ("--listen", "31063", '"31063" is no address and port: an address is written 127.0.0.1:8877 or [::]:8877'),
            ("--listen", "localhost:0", '"localhost:0" has no IP address'),
            ("--slots-per-second", "0", '"0" is neither max nor a number above 0 and at most 100000'),
            ("--slots-per-second", "nan", '"nan" is neither max nor a number above 0 and at most 100000'),
            ("--slots-per-second", "fast", '"fast" is neither max nor a number above 0 and at most 100000'),
            ("--wait-subscribers", "0", '"0" does not lie between 1 and 4294967295'),
            ("--wait-subscribers", "some", '"some" is no whole number'),
            ("--start-delay-ms", "-1", '"-1" is no whole number'),
            ("--start-delay-ms", "99999999999999999999", '"99999999999999999999" does not lie between 0 and 31622400000'),
            ("--replay-slots", "-1", '"-1" is neither all nor a whole number'),
        ]:
            options = {"--listen": "127.0.0.1:0", option: value}
            code, text = refused("replay", RECORDING, *(f"{name}={said}" for name, said in options.items()))
            self.assertEqual(code, 2, text)
            self.assertIn(f"{option}: {words}", text)

    def test_what_is_not_there_exits_2_and_is_named(self):
        file = self.folder / "file"
        file.write_text("")
        (self.folder / "empty").mkdir()
        for command in (("inspect",), ("archive", "list"), ("checkpoint", "list"), ("checkpoint", "create"), ("checkpoint", "verify"), ("checkpoint", "prune")):
            for folder in (self.folder / "nothing", file):
                code, text = refused(*command, "--data", folder)
                self.assertEqual(code, 2, text)
                self.assertIn("--data", text)
                self.assertIn(str(folder), text)
        for args, words in [
            (("inspect", "--data", self.folder / "empty"), f"there is no store in {self.folder}/empty"),
            (("archive", "list", "--data", self.folder / "empty"), f"there is no store in {self.folder}/empty"),
            (("checkpoint", "list", "--data", self.folder / "empty"), f"there is no store in {self.folder}/empty"),
            (("checkpoint", "verify", "--data", self.folder / "empty"), f"there is no store in {self.folder}/empty"),
            (("checkpoint", "prune", "--data", self.folder / "empty"), f"there is no store in {self.folder}/empty"),
            (("inspect", "--data", self.folder, "--generation", "0"), '--generation: "0" does not lie between 1 and'),
            (("inspect", "--data", self.folder, "--generation", "-1"), '--generation: "-1" is no whole number'),
            (("inspect", "--data", self.folder, "--view", ""), '--view: "" is empty'),
            (("inspect", "--data", self.folder, "--view", "X/list", "--key", ""), '--key: "" is empty'),
            (("checkpoint", "prune", "--data", self.folder, "--keep", "some"), '--keep: "some" is no whole number'),
        ]:
            code, text = refused(*args)
            self.assertEqual(code, 2, text)
            self.assertIn(words, text)

    def test_a_store_without_archive_and_checkpoints_says_so(self):
        _, server = self.followed(RECORDING, "--archive-keep", "0", "--checkpoint-every", "off")
        self.assertEqual(server.stop(), 0)
        data = self.folder / "data"
        self.assertEqual(harness.run("archive", "list", "--data", data), f"{data} has no archive\n")
        self.assertEqual(json.loads(harness.run("archive", "list", "--data", data, "--json")), {"runs": [], "segments": 0, "bytes": 0, "faults": []})
        for command in ("list", "verify"):
            self.assertEqual(harness.run("checkpoint", command, "--data", data), f"{data} has no checkpoints\n")

    def test_prune_counts_what_led_to_the_state(self):
        """A checkpoint that was copied there, of another lineage, pushes none of ours out and stays, as when the server prunes."""
        made = []
        for name, options in (("data", ()), ("other", ("--projection-append-keep", "50"))):
            _, server = self.followed(RECORDING, "--checkpoint-every", "off", *options, data=name)
            self.assertEqual(server.stop(), 0)
            made.append(json.loads(harness.run("checkpoint", "create", "--data", self.folder / name, "--json"))["name"])
        checkpoints = self.folder / "data" / "checkpoints"
        shutil.copytree(self.folder / "other" / "checkpoints" / made[1], checkpoints / made[1])
        text = harness.run("checkpoint", "prune", "--data", self.folder / "data", "--keep", "1")
        self.assertIn("nothing to delete", text)
        self.assertEqual(sorted(path.name for path in checkpoints.iterdir()), sorted(made))

    def test_output_that_does_not_arrive_is_an_error(self):
        _, server = self.followed(RECORDING)
        data = ("--data", self.folder / "data")
        for args in (("inspect", *data), ("inspect", *data, "--view", "TokenMint/list"), ("archive", "list", *data), ("checkpoint", "list", *data),
                     ("watch", server.url, "TokenMint/list", "--once"), ("watch", server.url, "TokenMint/list"), ("check", STACK), ("decode", "--stack", STACK, RECORDING),
                     ("serve", "--print-config"), ("--help",)):
            with open("/dev/full", "w") as full:
                done = subprocess.run([EVERSTATE, *map(str, args)], stdout=full, stderr=subprocess.PIPE, text=True, timeout=harness.DEADLINE_S)
            self.assertEqual(done.returncode, 3, f"{args} {done.stderr}")
            self.assertIn("standard output did not take everything", done.stderr)

    def test_configuration_faults_exit_2_and_name_the_thing(self):
        for args, words in [
            (self.serve("--commitment", "processed"), ["processed"]),
            (self.serve("--commitment", "sometimes"), ["sometimes", "confirmed"]),
            (self.serve(endpoint="ftp://x"), ["ftp://x", "http://"]),
            (self.serve("--no-such-option"), ["no-such-option"]),
            (("serve", "--stack", "no/such.stack.json", "--endpoint", "http://127.0.0.1:1"), ["no/such.stack.json"]),
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
        replay, server = self.followed(RECORDING)
        self.assertEqual(server.stop(), 0)
        stack = json.loads(STACK.read_text())
        stack["stack_name"] = "Another"
        other = self.folder / "other.stack.json"
        other.write_text(json.dumps(stack))
        code, text = refused("serve", "--stack", other, "--endpoint", replay.endpoint, "--data", self.folder / "data", "--listen", "127.0.0.1:0", "--admin", "off")
        self.assertEqual(code, 2, text)
        self.assertIn("SplStream", text)
        self.assertIn(f"say another data directory, or remove {self.folder / 'data'} when nothing in it, checkpoints and archive included, is wanted", text)
        self.assertNotIn("is not served", text)  # what is no fault is not said to somebody who is refused
        manifest = next((self.folder / "data" / "1").glob("MANIFEST-*"))
        manifest.write_bytes(b"not a manifest")
        code, text = refused(*self.serve(endpoint=replay.endpoint))
        self.assertEqual(code, 3, text)
        self.assertEqual(refused("inspect", "--data", self.folder / "data")[0], 3)

    def test_another_chain_exits_5(self):
        replay, server = self.followed(RECORDING)
        self.assertEqual(server.stop(), 0)
        other = self.folder / "other.updates"
        make_other_chain(RECORDING, other)
        fork = self.start(Replay(other, options=["--slots-per-second", "max"]))
        code, text = refused(*self.serve(endpoint=fork.endpoint))
        self.assertEqual(code, 5, text)
        self.assertIn("blockhash", text)

    def test_inspect_of_a_running_server(self):
        replay, server = self.followed(RECORDING)
        report = harness.inspect(self.folder / "data")
        self.assertEqual(list(report), ["stack", "lineage", "generation", "watermark", "entities", "gaps", "checkpoints", "sizes"])
        self.assertEqual(report["stack"]["name"], "SplStream")
        rows = [json.loads(line) for line in harness.run("inspect", "--data", self.folder / "data", "--view", "TokenAccount/list").splitlines()]
        self.assertEqual(len(rows), report["entities"]["TokenAccount"])
        self.assertEqual([row["key"] for row in rows], sorted(row["key"] for row in rows))
        one = json.loads(harness.run("inspect", "--data", self.folder / "data", "--view", "TokenAccount/list", "--key", rows[3]["key"]))
        self.assertEqual(one, rows[3])
        code, text = refused("inspect", "--data", self.folder / "data", "--view", "TokenAccount/list", "--key", "nobody")
        self.assertEqual(code, 2, text)
        self.assertIn("--key nobody: TokenAccount has no such key", text)
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
        replay, server = self.followed(RECORDING)
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
