#!/usr/bin/env python3
"""`everstate decode` against decoders that share no code with it: values of recorded accounts, instructions and events, line by line."""

import base64
import copy
import json
import signal
import subprocess
import tempfile
import unittest
from collections import Counter
from pathlib import Path

from harness import EVERSTATE, STACK, TESTS

import recording as oracle_recording

DATA = TESTS.parent.parent / "shared" / "data"
RECORDING = TESTS / "recordings" / "spl-small.updates"
needs_data = unittest.skipUnless(DATA.is_dir(), f"no recordings with expected values at {DATA}")

# Recording, program of the expected lines, IDL, program id.
CASES = [
    ("spl", "token", "spl_token.codama.json", "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"),
    ("pump", "pump", "pump.json", "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P"),
    ("pump", "pump_fees", "pump_fees.json", "pfeeUxB6jkeY1Hxd7CsFCAjcbHA9rWtchMGdZ6VojVZ"),
    ("pump-sim", "pump", "pump.json", "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P"),
    ("ore-mainnet", "ore", "ore_v4.json", "oreV3EG1i9BEgiAJ8b177Z2S2rMarzak4NMv1kULvWv"),
    ("ore-mainnet", "entropy", "entropy.json", "3jSkUuYBoJzQPMEzTvkDFXCZUBksPamrVhrnHR9igu2X"),
]
COMPARED = ("kind", "slot", "signature", "pubkey", "path", "name", "type", "source", "data", "args", "accounts", "padded", "failed", "txIndex")


def run(*args):
    return subprocess.run([EVERSTATE, "decode", *map(str, args)], capture_output=True, text=True, timeout=600)


def recorded(message):
    return oracle_recording.encode_varint(len(message)) + message


def decode(*args):
    result = run(*args)
    if result.returncode != 0:
        raise AssertionError(f"decode {args} ended with {result.returncode}: {result.stderr}")
    return [json.loads(line) for line in result.stdout.splitlines()]


def projected(line):
    """What is compared of a line. Arguments that had to be filled up with zeros are arguments all the same."""
    line = dict(line)
    if "argsZeroPadded" in line:
        line["args"] = line["argsZeroPadded"]
        line["padded"] = True
    return {key: line[key] for key in COMPARED if key in line}


def expected_lines(path, program):
    """Of one program, with what belongs to none: transactions, and accounts that are gone."""
    lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return [projected(line) for line in lines if line.get("program", program) == program]


def differences(expected, actual):
    """Pairs of lines that differ, in the order of the recording; what is there too often or missing is a pair with None."""
    found = [(e, a) for e, a in zip(expected, actual) if e != a]
    shorter = min(len(expected), len(actual))
    return found + [(e, None) for e in expected[shorter:]] + [(None, a) for a in actual[shorter:]]


def leaves(value, path=()):
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, path + (key,))
    elif isinstance(value, list) and value:
        for i, inner in enumerate(value):
            yield from leaves(inner, path + (i,))
    else:
        yield path


def changed(value, path):
    value = copy.deepcopy(value)
    at = value
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = "something else"
    return value


@needs_data
class ExpectedValues(unittest.TestCase):
    def test_every_line_equals(self):
        for recording, program, idl, program_id in CASES:
            with self.subTest(recording=recording, program=program):
                expected = expected_lines(DATA / "expected" / f"{recording}.jsonl", program)
                lines = decode("--idl", DATA / "idls" / idl, "--program", program_id, DATA / "recordings" / f"{recording}.updates")
                actual = [projected(line) for line in lines]
                found = differences(expected, actual)
                print(f"{recording}, {program}, {idl}: {len(expected) - len(found)} of {len(expected)} lines equal, "
                      f"{dict(Counter(line['kind'] for line in expected))}")
                self.assertEqual(found[:3], [])

    def test_a_changed_leaf_is_found(self):
        recording, program, idl, program_id = CASES[1]
        lines = decode("--idl", DATA / "idls" / idl, "--program", program_id, DATA / "recordings" / f"{recording}.updates")
        actual = [projected(line) for line in lines]
        source = [json.loads(line) for line in (DATA / "expected" / f"{recording}.jsonl").read_text().splitlines()]
        count = 0
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "changed.jsonl"
            for i, line in enumerate(source):
                if line.get("program", program) != program:
                    continue
                paths = [path for path in leaves(line) if path[0] in COMPARED + ("argsZeroPadded",)]
                for path in paths:
                    self.assertNotEqual(projected(changed(line, path)), projected(line), path)
                    count += 1
                # One of each line goes the whole way through a file.
                other = source[:i] + [changed(line, paths[i % len(paths)])] + source[i + 1:]
                file.write_text("".join(json.dumps(one) + "\n" for one in other))
                self.assertEqual(len(differences(expected_lines(file, program), actual)), 1)
        print(f"{count} changed leaves, all of them found")

    def test_a_stack_decodes_as_its_idls_do(self):
        _, _, idl, program_id = CASES[3]
        recording = DATA / "recordings" / "pump.updates"
        by_stack = decode("--stack", DATA / "stacks" / "PumpStream.stack.json", recording)
        self.assertEqual(by_stack, decode("--idl", DATA / "idls" / idl, "--program", program_id, recording))

    def test_an_event_written_both_ways_counts_once(self):
        _, program, idl, _ = CASES[3]
        lines = decode("--idl", DATA / "idls" / idl, DATA / "recordings" / "pump-sim.updates")
        events = [line for line in lines if line["kind"] == "event"]
        by_source = Counter((line["source"], line.get("duplicate", False)) for line in events)
        self.assertGreater(by_source["cpi", False], 1000)
        self.assertEqual(by_source, {("cpi", False): by_source["cpi", False], ("log", True): by_source["cpi", False]})


