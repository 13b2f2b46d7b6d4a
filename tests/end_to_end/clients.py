"""Clients that follow a server through its ends and new beginnings. Each holds the rows of both entities' lists and can be asked
for them at any time: a raw WebSocket client, `everstate watch`, and the unmodified npm client."""

import json
import os
import pathlib
import subprocess
import threading
from collections import Counter

import harness
from harness import Process

import counting
import entities
import raw_ws

ENTITIES = ("TokenMint", "TokenAccount")
VIEWS = tuple(f"{entity}/list" for entity in ENTITIES)


def node():
    """Node 22 with the pinned clients, or None."""
    root = pathlib.Path(os.environ.get("TEST_NPM_ROOT", harness.HERE))
    path = root / "node_modules" / "node" / "bin" / "node"
    return str(path) if path.exists() else None


class Rows:
    """Frames merged as all clients do; a whole snapshot says also what is gone."""

    def __init__(self):
        self.views = {view: {} for view in VIEWS}
        self.fresh = {view: set() for view in VIEWS}

    def take(self, frame):
        op = frame.get("op")
        if op == "subscribed":
            self.fresh[frame["view"]] = set()
            return
        view = frame.get("entity")
        if view not in self.views:
            return
        rows = self.views[view]
        if op == "snapshot":
            for row in frame["data"]:
                rows[row["key"]] = row["data"]
                self.fresh[view].add(row["key"])
            if frame["complete"]:
                self.views[view] = {key: data for key, data in rows.items() if key in self.fresh[view]}
        elif op == "delete":
            rows.pop(frame["key"], None)
        elif op == "patch" and frame["key"] in rows:
            rows[frame["key"]] = counting.merge(rows[frame["key"]], frame["data"], frame.get("append", []))
        else:
            rows[frame["key"]] = frame["data"]


class RawClient(threading.Thread):
    """Connects again for ever and takes a new snapshot each time; counts connections and the codes that ended them."""

    name_shown, sessions = "raw client", 1

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.connections, self.codes, self.error = url, 0, Counter(), None
        self.merged, self.lock, self.ending = Rows(), threading.Lock(), threading.Event()
        self.start()

    def run(self):
        while not self.ending.is_set():
            try:
                with raw_ws.connect(self.url) as socket:
                    self.follow(socket)
            except raw_ws.Closed as closed:
                self.codes[closed.code] += 1
            except (OSError, raw_ws.Refused):
                self.codes["no connection"] += 1
            except Exception as error:  # the test reads it
                self.error = error
                return
            self.ending.wait(0.2)

    def follow(self, socket):
        self.connections += 1
        for view in VIEWS:
            socket.send({"type": "subscribe", "view": view})
        while not self.ending.is_set():
            try:
                frame = json.loads(socket.message(deadline_seconds=0.5))
            except TimeoutError:
                continue
            with self.lock:
                self.merged.take(frame)

    def holds(self, expected):
        with self.lock:
            return self.merged.views == expected

    def rows(self):
        with self.lock:
            return dict(self.merged.views)

    def end(self):
        self.ending.set()
        self.join(harness.DEADLINE_S)
        if self.error:
            raise self.error

    def story(self):
        return f"{self.connections} connections, ended by {dict(self.codes)}"


class WatchClient:
    """`everstate watch` of both lists; a line is a row, or null when it is gone."""

    name_shown, sessions = "everstate watch", 2

    def __init__(self, test, url):
        self.processes = {view: test.start(Process(harness.EVERSTATE, "watch", url, view, name=f"watch {view}")) for view in VIEWS}
        self.held = {view: {} for view in VIEWS}
        self.read = {view: 0 for view in VIEWS}

    def rows(self):
        for view, process in self.processes.items():
            lines = process.lines[self.read[view]:]
            self.read[view] += len(lines)
            for row in (json.loads(line) for line in lines if line.startswith("{")):
                if row["data"] is None:
                    self.held[view].pop(row["key"], None)
                else:
                    self.held[view][row["key"]] = row["data"]
        return self.held

    def holds(self, expected):
        return self.rows() == expected

    def end(self):
        codes = [process.stop() for process in self.processes.values()]
        assert codes == [0] * len(codes), f"watch ended with {codes}"

    def story(self):
        lost = [sum("connecting again" in line for line in process.lines) for process in self.processes.values()]
        return f"connected again {lost} times"


class NpmClient:
    """hyperstack-typescript connects again by itself; what it holds is judged from its own dump when it has seen everything."""

    name_shown, sessions = "npm client", 1

    def __init__(self, test, url):
        self.folder = test.folder / "npm"
        self.folder.mkdir()
        self.raw = self.folder / "raw.jsonl"
        self.process = test.start(
            Process(node(), harness.HERE / "oracle" / "npm_client.mjs", url, *VIEWS, "--out", self.folder, "--raw", self.raw, "--reconnects", name="npm client",
                    stdin=subprocess.PIPE))
        self.seen, self.offset = Rows(), 0

    def holds(self, expected):
        """Whether the messages that it got so far make these rows."""
        with open(self.raw, encoding="utf-8") as file:
            file.seek(self.offset)
            text = file.read()
        whole = text[: text.rfind("\n") + 1]
        self.offset += len(whole.encode())
        for line in whole.splitlines():
            self.seen.take(json.loads(line))
        return self.seen.views == expected

    def rows(self):
        """Ends it; the rows of its own store."""
        if self.process.running():
            self.process.process.stdin.close()
            code = self.process.wait()
            assert code == 0, f"the npm client ended with {code}:\n" + "\n".join(self.process.lines[-20:])
        return {view: entities.read_rows(str(self.folder / f"{view.replace('/', '.')}.jsonl")) for view in VIEWS}

    def end(self):
        self.rows()

    def story(self):
        return f"state connected {self.process.lines.count('state connected')} times"


def follow(test, url):
    """One client of each kind; the npm client only where it is installed."""
    clients = [RawClient(url), WatchClient(test, url)]
    if node() is None:
        print("the npm client did not run: its packages are not installed")
    else:
        clients.append(NpmClient(test, url))
    return clients


def stored(data):
    """The rows of a store as a subscriber of both lists has them."""
    lines = {view: harness.run("inspect", "--data", data, "--view", view).splitlines() for view in VIEWS}
    return {view: {row["key"]: row["data"] for row in map(json.loads, lines[view])} for view in VIEWS}


def check_converged(test, clients, expected):
    """Waits until every client holds exactly these rows, then ends them all."""
    rows = sum(map(len, expected.values()))
    for client in clients:
        harness.wait_for(f"the {client.name_shown} to hold what the store holds ({client.story()})", lambda c=client: c.holds(expected))
        test.assertEqual(client.rows(), expected, client.name_shown)
        client.end()
        print(f"{client.name_shown}: {rows} rows equal to the store's; {client.story()}")
