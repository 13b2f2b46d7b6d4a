#!/usr/bin/env python3
"""`everstate check`: what a stack is, or everything that is wrong with it at once; and that `serve` says the same."""

import json
import os
import re
import subprocess
import unittest

import harness
from harness import EVERSTATE, STACK

import places


def check(*args):
    """(exit code, standard output)."""
    done = subprocess.run([EVERSTATE, "check", *map(str, args)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


def plant(stack):
    """Faults of the form, of the meaning, and of what is not there: the paths of their findings."""
    first, second = stack["entities"]
    stack["ast_version"] = "0.0.2"
    first["handlers"][0]["mappings"][2]["population"] = "Sometimes"
    first["handlers"][1]["mappings"][1]["source"]["FromSource"]["path"]["segments"] = ["data", "nothing"]
    second["resolver_specs"] = [{"resolver": "token", "input_value": "a", "extracts": [{"target_path": "meta"}]}]
    idl = stack["idls"][0]
    idl["instructions"][7]["args"][0]["type"] = "Missing"
    # Two of the sizes of types, in what nobody else uses.
    idl["events"] = [{"name": name, "discriminator": [i] * 8} for i, name in enumerate(("Endless", "Large"))]
    for name, type in (("Endless", {"defined": "Endless"}), ("Large", {"array": ["u64", 3 << 20]})):
        idl["types"].append({"name": name, "type": {"kind": "struct", "fields": [{"name": "inside", "type": type}]}})
    return {
        "ast_version": "invalid",
        "entities[0].handlers[0].mappings[2].population": "invalid",
        "entities[0].handlers[1].mappings[1].source.FromSource.path": "invalid",
        "entities[1].resolver_specs[0]": "unsupported",
        "idls[0].instructions.mint_to.amount": "invalid",
        "idls[0].types.Endless": "invalid",
        "idls[0].types.Large.inside": "invalid",
    }


class CheckTest(harness.EndToEndTest):
    def test_a_stack_is_described(self):
        code, text = check(STACK)
        self.assertEqual(code, 0, text)
        for word in ("stack SplStream", "spl_token TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", "entity TokenAccount", "key: id.address",
                     "looked up by: id.mint", "TokenMint/by_volume", "derived views are not supported"):
            self.assertIn(word, text)
        code, text = check("--json", STACK)
        self.assertEqual(code, 0)
        stack = json.loads(text)
        written = json.loads(STACK.read_text())
        self.assertEqual([p["id"] for p in stack["programs"]], written["program_ids"])
        self.assertEqual([e["name"] for e in stack["entities"]], [e["state_name"] for e in written["entities"]])
        types = {f["path"]: f["type"] for f in stack["entities"][0]["fields"]}
        self.assertEqual(types["state.supply"], "u64")
        self.assertEqual(types["activity.burned"], "integer")
        self.assertEqual(types["derived.transfer_volume_ui"], "f64")
        self.assertEqual(types["id.mint"], "pubkey")
        self.assertEqual({f["path"]: f["type"] for f in stack["entities"][1]["fields"]}["transfers"], "vec<event>")
        unsupported = {v["view"] for v in stack["views"] if v["unsupported"]}
        self.assertEqual(unsupported, {v["id"] for e in written["entities"] for v in e["views"]})
        request = stack["subscription"]
        self.assertEqual(request["accounts"]["accounts"]["owner"], written["program_ids"])
        self.assertEqual(request["transactions"]["transactions"],
                         {"vote": False, "failed": False, "account_include": written["program_ids"]})
        self.assertEqual(request["commitment"], "CONFIRMED")
        self.assertEqual(stack["content_hash"], {"found": written["content_hash"], "computed": written["content_hash"], "differs": False})
        self.assertEqual(stack["notes"], [])

    def changed(self, change):
        stack = json.loads(STACK.read_text())
        change(stack)
        file = self.folder / "changed.stack.json"
        file.write_text(json.dumps(stack))
        return file

    def test_what_is_of_no_use_is_said(self):
        def useless(stack):
            del stack["content_hash"]
            stack["entities"] = []
            stack["program_ids"].append("no program")
        code, text = check(self.changed(useless))
        self.assertEqual(code, 2)
        for word in ("entities: is empty", 'program_ids[1]: the program id "no program" is not the base58 text of 32 bytes'):
            self.assertIn(word, text)

        def noted(stack):
            stack["entities"][0]["identity"]["primary_keys"] = ["id.nobody"]
            stack["program_ids"].append("11111111111111111111111111111111")
        file = self.changed(noted)
        code, text = check(file)
        self.assertEqual(code, 0)
        self.assertIn('\nnotes\n  program_ids[1]: there is no IDL for it', text)
        self.assertIn('  entities[0].identity.primary_keys[0]: nothing fills "id.nobody"', text)
        report = json.loads(check("--json", file)[1])
        found = json.loads(STACK.read_text())["content_hash"]
        self.assertEqual((report["content_hash"]["found"], report["content_hash"]["differs"]), (found, True))
        self.assertNotEqual(report["content_hash"]["computed"], found)
        self.assertIn(f'  content_hash: is "{found}", but the hash of the content is {report["content_hash"]["computed"]}', text)
        self.assertEqual({note["path"] for note in report["notes"]},
                         {"content_hash", "program_ids[1]", "entities[0].identity.primary_keys[0]"})
        served = self.start(harness.Server("http://127.0.0.1:1", self.folder / "data", stack=file))
        for note in report["notes"]:
            served.line(re.escape(f'{file}: {note["path"]}: {note["rule"]}'))

    def test_names_steer_no_terminal(self):
        evil = "a\x1b[31m\n\u009b\x7fb"

        def named(stack):
            stack["entities"][1]["state_name"] = evil
            stack["entities"][1]["views"] = []
            mappings = stack["entities"][0]["handlers"][0]["mappings"]
            mappings.append({**mappings[1], "target_path": "state." + evil})
        file = self.changed(named)
        shown = r"a\x1b[31m\n\u009b\x7fb"
        code, text = check(file)
        self.assertEqual(code, 0, text)
        for word in (f"entity {shown}\n", f"  {shown}/list ", f"  state.{shown} "):
            self.assertIn(word, text)
        self.assertEqual(json.loads(check("--json", file)[1])["entities"][1]["name"], evil)
        bad = self.changed(lambda stack: (named(stack), stack["entities"].append(dict(stack["entities"][1]))))
        code, errors = check(bad)
        self.assertEqual(code, 2)
        self.assertIn("entities[2].state_name", errors)
        bad = self.changed(lambda stack: stack["entities"][0]["handlers"][0]["source"]["Source"].update(type_name=evil))
        code, errors = check(bad)
        self.assertEqual(code, 2)
        self.assertIn(f'"{shown}"', errors)
        for printed in (text, errors):
            self.assertFalse([c for c in printed if c != "\n" and (ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0)])

    def test_a_key_that_many_handlers_map_is_said_once(self):
        file = self.changed(lambda stack: stack["entities"][0]["identity"].update(primary_keys=["id.mint", "id.mint", "state.supply", "id.mint"]))
        self.assertIn("  key: id.mint, state.supply\n", check(file)[1])
        self.assertEqual(json.loads(check("--json", file)[1])["entities"][0]["keys"], ["id.mint", "state.supply"])

    def test_everything_that_is_wrong_is_said_at_once(self):
        stack = json.loads(STACK.read_text())
        planted = plant(stack)
        file = self.folder / "faulty.stack.json"
        file.write_text(json.dumps(stack))
        code, text = check("--json", file)
        self.assertEqual(code, 2)
        report = json.loads(text)
        self.assertEqual({f["path"]: f["kind"] for f in report["findings"]}, planted)
        self.assertEqual(len(report["findings"]), len(planted))
        self.assertEqual({f["file"] for f in report["findings"]}, {str(file)})
        self.assertEqual([note["path"] for note in report["notes"]], ["content_hash"])
        code, text = check(file)
        self.assertEqual((code, len(text.splitlines())), (2, len(planted) + 1))
        served = subprocess.run([EVERSTATE, "serve", "--stack", file, "--endpoint", "http://127.0.0.1:1", "--data", self.folder / "d"],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(served.returncode, 2)
        for path in planted:
            self.assertIn(f"{file}: {path}: ", served.stdout + served.stderr)

    def test_what_is_no_stack(self):
        broken = self.folder / "broken.json"
        broken.write_text('{"stack_name": ')
        for file, words in [(self.folder / "nothing.json", "No such file"), (broken, "is not JSON"), (self.folder, "is a folder")]:
            code, text = check(file)
            self.assertEqual(code, 2)
            self.assertIn(str(file), text)
            self.assertIn(words, text)
            findings = json.loads(check("--json", file)[1])["findings"]
            self.assertEqual([(f["path"], f["kind"]) for f in findings], [("", "invalid")])

    def test_a_file_may_have_any_name(self):
        for content, code in ((STACK.read_bytes(), 0), (b"{", 2)):
            file = os.path.join(os.fsencode(self.folder), b"\xff.json")
            with open(file, "wb") as out:
                out.write(content)
            done = subprocess.run([EVERSTATE, "check", "--json", file], capture_output=True, timeout=60)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertTrue(json.loads(done.stdout)["file"].endswith("\ufffd.json"))

    def test_real_stacks_check_or_name_what_is_not_supported(self):
        for name in ("SplStream", "PumpStream", "OreStream"):
            file = places.stack(name)
            if file is None:
                continue
            code, text = check("--json", file)
            report = json.loads(text)
            kinds = {f["kind"] for f in report.get("findings", [])}
            self.assertEqual((code, kinds), (2, {"unsupported"}) if kinds else (0, set()), name)


if __name__ == "__main__":
    unittest.main()