@needs_data
class InstructionTree(unittest.TestCase):
    def test_a_routed_swap(self):
        tree = json.loads((DATA / "expected" / "jupiter-route.tree.json").read_text())
        invoked = [line for line in tree["log_messages"] if " invoke [" in line]
        self.assertEqual(len(invoked), len(tree["instructions"]))
        lines = [line for line in decode("--raw", DATA / "recordings" / "jupiter-route.updates") if line["kind"] == "instruction"]
        self.assertEqual(len(lines), len(tree["instructions"]))
        seen = set()
        for line, expected, log in zip(lines, tree["instructions"], invoked):
            outer, inner = expected["ix_index"]
            self.assertEqual(line["path"], [outer, inner] if outer in seen else [outer])
            seen.add(outer)
            self.assertEqual(line["program"], log.split()[1])
            self.assertEqual(line.get("stackHeight", 1), int(log.split("[")[1].rstrip("]")))
            self.assertEqual(line["program"], base58(bytes(expected["program"])))
            self.assertEqual(line["accounts"], [base58(bytes(key)) for key in expected["accounts"]])
            self.assertEqual(base64.b64decode(line["data"]), bytes(expected["data"]))
        print(f"{len(lines)} instructions, heights up to {max(line.get('stackHeight', 1) for line in lines)}")


