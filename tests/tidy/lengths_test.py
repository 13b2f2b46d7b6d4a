#!/usr/bin/env python3
"""The lengths are measured right, the ratchet only turns one way, and the tree keeps it."""
import pathlib
import tempfile
import unittest

import lengths

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FIXTURE = HERE / "lengths_fixture"


def measured(name):
    return {function: last - first + 1 for function, first, last in lengths.functions_of(FIXTURE / name)}


class MeasureTest(unittest.TestCase):
    def test_cpp(self):
        self.assertEqual(measured("functions.cc"), {
            "Point": 1, "operator==": 3, "operator()": 1, "Long::Long": 9, "Long::Made": 9, "Trailing": 5, "TEST_F(SomeTest, DoesThis)": 3,
            "Entry": 3, "Guarded": 3, "Long::~Long": 1})

    def test_javascript(self):
        self.assertEqual(measured("functions.mjs"), {"plain": 6, "arrow": 5, "constructor": 3, "size": 1, "make": 5})

    def test_python(self):
        self.assertEqual(measured("functions.py"), {"method": 5, "inner": 2, "waits": 2})


class RatchetTest(unittest.TestCase):
    files = {"new.cc": lengths.FILE_LINES_MAX, "old.cc": 700}
    functions = {"new.cc:F": lengths.FUNCTION_LINES_MAX, "old.cc:G": 90}
    listed = {"old.cc": 700, "old.cc:G": 90}

    def problems(self, files=(), functions=(), listed=None):
        return lengths.problems(self.files | dict(files), self.functions | dict(functions), self.listed if listed is None else listed)

    def test_what_is_at_its_limit_is_fine(self):
        self.assertEqual(self.problems(), [])

    def test_what_is_new_and_too_long_is_named(self):
        self.assertEqual(self.problems(files={"new.cc": 401}, functions={"new.cc:F": 61}),
                         ["new.cc has 401 lines, a file may have 400", "new.cc:F has 61 lines, a function may have 60"])

    def test_what_was_too_long_must_not_grow(self):
        self.assertEqual(self.problems(functions={"old.cc:G": 91}), ["old.cc:G has 91 lines, it was 90"])

    def test_what_shrinks_lowers_its_entry(self):
        self.assertEqual(len(self.problems(files={"old.cc": 650}, functions={"old.cc:G": 60})), 2)
        files, functions = self.files | {"old.cc": 650}, self.functions | {"old.cc:G": 60}
        self.assertEqual(lengths.lowered(files, functions, self.listed), {"old.cc": 650})
        self.assertEqual(lengths.lowered(self.files | {"old.cc": 800, "x.cc": 900}, self.functions, self.listed), self.listed)

    def test_the_list_is_read_as_it_is_written(self):
        with tempfile.NamedTemporaryFile("w+") as file:
            path = pathlib.Path(file.name)
            path.write_text("# why\n")
            lengths.write_list(path, self.listed)
            self.assertTrue(path.read_text().startswith("# why\n"))
            self.assertEqual(lengths.read_list(path), self.listed)


@unittest.skipUnless((ROOT / ".git").exists(), "not a git checkout")
class TreeTest(unittest.TestCase):
    def test_the_tree_keeps_the_lengths(self):
        files, functions = lengths.measure(ROOT, lengths.sources(ROOT))
        print(lengths.summary(files, functions))
        self.assertGreater(len(functions), 1000)
        self.assertEqual(lengths.problems(files, functions, lengths.read_list(lengths.LIST)), [])


if __name__ == "__main__":
    unittest.main()
