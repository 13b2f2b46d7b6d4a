#!/usr/bin/env python3
"""What the README says can be said: its commands are run, its flags, files and paths exist, its configuration is read.

The commands are taken from the text: the lines of its `sh` blocks, and inline code that begins with a program's name. Each stands
in COMMANDS below with what is done with it; one that does not stand there fails the test, and so does one that stands there and
is no longer in the text. They run in a folder that has what they name (a stack, a token, the data of a running server), and what
differs from the text is in `here`.
"""

import os
import re
import shlex
import shutil
import subprocess
import unittest

import harness
from harness import EVERSTATE, Process, Replay, Server

import places

README = harness.TESTS.parent / "README.md"
CONSOLE = os.environ.get("TEST_CONSOLE_PROGRAM")
PROGRAMS = ("everstate", "everstate-console", "build/release/everstate", "./dev", "cmake", "curl")
STACK = harness.TESTS / "stacks" / "Demo.stack.json"
RECORDING = places.recording("demo")
OWN_PORTS = ["--listen", "127.0.0.1:0", "--admin", "off"]


def ends(*more):
    """Runs to its end, with 0."""
    return lambda test, command: test.run_to_end(command, more)


def serves(line, *more):
    """Prints this line, goes on, and stops in order when it is asked to."""
    return lambda test, command: test.run_until(line, command, more)


def verb(test, command):
    """Is a verb of ./dev. Not run here: it builds, installs, or is what runs this test."""
    test.assertRegex(test.dev_help, rf"(?m)^  {command[1]}\b")


def builds(test, command):
    """Is not run here: it would build everything again. The presets and options that it names are there."""
    for word in command:
        if word.startswith("-D"):
            test.assertIn(f"option({word[2:].split('=')[0]} ", (harness.TESTS.parent / "CMakeLists.txt").read_text())


def console(*more):
    """Runs the console to its end, where it was built."""
    return lambda test, command: test.run_to_end([CONSOLE, *command[1:]], more) if CONSOLE else None


# The text, and what is done with it. The placeholders of the text are those of `here`.
COMMANDS = {
    "./dev run": verb,
    "./dev test": verb,
    "./dev build": verb,
    "./dev console": verb,
    "cmake -S . -B build && cmake --build build && ctest --test-dir build": builds,
    "cmake --install build/release --prefix /usr/local": builds,  # quick_start_test installs
    "build/release/everstate serve --stack my.stack.json --endpoint https://my-provider:443 --x-token-file token.txt": serves("^ready ", "--data", "other", *OWN_PORTS),
    "YELLOWSTONE_ENDPOINT=https://my-provider:443 YELLOWSTONE_X_TOKEN=secret everstate serve --stack .hyperstack/MyStream.stack.json": serves("^ready ", "--data", "third", *OWN_PORTS),
    "everstate serve … --resume-from 402000120": serves("rewound: generation 2 serves", "--data", "another", *OWN_PORTS),
    "everstate watch ws://localhost:8877 Token/list": serves('"key":'),
    "curl localhost:8877/ready": ends("--fail", "--silent"),
    "curl localhost:8877/status": ends("--fail", "--silent"),
    "everstate inspect --data data/Demo": ends(),
    "everstate check my.stack.json": ends(),
    "everstate record --endpoint https://my-provider:443 --x-token-file token.txt --stack my.stack.json --slots 1000 --out FILE": ends(),
    "everstate serve --config everstate.toml": serves("ready ws://", "--data", "fourth", *OWN_PORTS),
    "everstate serve --config everstate.toml --archive-keep 0 --print-config": ends(),
    "everstate decode --stack my.stack.json FILE": ends(),
    "everstate replay FILE… --listen 127.0.0.1:10000": serves("^listening "),
    "everstate checkpoint list --data data/Demo": ends(),
    "everstate checkpoint create --data data/Demo": lambda test, command: test.run_to_end(command, ["--admin", test.admin]),
    "everstate checkpoint verify --data data/Demo": ends(),
    "everstate archive list --data data/Demo": ends(),
    "everstate-console --admin HOST:8880": console("--once"),
    "everstate-console --once": lambda test, command: console("--admin", test.admin)(test, command),
}


def fenced(text):
    """[(language, lines)] of the blocks."""
    return [(language, block.splitlines()) for language, block in re.findall(r"(?ms)^```(\w*)\n(.*?)^```", text)]


