#!/usr/bin/env python3
"""House rules that a program can check: words, headers that say what they are, machine paths. Lengths: lengths.py."""
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
PATHS = re.compile(r"(^|[^A-Za-z0-9_.])/(root|home)/[a-z]")


def files(*suffixes):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [ROOT / name for name in listed if name.endswith(suffixes) and (ROOT / name).is_file()]


@unittest.skipUnless((ROOT / ".git").exists(), "not a git checkout")
class TidyTest(unittest.TestCase):
    def test_nothing_is_marked_unfinished(self):
        marked = [f"{f.relative_to(ROOT)}:{n}" for f in files(".cc", ".h", ".js", ".mjs", ".py", ".proto", ".cmake", ".txt", ".md", "dev") if f.name != "tidy_test.py"
                  for n, line in enumerate(f.read_text().splitlines(), 1) if UNFINISHED.search(line)]
        self.assertEqual(marked, [])

    def test_no_machine_paths(self):
        found = [f"{f.relative_to(ROOT)}:{n}" for f in files(".cc", ".h", ".py", ".md", ".sh", ".txt", "dev") if f.name != "tidy_test.py"
                 for n, line in enumerate(f.read_text().splitlines(), 1) if PATHS.search(line)]
        self.assertEqual(found, [])

    def test_headers_begin_with_what_they_are(self):
        bare = [str(f.relative_to(ROOT)) for f in files(".h") if not f.read_text().startswith("//")]
        self.assertEqual(bare, [])


if __name__ == "__main__":
    unittest.main()
