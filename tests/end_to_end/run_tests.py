#!/usr/bin/env python3
"""Runs the tests of modules: run_tests.py MODULE...

The exit code is 0 when they passed, 1 when one failed, and 77, which CTest shows as skipped, when not one of them could run.
"""

import os
import sys
import unittest

SKIPPED = 77


class Result(unittest.TextTestResult):
    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def main(modules):
    sys.path.insert(0, os.getcwd())
    suite = unittest.defaultTestLoader.loadTestsFromNames(modules)
    result = unittest.TextTestRunner(verbosity=2, resultclass=Result).run(suite)
    if not result.wasSuccessful():
        return 1
    return 0 if result.passed else SKIPPED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