def base58(data):
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = alphabet[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


@needs_data
class OreStreams(unittest.TestCase):
    def test_only_what_another_version_wrote_is_an_error(self):
        for recording in sorted((DATA / "recordings").glob("ore-*.updates")):
            with self.subTest(recording=recording.name):
                lines = decode("--idl", DATA / "idls" / "ore.json", recording)
                errors = Counter((line["of"], line.get("type"), line["reason"].split(":")[1].split(" at ")[0].strip())
                                 for line in lines if line["kind"] == "error")
                print(f"{recording.name}: {len(lines)} lines, {dict(errors)}")
                # The recording of the mainnet is of a later program, whose Treasury is shorter under the same discriminator.
                later = {("account", "Treasury", "too short"): 1}
                self.assertEqual(errors, later if recording.name == "ore-mainnet.updates" else {})


@needs_data
class IdlFiles(unittest.TestCase):
    REFUSED = {"mpl_token_metadata.json": "accounts.Metadata: has an empty discriminator, and its layout has no fixed length to know it by",
               "spl_token.legacy.json": "instructions.uiAmountToAmount.uiAmount: type &'astr is not defined"}

    def test_every_file_is_read_or_refused_by_name(self):
        recording = DATA / "recordings" / "jupiter-route.updates"
        for idl in sorted((DATA / "idls").glob("*.json")):
            with self.subTest(idl=idl.name):
                result = run("--idl", idl, "--program", "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4", recording)
                if idl.name in self.REFUSED:
                    self.assertEqual(result.returncode, 2)
                    self.assertIn(self.REFUSED[idl.name], result.stderr)
                else:
                    self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_a_file_without_a_program_id_needs_one(self):
        result = run("--idl", DATA / "idls" / "raydium_amm.json", DATA / "recordings" / "jupiter-route.updates")
        self.assertEqual(result.returncode, 2)
        self.assertIn("raydium_amm.json: address: does not say the program's id", result.stderr)


class Command(unittest.TestCase):
    def test_lines_of_a_stack(self):
        lines = decode("--stack", STACK, RECORDING)
        kinds = Counter(line["kind"] for line in lines)
        self.assertEqual(set(kinds), {"account", "transaction", "instruction"})
        for line in lines:
            self.assertEqual(list(line), sorted(line))
            self.assertIsInstance(line["slot"], str)
        self.assertTrue(any(line.get("type") == "Token" and isinstance(line["data"]["amount"], str) for line in lines))

    def test_a_cut_recording_is_decoded_up_to_the_cut(self):
        whole = run("--stack", STACK, RECORDING)
        with tempfile.TemporaryDirectory() as folder:
            cut = Path(folder) / "cut.updates"
            cut.write_bytes(RECORDING.read_bytes()[:-100])
            result = run("--stack", STACK, cut)
        self.assertEqual(result.returncode, 2)
        self.assertIn("cut.updates", result.stderr)
        self.assertTrue(result.stdout and whole.stdout.startswith(result.stdout))

    def test_a_damaged_message_is_a_line_and_the_rest_is_decoded(self):
        whole = decode("--stack", STACK, RECORDING)
        messages = [recorded(message) for message in oracle_recording.raw_messages(RECORDING)]
        with tempfile.TemporaryDirectory() as folder:
            damaged = Path(folder) / "damaged.updates"
            offset = sum(map(len, messages[:100]))
            damaged.write_bytes(b"".join([*messages[:100], recorded(b"\x12\xff"), *messages[100:]]))
            result = run("--stack", STACK, damaged)
        self.assertEqual(result.returncode, 2)
        self.assertIn(f"{damaged}: 1 messages cannot be read, the first one at offset {offset}: the recording is damaged", result.stderr)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        [error] = [line for line in lines if line["kind"] == "error"]
        self.assertEqual((error["of"], error["slot"], error["offset"]), ("message", None, offset))
        self.assertTrue(error["reason"])
        self.assertEqual([line for line in lines if line != error], whole)

    def test_an_empty_recording_is_none(self):
        with tempfile.TemporaryDirectory() as folder:
            empty = Path(folder) / "empty.updates"
            empty.write_bytes(b"")
            result = run("--stack", STACK, empty)
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn(f"recording {empty} is empty", result.stderr)

    def test_it_ends_when_nobody_reads_it(self):
        process = subprocess.Popen([EVERSTATE, "decode", "--stack", STACK, RECORDING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(60), -signal.SIGPIPE)
        self.assertEqual(process.stderr.read(), "")
        process.stderr.close()

    def test_what_is_no_file_is_refused(self):
        for name, words in (("-", "recording -: standard input is not read"), ("/dev/stdin", "recording /dev/stdin is not a regular file: what comes through a pipe")):
            result = subprocess.run([EVERSTATE, "decode", "--raw", name], input=b"x", capture_output=True, timeout=60)
            self.assertEqual(result.returncode, 2)
            self.assertIn(words, result.stderr.decode())

    def test_all_that_is_wrong_with_a_stacks_idls_is_named_with_its_place(self):
        stack = json.loads(STACK.read_text())
        other = copy.deepcopy(stack["idls"][0])
        other["name"] = "other"
        for idl in (stack["idls"][0], other):
            idl["instructions"][7]["args"][0]["type"] = "Missing"
        stack["idls"].append(other)
        stack["program_ids"].append(stack["program_ids"][0])
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "faulty.stack.json"
            file.write_text(json.dumps(stack))
            result = run("--stack", file, RECORDING)
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            for i in range(2):
                self.assertIn(f"{file}: idls[{i}].instructions.mint_to.amount: type Missing is not defined", result.stderr)
            # The same of a file of its own.
            file = Path(folder) / "faulty.json"
            file.write_text(json.dumps(dict(other, address=stack["program_ids"][0])))
            self.assertIn(f"{file}: instructions.mint_to.amount: type Missing is not defined", run("--idl", file, RECORDING).stderr)

    def test_several_idls_of_one_program_add_up(self):
        stack = json.loads(STACK.read_text())
        whole = stack["idls"][0]
        half = dict(whole, name="half", instructions=whole["instructions"][:4], accounts=[], events=[])
        stack["idls"], stack["program_ids"] = [half, whole], stack["program_ids"] * 2
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "two.stack.json"
            file.write_text(json.dumps(stack))
            lines = decode("--stack", file, RECORDING)
        expected = decode("--stack", STACK, RECORDING)
        self.assertEqual([dict(line, program=None) for line in lines], [dict(line, program=None) for line in expected])
        self.assertEqual({line.get("program") for line in lines}, {None, "half", whole["name"]})

    def test_what_it_needs_to_know_is_named(self):
        for args, words in (((RECORDING,), "one of --stack, --idl and --raw"),
                            (("--idl", "nowhere.json", RECORDING), "nowhere.json"),
                            (("--stack", STACK, "--raw", RECORDING), "--raw"),
                            (("--stack", "", RECORDING), '--stack: "" is empty'),
                            (("--idl", DATA / "idls" / "spl_token.codama.json", "--program", "", RECORDING), '--program: "" is empty'),
                            (("--stack", STACK, "nowhere.updates"), "nowhere.updates")):
            result = run(*args)
            self.assertEqual(result.returncode, 2, args)
            self.assertIn(words, result.stderr)


if __name__ == "__main__":
    unittest.main()