def inline(text):
    return re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```", "", text))


def command_of(line):
    """What stands before the comment."""
    return re.sub(r"\s+# .*", "", line).strip()


def is_command(text):
    words = [word for word in text.split() if not re.match(r"[A-Z_]+=", word)]
    return len(words) > 1 and words[0] in PROGRAMS and not re.fullmatch(r"everstate \w+", text)  # the latter names a subcommand


def commands(text):
    lines = [line for language, block in fenced(text) if language == "sh" for line in block]
    found = [command_of(line) for line in lines if command_of(line)] + [code for code in inline(text) if is_command(code)]
    return list(dict.fromkeys(code for code in found if not code.endswith("…")))


class ReadmeTest(harness.EndToEndTest):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.text = README.read_text()
        cls.dev_help = subprocess.run([harness.TESTS.parent / "dev", "help"], capture_output=True, text=True, check=True).stdout

    def test_every_command_is_known_and_every_known_one_is_there(self):
        self.assertEqual(sorted(commands(self.text)), sorted(COMMANDS))

    def test_the_commands_run(self):
        self.lay_out()
        for text in commands(self.text):
            with self.subTest(text):
                COMMANDS[text](self, self.here(text))

    def lay_out(self):
        """A folder as the README thinks of it: a provider, a running server with a checkpoint, its stack and its data."""
        self.lay_out_files()
        self.provider = self.start(Replay(RECORDING, options=["--slots-per-second", "20", "--loop"]))
        self.server = self.start(Server(self.provider.endpoint, self.folder / "data" / "Demo", ["--admin", "127.0.0.1:0"], stack=STACK).ready())
        self.admin = self.server.line(r"^admin (\S+)")[1]
        self.write_configuration(self.provider.endpoint)
        self.run_to_end([EVERSTATE, "checkpoint", "create", "--data", "data/Demo"], ["--admin", self.admin])
        self.another_store()

    def lay_out_files(self):
        (self.folder / ".hyperstack").mkdir()
        for name in ("my.stack.json", ".hyperstack/MyStream.stack.json"):
            shutil.copy(STACK, self.folder / name)
        (self.folder / "token.txt").write_text("secret\n")
        shutil.copy(RECORDING, self.folder / "FILE")

    def another_store(self):
        """One with a checkpoint, that no server holds: a rewind at the start needs it."""
        other = self.start(Server(self.provider.endpoint, self.folder / "another", ["--admin", "127.0.0.1:0"], stack=STACK).ready())
        self.run_to_end([EVERSTATE, "checkpoint", "create", "--data", "another"], ["--admin", other.line(r"^admin (\S+)")[1]])
        self.slot = other.status()["watermark"]["slot"]
        self.assertEqual(other.stop(), 0)

    def here(self, text):
        """The words of a command, with this test's programs, addresses and numbers."""
        address = self.server.url.removeprefix("ws://")
        for there, here in {
            "build/release/everstate": "everstate",
            "https://my-provider:443": self.provider.endpoint,
            "localhost:8877": address,
            "127.0.0.1:10000": "127.0.0.1:0",
            "HOST:8880": self.admin,
            "402000120": str(self.slot),
            "FILE…": "FILE",
            "--slots 1000 --out FILE": "--slots 3 --out recorded",
            "serve …": f"serve --stack my.stack.json --endpoint {self.provider.endpoint}",
        }.items():
            text = text.replace(there, here)
        return [EVERSTATE if word == "everstate" else word for word in shlex.split(text)]

    def split(self, command):
        """(environment, words): what stands as NAME=value before a program goes into its environment."""
        given = dict(word.split("=", 1) for word in command if re.match(r"[A-Z_]+=", word))
        return {**os.environ, **given}, [word for word in command if not re.match(r"[A-Z_]+=", word)]

    def run_to_end(self, command, more):
        environment, words = self.split([*command, *more])
        done = subprocess.run(words, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=harness.DEADLINE_S)
        self.assertEqual(done.returncode, 0, f"{words}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

    def run_until(self, line, command, more):
        environment, words = self.split([*command, *more])
        process = self.start(Process(*words, env=environment, cwd=self.folder))
        process.line(line)
        self.assertEqual(process.stop(), 0)

    def test_the_flags_exist(self):
        known = set()
        for words in ([], *([name] for name in re.findall(r"(?m)^  (\w+) ", self.help_of()))):
            text = self.help_of(*words)
            known |= set(re.findall(r"--[a-z][a-z-]*", text))
            for name in re.findall(r"(?m)^  (\w+) ", text.partition("Subcommands:")[2]):
                known |= set(re.findall(r"--[a-z][a-z-]*", self.help_of(*words, name)))
        said = {flag for code in inline(self.text) for flag in re.findall(r"(?<!\S)--[a-z][a-z-]*", code) if not code.startswith(("cmake", "everstate-console"))}
        self.assertTrue(said)
        self.assertEqual(said - known, set())
        options = (harness.TESTS.parent / "CMakeLists.txt").read_text()
        for code in inline(self.text):
            if re.fullmatch(r"everstate \w+", code):
                self.help_of(code.split()[1])
            if code.startswith("-D"):
                self.assertIn(f"option({code[2:].split('=')[0]} ", options)

    def help_of(self, *words):
        return harness.run(*words, "--help")

    def test_the_configuration_is_read(self):
        self.lay_out_files()
        for language, _ in fenced(self.text):
            self.assertIn(language, ("", "sh", "cmake", "cpp", "toml"), "a block that no test looks at")
        self.write_configuration("https://my-provider:443")
        self.run_to_end([EVERSTATE, "serve", "--config", "everstate.toml", "--print-config"], [])

    def write_configuration(self, endpoint):
        [lines] = [lines for language, lines in fenced(self.text) if language == "toml"]
        (self.folder / "everstate.toml").write_text("\n".join(lines).replace("https://my-provider:443", endpoint))

    def test_the_paths_are_answered_and_the_files_are_there(self):
        provider = self.start(Replay(RECORDING))
        server = self.start(Server(provider.endpoint, self.folder / "data", stack=STACK).ready())
        for code in inline(self.text):
            if re.fullmatch(r"/[a-z]+", code):
                self.assertNotEqual(server.get(code)[0], 404, code)
            elif re.fullmatch(r"(?!build/)[a-z-]+/[\w./-]+", code) and ":" not in code:
                self.assertTrue((README.parent / code).exists(), code)
        for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", self.text):
            self.assertTrue((README.parent / target).exists(), target)


if __name__ == "__main__":
    unittest.main(verbosity=2)
