"""What a subscriber must get from a recording of SplStream that is served in a loop, from any moment on.

A pass is the recording with its slots, block times and signatures moved on, as `everstate replay --help` and its README say:
slots by last - first + 1, times likewise, the first 8 bytes of a signature xor the finalizer of splitmix64 of the pass.
"""

import dataclasses
import json

import counting
import recording
import spl_fold

MASK = (1 << 64) - 1


def splitmix(x):
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def base58_bytes(text, size):
    number = 0
    for letter in text:
        number = number * 58 + recording.ALPHABET.index(letter)
    return number.to_bytes(size, "big")


def moved_signature(text, number):
    """The signature of pass `number`; a transaction's has 64 bytes."""
    data = base58_bytes(text, 64)
    head = int.from_bytes(data[:8], "little") ^ splitmix(number)
    return recording.base58(head.to_bytes(8, "little") + data[8:])


def blocks(path):
    """The blocks of all passes, without end."""
    recorded = recording.blocks(path)
    slots = [recording.one(recording.fields(recording.one(u, 3, b"")), 1, 0) for u in recording.messages(path) if 3 in u]
    slot_span = max(slots) - recorded[0].slot + 1
    time_span = recorded[-1].time - recorded[0].time + 1
    number = 0
    while True:
        for block in recorded:
            yield moved(block, number, slot_span, time_span) if number else block
        number += 1


def moved(block, number, slot_span, time_span):
    transactions = {
        index: dataclasses.replace(transaction, signature=moved_signature(transaction.signature, number))
        for index, transaction in block.transactions.items()
    }
    accounts = {
        key: dataclasses.replace(write, signature=write.signature and moved_signature(write.signature, number))
        for key, write in block.accounts.items()
    }
    return recording.Block(block.slot + number * slot_span, block.time + number * time_span, transactions, accounts)


def slot_of(seq):
    return int(seq.split(":")[0])


class Subscription:
    """One client's one subscription, from the file of its raw messages, judged while the fold goes on.

    The snapshot is as of its newest cursor: between that and the look nothing of the view changed, or it would be there.
    """

    def __init__(self, file):
        self.frames = self.read(file)
        view, self.rows = next(self.frames)
        self.entity = view.split("/")[0]
        self.look = max((slot_of(row["_seq"]) for row in self.rows.values()), default=-1)
        self.looked = False
        self.frame = next(self.frames, None)
        self.judge = counting.Judge([])
        self.judge.due_total = 0

    def read(self, file):
        """First the view and the rows of the snapshot, then the live frames."""
        with open(file, encoding="utf-8") as lines:
            frames = map(json.loads, lines)
            subscribed = next(frames)
            rows = {}
            for frame in frames:
                rows.update((row["key"], row["data"]) for row in frame["data"])
                if frame["complete"]:
                    break
            yield subscribed["view"], rows
            yield from frames

    def before(self, block, state):
        if block.slot <= self.look or self.looked:
            return
        self.looked = True
        due = counting.final_rows(state)[self.entity]
        for key in due.keys() | self.rows.keys():
            wrong = counting.first_difference(due[key]["data"] if key in due else None, counting.without_seq(self.rows.get(key)))
            if wrong:
                self.judge.differ("snapshot", f"{self.entity}[{key}] {wrong}")
            self.judge.held[(self.entity, key)] = self.rows.get(key)

    def after(self, block, changes):
        if block.slot <= self.look:
            return
        judge = self.judge
        judge.due = {(c.entity, c.key, c.slot): c for c in changes if c.entity == self.entity}
        judge.due_total += len(judge.due)
        judge.received.clear()
        while self.frame is not None and slot_of(self.frame["seq"]) <= block.slot:
            judge.take(self.frame)
            self.frame = next(self.frames, None)
        for change in sorted(judge.due.keys() | judge.received.keys()):
            due, got = int(change in judge.due), judge.received[change]
            if due != got:
                judge.differ("count", f"{change}: {due} frames due, {got} received")

    def finish(self, to_slot):
        while self.frame is not None:
            self.judge.differ("count", f"{self.frame['key']} {self.frame['seq']}: a frame after slot {to_slot}")
            self.frame = next(self.frames, None)
        return self.judge


def compare(path, files, to_slot):
    """Judges each file's snapshot, then every frame up to `to_slot`; the judges, with `due_total`, in the order of the files."""
    subscriptions = [Subscription(file) for file in files]
    state = spl_fold.Fold()
    for block in blocks(path):
        if block.slot > to_slot:
            break
        for subscription in subscriptions:
            subscription.before(block, state)
        changes = state.block(block)
        for subscription in subscriptions:
            subscription.after(block, changes)
    return [subscription.finish(to_slot) for subscription in subscriptions]
