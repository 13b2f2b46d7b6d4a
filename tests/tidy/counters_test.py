#!/usr/bin/env python3
"""The check of counters finds what is forgotten, and nothing is."""
import pathlib
import unittest

import counters

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LISTED = """
struct ACounters {
  Counter a, b;
};

inline constexpr auto kACounters = std::to_array<Described<ACounters>>({
    {"a", &ACounters::a, "A"},
});
static_assert(DescribesAll(kACounters));
"""


class CountersTest(unittest.TestCase):
    def test_what_is_listed_and_walked_is_right(self):
        self.assertEqual(counters.violations({"a.h": LISTED}, "visit(a, kACounters)"), [])

    def test_what_is_forgotten_is_found(self):
        for said, header, groups in [
            ("not walked", LISTED, "visit(a, kACountersMore)"),
            ("no static_assert", LISTED.replace("static_assert(DescribesAll(kACounters));", ""), "kACounters"),
            ("B has counters", "class B final : public C {\n  Gauge g_;\n};\n", ""),
            ("B has counters", "struct B {\n  mutable Counter frames, bytes;\n};\n", ""),
            ("BStats has counters", "struct BStats {\n  uint64_t n = 0;\n};\n", ""),
            ("Sizes has counters", "class B {\n  struct Sizes {\n    uint64_t n = 0;\n  };\n};\n", ""),
        ]:
            found = counters.violations({"a.h": header}, groups)
            self.assertEqual(len(found), 1, found)
            self.assertIn(said, found[0])

    def test_the_tree_forgets_none(self):
        headers = counters.headers_of(ROOT)
        there = {name for text in headers.values() for name in counters.structs(text)}
        self.assertEqual(set(counters.SHOWN_OTHERWISE) - there, set())
        self.assertEqual(counters.violations(headers, (ROOT / counters.GROUPS).read_text()), [])
        self.assertGreater(sum(len(counters.LIST.findall(text)) for text in headers.values()), 7)


if __name__ == "__main__":
    unittest.main()
