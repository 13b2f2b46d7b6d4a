#!/usr/bin/env python3
"""Configuration and log of the real program: files, variables and flags, what --print-config says, what is refused, what the log looks like."""

import json
import os
import re
import subprocess
import tomllib
import unittest
import unittest.mock

import harness
from harness import EVERSTATE, STACK, Process, Replay, Server

import places
import raw_ws

RECORDING = places.recording("spl-small")
NOBODY = "http://127.0.0.1:1"


def serve(*args, **variables):
    """Runs `everstate serve ARGS` to its end: (exit code, stdout, stderr)."""
    done = subprocess.run([EVERSTATE, "serve", *map(str, args)], capture_output=True, text=True, timeout=60, env={**os.environ, **variables})
    return done.returncode, done.stdout, done.stderr


def flat(table, prefix=""):
    """{"archive.keep": "8GiB"} of {"archive": {"keep": "8GiB"}}; log.levels stays one value."""
    found = {}
    for key, value in table.items():
        if isinstance(value, dict) and prefix + key != "log.levels":
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = value
    return found


def printed(*args, **variables):
    """(values, {name: origin}, text) of --print-config, read by a TOML reader that is not ours."""
    code, text, errors = serve(*args, "--print-config", **variables)
    assert code == 0, errors
    origins, table = {}, ""
    for line in text.splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            table = header[1] + "."
        elif entry := re.fullmatch(r"(?:# )?(\w+) (?:= .*?|is not set) +# (.*)", line):
            origins[table + entry[1]] = entry[2]
    return flat(tomllib.loads(text)), origins, text


