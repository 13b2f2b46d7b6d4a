#!/usr/bin/env python3
"""Clang refuses a call from the wrong thread (server/base/thread_role.h), and only that.

    thread_role_test.py ROOT CLANG      exits 77, skipped, when CLANG is empty
"""
import pathlib
import re
import subprocess
import sys

FIXTURE = "tests/tidy/wrong_thread.cc"


def main():
    root, clang = pathlib.Path(sys.argv[1]), sys.argv[2]
    if not clang:
        print("skipped: Clang 16 or newer is not installed (./dev setup tidy)")
        return 77
    done = subprocess.run([clang, "-std=c++20", "-fsyntax-only", "-I.", "-Wthread-safety", "-Werror=thread-safety", FIXTURE],
                          cwd=root, capture_output=True, text=True)
    refused = {int(n) for n in re.findall(rf"^{FIXTURE}:(\d+):\d+: error: .*\[-Werror,-Wthread-safety", done.stderr, re.M)}
    wrong = {n for n, line in enumerate((root / FIXTURE).read_text().splitlines(), 1) if line.endswith("// WRONG")}
    if refused == wrong and done.returncode != 0:
        print(f"{len(wrong)} calls from the wrong thread refused")
        return 0
    print(done.stderr)
    print(f"not refused: {sorted(wrong - refused)}; refused, but right: {sorted(refused - wrong)}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
