"""Where the recordings and their expected values lie: beside the checkout, or (the small ones) committed in it."""

import glob
import os

TESTS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATA = os.path.join(os.path.dirname(os.path.dirname(TESTS)), "shared", "data")
COMMITTED = os.path.join(TESTS, "recordings")


def recording(name):
    """Path of `<name>.updates`, or None when it is not here."""
    return first(os.path.join(COMMITTED, name + ".updates"), os.path.join(DATA, "recordings", name + ".updates"))


def expected(name):
    """Path of a file of expected values such as `spl.jsonl`, or None when it is not here."""
    return first(os.path.join(COMMITTED, name), os.path.join(DATA, "expected", name))


def stack(name):
    """Path of `<name>.stack.json`, or None when it is not here."""
    return first(
        os.path.join(TESTS, "stacks", name + ".stack.json"), os.path.join(DATA, "stacks", name + ".stack.json")
    )


def expected_files():
    """All files of expected entities, each name once."""
    found = {}
    for folder in (DATA + "/expected", COMMITTED):
        for path in sorted(glob.glob(os.path.join(folder, "*.entities.json"))):
            found[os.path.basename(path)] = path
    return list(found.values())


def first(*paths):
    return next((path for path in paths if os.path.exists(path)), None)
