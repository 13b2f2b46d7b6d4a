"""Tests of the judge of entities: it must find every change made to a right answer, and nothing in a right one."""

import contextlib
import copy
import io
import json
import os
import random
import tempfile
import unittest

import entities
from places import expected_files

SMALL = {
    "E": {
        "a": {
            "id": {"a": "a"},
            "n": {"big": 18446744073709551615, "f": 2.0, "b": True, "t": "7"},
            "log": [{"data": {"x": i}, "slot": 9} for i in range(100)],
            "log_total": 150,
            "fixed": [1, 2, 3],
        }
    }
}


def as_held(expected):
    """What a server would hold for an expected file: the same without the totals."""
    def strip(value):
        if isinstance(value, dict):
            return {k: strip(v) for k, v in entities.without_totals(value)[0].items()}
        return [strip(v) for v in value] if isinstance(value, list) else value

    return {entity: {key: strip(value) for key, value in rows.items()} for entity, rows in expected.items()}


def leaf_places(value, path=()):
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if members is None:
        return [path]
    return [place for key, below in members for place in leaf_places(below, path + (key,))]


def mutate(held, place):
    for step in place[:-1]:
        held = held[step]
    old = held[place[-1]]
    if isinstance(old, bool):
        held[place[-1]] = not old
    elif isinstance(old, (int, float)):
        held[place[-1]] = old + 1
    else:
        held[place[-1]] = old + "x"


def run_main(expected, held):
    """Runs the program itself over files; returns its exit code and what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "expected.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(expected, file)
        arguments = ["entities.py", path]
        for entity, rows in held.items():
            name = os.path.join(folder, entity + ".jsonl")
            with open(name, "w", encoding="utf-8") as file:
                for key, data in rows.items():
                    file.write(json.dumps({"key": key, "seq": "1:000000000001", "data": data}) + "\n")
            arguments.append(f"{entity}={name}")
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = entities.main(arguments)
        return code, out.getvalue()


class EntitiesTest(unittest.TestCase):
    def held(self):
        return as_held(SMALL)

    def differences(self, held):
        return entities.compare(SMALL, held).differences

    def test_the_same_is_the_same(self):
        report = entities.compare(SMALL, self.held())
        self.assertEqual(report.differences, [])
        self.assertEqual(report.leaves_compared, report.leaves_expected)
        self.assertEqual(report.leaves_compared, 1 + 4 + 200 + 3)

    def test_decimal_text_is_an_integer_but_text_is_no_number(self):
        held = self.held()
        held["E"]["a"]["n"].update(big="18446744073709551615", f=2)
        self.assertEqual(self.differences(held), [])
        for wrong in ({"big": "18446744073709551614"}, {"big": "0x1"}, {"big": 1.0}, {"b": 1}, {"t": 7}, {"f": "2.0"}):
            held = self.held()
            held["E"]["a"]["n"].update(wrong)
            self.assertEqual(len(self.differences(held)), 1, wrong)

    def test_append_arrays_are_compared_at_their_newest_end(self):
        held = self.held()
        held["E"]["a"]["log"] = [{"data": {"x": -1}, "slot": 1}] * 50 + held["E"]["a"]["log"]
        self.assertEqual(self.differences(held), [])
        held["E"]["a"]["log"] = held["E"]["a"]["log"][-99:]
        self.assertEqual(len(self.differences(held)), 1)
        held["E"]["a"]["log"] = [held["E"]["a"]["log"][0]] + held["E"]["a"]["log"]
        held["E"]["a"]["log"][-1]["data"]["x"] = 5
        self.assertEqual([d[0] for d in self.differences(held)], ["E[a].log[-1].data.x", "E[a].log[-100].data.x"])

    def test_what_is_left_out_is_ignored_and_counted(self):
        held = self.held()
        held["E"]["a"].update(raw={"data": {"p": 1}, "slot": 3}, _seq="1:000000000001", __stop={"x": True}, gone=None)
        held["E"]["a"]["derived"] = {"last_slot": 4}
        held["E"]["a"]["log"][-1]["timestamp"] = 17
        report = entities.compare(SMALL, held)
        self.assertEqual(report.differences, [])
        self.assertEqual(report.leaves_ignored, 7)

    def test_leaves_too_many_and_too_few_differ(self):
        for change in (
            lambda v: v.update(extra=0),
            lambda v: v["n"].pop("big"),
            lambda v: v["n"].update(timestamp=5),
            lambda v: v["fixed"].append(4),
            lambda v: v.update(nested={"raw": 1}),
        ):
            held = self.held()
            change(held["E"]["a"])
            self.assertEqual(len(self.differences(held)), 1)

    def test_entities_too_many_and_too_few_differ(self):
        self.assertEqual(len(self.differences({"E": {}})), 1)
        self.assertEqual(len(self.differences({})), 1)
        held = self.held()
        held["F"] = {"k": {}}
        self.assertEqual(len(self.differences(held)), 1)

    def test_bad_rows_are_errors(self):
        for text in ("{", "[]", '{"key":1,"data":{}}', '{"key":"a","data":{}}\n{"key":"a","data":{}}'):
            with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
                file.write(text)
                file.flush()
                with self.assertRaisesRegex(ValueError, file.name):
                    entities.read_rows(file.name)

    def test_every_mutation_of_recorded_answers_is_found(self):
        files = expected_files()
        if not files:
            self.skipTest("no expected entities of recordings in this checkout")
        for path in files:
            with self.subTest(path=os.path.basename(path)):
                with open(path, encoding="utf-8") as file:
                    expected = json.load(file)
                held = as_held(expected)
                code, text = run_main(expected, held)
                self.assertEqual(code, 0, text)
                self.assertIn(" 0 differences", text)

                generator = random.Random(20)
                for place in generator.sample(leaf_places(held), 20):
                    mutate(held, place)
                name = sorted(held)[0]
                held[name]["one-too-many"] = copy.deepcopy(next(iter(held[name].values())))
                code, text = run_main(expected, held)
                self.assertEqual(code, 1)
                self.assertIn(" 21 differences", text)


if __name__ == "__main__":
    unittest.main()