class SettingsTest(harness.EndToEndTest):
    def write(self, text):
        file = self.folder / "everstate.toml"
        file.write_text(text)
        return file

    def test_a_flag_before_the_environment_before_the_file_before_the_default(self):
        file = self.write('listen = "127.0.0.1:1"\n[archive]\nkeep = "1GiB"\n[sessions]\nmax = 5\nqueue_max = "3MiB"\n')
        values, origins, _ = printed("--config", file, "--archive-keep", "0", EVERSTATE_ARCHIVE_KEEP="2GiB", EVERSTATE_SESSIONS_MAX="6")
        self.assertEqual((values["archive.keep"], origins["archive.keep"]), ("0", "flag --archive-keep"))
        self.assertEqual((values["sessions.max"], origins["sessions.max"]), (6, "environment EVERSTATE_SESSIONS_MAX"))
        self.assertEqual((values["sessions.queue_max"], origins["sessions.queue_max"]), ("3MiB", f"{file}:6"))
        self.assertEqual((values["listen"], origins["listen"]), ("127.0.0.1:1", f"{file}:1"))
        self.assertEqual((values["commitment"], origins["commitment"]), ("confirmed", "default"))

    def test_what_is_printed_says_the_same_when_it_is_fed_back(self):
        values, origins, text = printed("--stack", "s.json", "--progress", "--log-levels", "ingest=debug,fanout=warn", "--checkpoints-keep", "3",
                                        YELLOWSTONE_ENDPOINT="https://provider.example", EVERSTATE_FROM_SLOT="17")
        self.assertEqual(values["log.levels"], {"ingest": "debug", "fanout": "warn"})
        self.assertEqual((values["checkpoint.keep"], values["progress"], values["from_slot"]), (3, True, 17))
        self.assertEqual(origins["endpoint"], "environment YELLOWSTONE_ENDPOINT")
        again, origins_again, _ = printed("--config", self.write(text))
        self.assertEqual(again, values)
        for name in values:
            self.assertTrue(origins_again[name].startswith(str(self.folder)), name)
        for name in set(origins) - set(values):
            self.assertEqual(origins_again[name], "default", name)

    def test_every_setting_that_is_printed_is_a_flag(self):
        _, origins, _ = printed()
        text = harness.run("serve", "--help") + harness.run("--help")
        for name in origins:
            self.assertRegex(text, re.escape("--" + re.sub("[._]", "-", name)) + r"\b")

    def test_what_is_wrong_is_refused_where_it_stands(self):
        file = self.write('stack = "x"\n[archive]\nkep = 1\nkeep = true\n\n[sessions]\nping_interval = "0s"\n')
        for args, variables, words in [
            (("--config", file), {}, [f"{file}:3: archive.kep is no setting; the nearest is archive.keep", f"{file}:4: archive.keep is a boolean"]),
            (("--config", self.folder / "none.toml"), {}, [f"{self.folder}/none.toml: cannot be read: No such file"]),
            ((), {"EVERSTATE_LISTN": "x"}, ["EVERSTATE_LISTN is no setting's variable; the nearest is EVERSTATE_LISTEN"]),
            ((), {"EVERSTATE_SESSIONS_MAX": "many"}, ['EVERSTATE_SESSIONS_MAX "many" is no whole number']),
            (("--log-level", "loud"), {}, ['--log-level "loud" is not one of trace|debug|info|warn|error|off']),
            (("--log-levels", "ingst=debug"), {}, ['--log-levels "ingst=debug" is no ROOM=LEVEL', "ingest"]),
            ((), {}, ["stack is not set: say --stack FILE, EVERSTATE_STACK", "endpoint is not set"]),
            (("--from-slot", "99999999999999999999999"), {}, ['--from-slot "99999999999999999999999" does not lie between 0 and 9223372036854775807']),
            (("--x-token-file", self.folder), {}, [f'--x-token-file "{self.folder}" cannot be read: Is a directory']),
            (("--stack", "x", "--endpoint", NOBODY, "--sessions-queue-max", "64KiB"), {}, ["sessions.queue_max (64KiB, flag --sessions-queue-max) is less than two frames of a snapshot"]),
            (("--accept-gap",), {}, ["--accept-gap says nothing without resume_from"]),
            (("--progress=maybe",), {}, ['--progress "maybe" is neither true nor false']),
            (("--progress", "false"), {}, ['"false" is one word too many for everstate serve: a switch alone says true, and --SWITCH=false takes it back']),
        ]:
            code, _, errors = serve(*args, **variables)
            self.assertEqual(code, 2, errors)
            for word in words:
                self.assertIn(word, errors)

    def test_all_that_is_wrong_is_said_in_one_round_a_record_each(self):
        file = self.write('adress = "x"\nhealth.listen = "localhost:1"\n')
        wrong = ("--config", file, "--lisen", "x", "--listen", "31063", "--admin=off:1", "--x-token", "t\u00f6ken", "--archive-keep", "8\nGB",
                 "--snapshot-frame-max", "32MiB", "--log-level", "loud", "--nothing=1")
        words = ["--lisen is no option of everstate serve; the nearest is --listen", "--nothing is no option of everstate serve; ",
                 "EVERSTATE_LISTN is no setting's variable; the nearest is EVERSTATE_LISTEN", f"{file}:1: adress is no setting; ",
                 "--x-token holds characters that a header cannot carry: only printable ASCII may stand in it",
                 '--listen "31063" is no address and port: an address is written 127.0.0.1:8877 or [::]:8877',
                 '--admin "off:1" has no IP address: an address is written 127.0.0.1:8877 or [::]:8877; off = none', '--archive-keep "8\\nGB" has no unit',
                 f'{file}:2: health.listen "localhost:1" has no IP address', '--log-level "loud" is not one of ',
                 "sessions.queue_max (8MiB, default) is less than two frames of a snapshot (snapshot.frame_max is 32MiB, flag --snapshot-frame-max)"]
        for more, missing in (((), ["stack is not set: ", "endpoint is not set: "]), (("--print-config",), [])):
            code, out, errors = serve(*wrong, *more, EVERSTATE_LISTN="x")
            self.assertEqual((code, out), (2, ""), errors)
            records = errors.splitlines()
            self.assertEqual(len(records), len(words + missing), errors)
            for record, word in zip(records, words + missing):
                self.assertIn(f"error cli: {word}", record)
            self.assertNotIn("t\u00f6ken", errors)

    def test_print_config_refuses_what_serve_refuses(self):
        """Every value that a start refuses without having opened anything is refused by --print-config, in the same words."""
        for flag, values in (("--listen", ("31063", ":31063", "localhost:31063", "0.0.0.0")), ("--admin", ("0.0.0.0", "off:1", "::1:1")),
                             ("--health-listen", ("8081", "host:1")), ("--x-token", ("a\tb", "\u00e9", "a\nb")), ("--endpoint", ("ftp://x", "http://")),
                             ("--sessions-queue-max", ("64KiB",))):
            for value in values:
                whole = {"--stack": STACK, "--endpoint": NOBODY, "--listen": "127.0.0.1:0", "--admin": "off", "--data": self.folder / "data", flag: value}
                args = [word for pair in whole.items() for word in pair]
                code, _, errors = serve(*args)
                self.assertEqual(code, 2, errors)
                printed_code, _, printed_errors = serve(*args, "--print-config")
                self.assertEqual(printed_code, 2, printed_errors)
                self.assertEqual([line.split(" ", 1)[1] for line in errors.splitlines()], [line.split(" ", 1)[1] for line in printed_errors.splitlines()])
                self.assertEqual(len(errors.splitlines()), 1, errors)
                self.assertFalse((self.folder / "data").exists())

    def test_a_server_needs_nothing_but_its_file(self):
        replay = self.start(Replay(RECORDING, options=["--slots-per-second", "max"]))
        file = self.write(f'stack = "{STACK}"\nendpoint = "{replay.endpoint}"\nlisten = "127.0.0.1:0"\nadmin = "off"\ndata = "{self.folder}/data"\n'
                          '[log]\nformat = "json"\nlevel = "error"\n[log.levels]\ningest = "info"\nserver = "info"\n')
        server = self.start(Process(EVERSTATE, "serve", "--config", file))
        server.line("ready ws://")
        self.assertEqual(server.stop(), 0)
        records = [json.loads(line) for line in server.lines if line.startswith("{")]
        self.assertEqual(len(records) + sum(line.startswith(("listening ws://", "ready ws://")) for line in server.lines), len(server.lines))
        for record in records:
            self.assertEqual(list(record), ["time", "level", "room", "message"])
            self.assertRegex(record["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual({record["room"] for record in records}, {"ingest", "server"})
        self.assertIn("connected to", " ".join(record["message"] for record in records if record["room"] == "ingest"))

    def test_settings_that_change_state_belong_to_the_store(self):
        replay, server = self.followed(RECORDING, "--projection-append-keep", "50")
        self.assertEqual(server.stop(), 0)
        for option, name in [("--projection-append-keep", "append_keep=100"), ("--projection-waiting-slots-max", "waiting_slots_max=7")]:
            value = name.split("=")[1]
            code, _, errors = serve("--stack", STACK, "--endpoint", replay.endpoint, "--data", self.folder / "data", "--listen", "127.0.0.1:0", "--admin", "off", option, value)
            self.assertEqual(code, 2, errors)
            self.assertIn("append_keep=50", errors)
            self.assertIn("projection." + name, errors)
            self.assertIn("give it the stored values", errors)
        again = self.start(Server(replay.endpoint, self.folder / "data", ["--projection-append-keep", "50"]).ready())
        self.assertEqual(again.stop(), 0)

    def test_a_limit_is_the_one_that_was_said(self):
        _, server = self.followed(RECORDING, "--sessions-message-max", "1KiB")
        with raw_ws.connect(server.url + "/") as client:
            client.send({"type": "ping", "filler": "x" * 2000})
            with self.assertRaises(raw_ws.Closed) as closed:
                for _ in client.messages(deadline_seconds=harness.DEADLINE_S):
                    pass
        self.assertEqual(closed.exception.code, 1009)

    def test_the_token_is_in_no_output(self):
        token = "very-secret-token"
        file = self.write(f'x_token = "{token}"\n')
        common = ["--stack", STACK, "--listen", "127.0.0.1:0", "--admin", "off", "--log-level", "trace", "--log-format", "json"]
        for number, (args, variables) in enumerate([(("--config", file), {}), ((), {"EVERSTATE_X_TOKEN": token}), ((), {"YELLOWSTONE_X_TOKEN": token})]):
            values, origins, text = printed(*args, **variables)
            self.assertNotIn(token, text)
            self.assertNotIn("x_token", values)
            self.assertIn('# x_token = "(set)"', text)
            self.assertNotEqual(origins["x_token"], "default")
            replay = self.start(Replay(RECORDING, options=["--slots-per-second", "max"]))
            with unittest.mock.patch.dict(os.environ, variables):
                server = self.start(Process(EVERSTATE, "serve", *args, *common, "--endpoint", replay.endpoint, "--data", self.folder / f"data{number}"))
            server.line("ready ws://")
            self.assertEqual(server.stop(), 0)
            self.assertNotIn("very-secret", "\n".join(server.lines + replay.lines))
        code, out, errors = serve(*common, "--x-token", token, "--endpoint", f"https://user:{token}@host", "--data", self.folder / "none")
        self.assertEqual(code, 2)
        self.assertNotIn("very-secret", out + errors)

    def test_what_repeats_is_folded_and_nothing_is_lost(self):
        server = self.start(Server(NOBODY, self.folder / "data", ["--stream-backoff-max", "100ms", "--log-format", "json"]).listening())
        harness.wait_for("many tries", lambda: server.status().get("stream", {}).get("reconnects", 0) > 40)
        self.assertEqual(server.stop(), 0)
        ended = [record for line in server.lines if line.startswith("{") and (record := json.loads(line))["message"].startswith("the stream ended")]
        folded = [record for record in ended if "more" in record]
        self.assertTrue(folded)
        self.assertGreater(sum(record.get("more", 1) for record in ended), 40)
        self.assertLess(len(ended), 40)
        self.assertEqual(json.loads(server.lines[-1])["message"], "stopped before any slot was applied")
        for record in folded:
            self.assertEqual(list(record), ["time", "level", "room", "message", "more", "window_s"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
