#!/usr/bin/env python3
"""The tables under "Bad inputs" in tests/README.md say what is tested: each test that a row names exists, and each message that a row
quotes stands in one of the row's tests."""

import pathlib
import re
import unittest

TESTS = pathlib.Path(__file__).resolve().parent.parent
GTEST = re.compile(r"^(?:TEST|TEST_F|TEST_P|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)\((\w+), *(\w+)", re.M)
ANY = "…"  # in a message: what differs


def cpp_tests():
    """{"Suite.Name": source}. A parameter of a TEST_P stands anywhere in its file, so its source is the whole file."""
    found = {}
    for file in TESTS.rglob("*_test.cc"):
        text = file.read_text()
        marks = list(GTEST.finditer(text))
        for mark, following in zip(marks, [*marks[1:], None]):
            end = following.start() if following else len(text)
            found[f"{mark[1]}.{mark[2]}"] = text if mark[0].startswith("TEST_P") else text[mark.start() : end]
    return found


def python_tests():
    """{"module.Class.test_name": source}."""
    found = {}
    for file in (TESTS / "end_to_end").glob("*_test.py"):
        owner = None
        for part in re.split(r"^(?=class |    def )", file.read_text(), flags=re.M):
            if name := re.match(r"class (\w+)", part):
                owner = name[1]
            elif name := re.match(r"    def (test_\w+)", part):
                found[f"{file.stem}.{owner}.{name[1]}"] = part
    return found


def rows(text):
    """(input, gets, names of tests) of each row under "Bad inputs"."""
    section = re.split(r"^## ", text, flags=re.M)
    [bad_inputs] = [part for part in section if part.startswith("Bad inputs\n")]
    for line in bad_inputs.splitlines():
        if line.startswith("| ") and not line.startswith("| input |"):
            cells = line.strip().strip("|").split(" | ")
            yield cells[0].strip(), cells[1].strip(), re.findall(r"`([^`]+)`", cells[2])


def plain(source):
    """Text as it is printed, more or less: without the escapes of a string literal."""
    return source.replace('\\"', '"').replace("\\'", "'")


def faults(text, tests):
    found = []
    for given, gets, names in rows(text):
        if not names:
            found.append(f"{given}: no test")
        found += [f"{given}: there is no test {name}" for name in names if name not in tests]
        sources = [plain(tests[name]) for name in names if name in tests]
        for message in re.findall(r"`([^`]+)`", gets):
            for piece in filter(None, (piece.strip() for piece in message.split(ANY))):
                if not any(piece in source for source in sources):
                    found.append(f'{given}: no test of the row contains "{piece}"')
    return found


class BadInputsTableTest(unittest.TestCase):
    def setUp(self):
        self.tests = {**cpp_tests(), **python_tests()}

    def test_the_table_is_true(self):
        text = (TESTS / "README.md").read_text()
        self.assertGreater(len(list(rows(text))), 70)
        self.assertEqual(faults(text, self.tests), [])

    def test_what_is_not_true_is_found(self):
        tests = {"A.B": 'EXPECT_EQ(text, "the \\"file\\" " + name + " is cut");'}
        row = "## Bad inputs\n| input | gets | test |\n|---|---|---|\n| x | {} | {} |\n"
        self.assertEqual(faults(row.format('`the "file" … is cut`', "`A.B`"), tests), [])
        self.assertEqual(len(faults(row.format("`is whole`", "`A.B`"), tests)), 1)
        self.assertEqual(len(faults(row.format("nothing", "`A.C`"), tests)), 1)
        self.assertEqual(len(faults(row.format("nothing", "none"), tests)), 1)


if __name__ == "__main__":
    unittest.main()
