"""Reads the text format of Prometheus, version 0.0.4, strictly, and says what its own linter would complain of.

    families = prometheus_text.parse(text)      # {name: Family}; ValueError names the line and the rule
    families["x_total"].samples                 # {(("label", "value"), ...): value}, labels sorted
    prometheus_text.complaints(families)        # []
"""

import dataclasses
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}
PARTS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}  # a family's samples; else its name
# Units that are not base units, https://prometheus.io/docs/practices/naming: what promtool's lint looks for.
OTHER_UNITS = ("milliseconds", "microseconds", "nanoseconds", "ms", "us", "ns", "minutes", "hours", "days", "kilobytes", "kb", "mb", "kib",
               "mib", "bits", "percent")


@dataclasses.dataclass
class Family:
    type: str
    help: str = ""
    samples: dict = dataclasses.field(default_factory=dict)
    parts: dict = dataclasses.field(default_factory=dict)  # of a summary or histogram: {("_sum", labels): value}

    def total(self):
        return sum(self.samples.values())


def parse(text):
    if not text.endswith("\n"):
        raise ValueError("the last line has no end")
    families, helps, current = {}, {}, None
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            current = take(line, families, helps, current)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}: {line[:200]}") from None
    unused = set(helps) - set(families)
    if unused:
        raise ValueError(f"HELP without TYPE: {sorted(unused)}")
    return families


def take(line, families, helps, current):
    """One line; the name of the family that it belongs to."""
    if not line:
        return current
    if line.startswith("# HELP "):
        name, _, text = line[7:].partition(" ")
        if name in helps:
            raise ValueError("a second HELP")
        helps[name] = text
        return name
    if line.startswith("# TYPE "):
        name, _, kind = line[7:].partition(" ")
        if kind not in TYPES:
            raise ValueError("no type")
        if name in families:
            raise ValueError("a second TYPE: the lines of a family must lie together")
        families[name] = Family(kind, helps.get(name, ""))
        return name
    if line.startswith("#"):
        return current
    return sample(line, families, current)


def sample(line, families, current):
    found = NAME.match(line)
    if not found:
        raise ValueError("no name")
    name, rest, labels = found[0], line[found.end():], ()
    if rest.startswith("{"):
        rest, labels = read_labels(rest)
    words = rest.split(" ")
    if len(words) != 2 or words[0] != "":
        raise ValueError("no single space and value behind the name")
    value = float(words[1].replace("Inf", "inf"))
    if current not in families:
        raise ValueError("a sample before its TYPE")
    family = families[current]
    part = name[len(current):] if name.startswith(current) else None
    if part not in PARTS.get(family.type, ("",)):
        raise ValueError(f"a sample inside of the family {current}")
    into, key = (family.parts, (part, labels)) if family.type in PARTS else (family.samples, labels)
    if key in into:
        raise ValueError("the same sample again")
    into[key] = value
    return current


def read_labels(text):
    labels, at = {}, 1
    while not text.startswith("}", at):
        found = LABEL.match(text, at)
        if not found:
            raise ValueError("no label")
        if found[1] in labels:
            raise ValueError("the same label again")
        labels[found[1]] = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), found[2])
        at = found.end()
        if text.startswith(",", at):
            at += 1
        elif not text.startswith("}", at):
            raise ValueError("neither , nor } behind a label")
    return text[at + 1:], tuple(sorted(labels.items()))


def complaints(families):
    found = []
    for name, family in families.items():
        say = lambda what, name=name: found.append(f"{name}: {what}")  # noqa: E731
        if not family.help:
            say("no HELP")
        if not family.samples and not family.parts:
            say("no sample")
        if (family.type == "counter") != name.endswith("_total"):
            say("counters, and they alone, end in _total")
        if family.type not in PARTS and name.endswith(("_sum", "_count", "_bucket")):
            say("ends as the part of a histogram")
        if family.type in name.split("_") or ":" in name or name != name.lower():
            say("has its type, a colon or a capital letter in it")
        words = name.removesuffix("_total").split("_")
        if any(unit in words for unit in OTHER_UNITS):
            say("is not in a base unit")
        if family.type == "counter" and any(value < 0 for value in family.samples.values()):
            say("is negative")
        names = {tuple(label for label, _ in labels) for labels in family.samples}
        if len(names) > 1:
            say(f"has samples with other labels: {sorted(names)}")
    return found
