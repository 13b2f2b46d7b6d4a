#!/usr/bin/env python3
"""Makes the demo again and compares it with what is committed: check.py FOLDER [NPM_ROOT]

The packages are installed in FOLDER, with the Node of NPM_ROOT when there is one. The exit code is 0 when all files are the same, 1 when one
differs, and 77, which CTest shows as skipped, when Node or the packages cannot be had.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
COMMITTED = {
    "demo.updates": ROOT / "tests" / "recordings",
    "demo.accounts.json": ROOT / "tests" / "recordings",
    "Demo.stack.json": ROOT / "tests" / "stacks",
}
NODE_MAJOR_MIN = 20
SKIPPED = 77


def find_node(npm_root):
    """Path of a Node that is new enough, or None."""
    pinned = pathlib.Path(npm_root or HERE) / "node_modules" / "node" / "bin" / "node"
    path = str(pinned) if pinned.exists() else shutil.which("node")
    if path is None:
        return None
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    return path if int(version.strip().lstrip("v").split(".")[0]) >= NODE_MAJOR_MIN else None


def install(folder, npm, node):
    """Lays a copy of the generator out in `folder`, its packages beside it; the folder to run in, or None without them."""
    copy = folder / "tests" / "support" / "demo"
    copy.mkdir(parents=True, exist_ok=True)
    lock = copy / "package-lock.json"
    known = lock.exists() and lock.read_bytes() == (HERE / lock.name).read_bytes() and (copy / "node_modules").exists()
    for file in [*HERE.glob("*.mjs"), *HERE.glob("*.json")]:
        shutil.copy(file, copy)
    for link, target in ((folder / "proto", ROOT / "proto"), (folder / "tests" / "stacks", ROOT / "tests" / "stacks")):
        if not link.exists():
            link.symlink_to(target)
    if not known:
        path = os.pathsep.join([os.path.dirname(node), os.environ["PATH"]])
        done = subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=copy, capture_output=True, text=True, env={**os.environ, "PATH": path})
        if done.returncode != 0:
            print(f"skipped: npm ci failed: {done.stderr[-500:]}")
            shutil.rmtree(copy / "node_modules", ignore_errors=True)
            return None
    return copy


def main(argv):
    if len(argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    node, npm = find_node(argv[2] if len(argv) == 3 else None), shutil.which("npm")
    if node is None or npm is None:
        print(f"skipped: no Node {NODE_MAJOR_MIN} or newer, or no npm")
        return SKIPPED
    copy = install(pathlib.Path(argv[1]).resolve(), npm, node)
    if copy is None:
        return SKIPPED
    with tempfile.TemporaryDirectory() as made:
        subprocess.run([node, "make.mjs", made], cwd=copy, check=True)
        differing = [name for name, folder in COMMITTED.items() if pathlib.Path(made, name).read_bytes() != (folder / name).read_bytes()]
    for name in differing:
        print(f"{COMMITTED[name] / name} is not what make.mjs makes")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
