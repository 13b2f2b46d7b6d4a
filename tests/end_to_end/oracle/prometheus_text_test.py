"""Tests of the reader of Prometheus's text format: what is right is read, each kind of fault is found."""

import unittest

import prometheus_text

RIGHT = """\
# HELP a_total What a counts
# TYPE a_total counter
a_total{view="T/list",text="a \\"b\\" \\\\ \\n"} 3
a_total{view="T/state",text=""} 1.5e+09
# HELP b How much b is
# TYPE b gauge
b 0
# HELP c_seconds How long c took
# TYPE c_seconds summary
c_seconds_count{stack="x"} 7
c_seconds_sum{stack="x"} 0.25
"""


class PrometheusTextTest(unittest.TestCase):
    def test_what_is_right_is_read(self):
        families = prometheus_text.parse(RIGHT)
        self.assertEqual(list(families), ["a_total", "b", "c_seconds"])
        self.assertEqual(families["a_total"].samples, {
            (("text", 'a "b" \\ \n'), ("view", "T/list")): 3,
            (("text", ""), ("view", "T/state")): 1.5e9,
        })
        self.assertEqual(families["b"].samples, {(): 0})
        self.assertEqual(families["c_seconds"].parts, {("_count", (("stack", "x"),)): 7, ("_sum", (("stack", "x"),)): 0.25})
        self.assertEqual(prometheus_text.complaints(families), [])

    def test_every_kind_of_fault_is_found(self):
        head = "# HELP a A\n# TYPE a gauge\n"
        for fault, text in {
            "no end": head + "a 1",
            "no type": "# TYPE a number\n",
            "second TYPE": head + "a 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\n",
            "second HELP": "# HELP a A\n# HELP a A\n",
            "without TYPE": "# HELP a A\n",
            "before its TYPE": "a 1\n",
            "inside of": head + "b 1\n",
            "inside of the family": head + "a_sum 1\n",
            "same sample": head + 'a{x="1",y="2"} 1\na{y="2",x="1"} 1\n',
            "same label": head + 'a{x="1",x="2"} 1\n',
            "no label": head + 'a{x=1} 1\n',
            "neither": head + 'a{x="1"y="2"} 1\n',
            "single space": head + "a  1\n",
            "could not convert": head + "a one\n",
            "no name": head + "1a 1\n",
        }.items():
            with self.assertRaises(ValueError, msg=text) as raised:
                prometheus_text.parse(text)
            self.assertIn(fault, str(raised.exception))

    def test_what_a_linter_says(self):
        for complaint, text in {
            "no HELP": "# TYPE a gauge\na 1\n",
            "no sample": "# HELP a A\n# TYPE a gauge\n",
            "_total": "# HELP a A\n# TYPE a counter\na 1\n",
            "end in _total": "# HELP a_total A\n# TYPE a_total gauge\na_total 1\n",
            "histogram": "# HELP a_count A\n# TYPE a_count gauge\na_count 1\n",
            "base unit": "# HELP a_ms A\n# TYPE a_ms gauge\na_ms 1\n",
            "its type": "# HELP a_gauge A\n# TYPE a_gauge gauge\na_gauge 1\n",
            "negative": "# HELP a_total A\n# TYPE a_total counter\na_total -1\n",
            "other labels": '# HELP a A\n# TYPE a gauge\na{x="1"} 1\na{y="1"} 1\n',
        }.items():
            self.assertIn(complaint, "\n".join(prometheus_text.complaints(prometheus_text.parse(text))), text)


if __name__ == "__main__":
    unittest.main()
