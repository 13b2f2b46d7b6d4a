#!/usr/bin/env python3
"""Inputs to begin with, from the recordings and stacks of the tests: what a fuzzer would not guess by itself.

    seeds.py OUT        writes OUT/<target>/…

The corpora in the tree are these and what the fuzzers found from them, minimised (tests/fuzz/run --keep).
"""
import json
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent
sys.path.insert(0, str(TESTS / "end_to_end" / "oracle"))
import recording  # noqa: E402

STACKS = [TESTS / "stacks" / name for name in ("Demo.stack.json", "SplStream.stack.json")]
RECORDINGS = [TESTS / "recordings" / name for name in ("demo.updates", "spl-small.updates")]
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"


def text(value):
    return json.dumps(value, separators=(",", ":")).encode()


def named_types(value, found):
    """The names of defined types that an IDL item uses."""
    if isinstance(value, dict):
        defined = value.get("defined")
        if defined:
            found.add(defined["name"] if isinstance(defined, dict) else defined)
        for member in value.values():
            named_types(member, found)
    elif isinstance(value, list):
        for member in value:
            named_types(member, found)


def small_idl(idl, event_types):
    """The IDL with no more than what these event types ("program::NameState") name."""
    wanted = {name.split("::")[-1].replace("IxState", "").replace("State", "").lower() for name in event_types}
    out = dict(idl, errors=[])
    for part in ("accounts", "instructions"):
        out[part] = [item for item in idl[part] if item["name"].replace("_", "").lower() in wanted]
    used = {item["name"] for item in out["accounts"]}
    for _ in range(4):
        named_types([out["accounts"], out["instructions"], [t for t in idl["types"] if t["name"] in used]], used)
    out["types"] = [t for t in idl["types"] if t["name"] in used]
    return out


def stacks():
    """For each handler, hook and computed field of each entity a stack of its own, with at most four mappings."""
    for file in STACKS:
        stack = json.loads(file.read_text())
        for entity in stack["entities"]:
            bare = {k: ([] if isinstance(v, list) else {} if k == "field_mappings" else v) for k, v in entity.items()}
            parts = [("handlers", h) for h in entity["handlers"]] + [("instruction_hooks", h) for h in entity["instruction_hooks"]]
            parts += [("views", v) for v in entity["views"]]
            first = entity["handlers"][0]
            for kind, part in parts:
                one = dict(bare)
                if kind == "handlers":
                    part = dict(part, mappings=part["mappings"][:4])
                else:
                    one["handlers"] = [dict(first, mappings=first["mappings"][:2])]
                one[kind] = one.get(kind, []) + [part]
                yield text(whole_stack(stack, one))
            # Computed fields need the fields they are made of.
            yield text(whole_stack(stack, dict(entity, field_mappings={}, sections=[])))


def whole_stack(stack, entity):
    types = [h["source"]["Source"]["type_name"] for h in entity["handlers"]]
    types += [h["instruction_type"] for h in entity["instruction_hooks"]]
    out = {k: v for k, v in stack.items() if k != "content_hash"}
    return dict(out, idls=[small_idl(stack["idls"][0], types)], instructions=[], pdas={}, entities=[entity])


def messages(file):
    """The messages of a recording with their lengths, as they lie in the file."""
    data, at = file.read_bytes(), 0
    while at < len(data):
        size, body = recording.varint(data, at)
        yield data[at:body + size]
        at = body + size


def recordings():
    """Runs of small messages, and each kind of message alone."""
    for file in RECORDINGS:
        small = [m for m in messages(file) if len(m) < 1500]
        for begin in range(0, min(len(small), 400), 40):
            yield b"".join(small[begin:begin + 12])
        for begin in range(0, 60, 3):
            yield small[begin]
        # A whole block with little in it: all about its slot, and its first content.
        block, slot = [], None
        for m in small:
            body = recording.fields(m[recording.varint(m, 0)[1]:])
            kind = next((k for k in (2, 3, 4, 7) if k in body), None)
            if kind is None:
                continue
            fields = recording.fields(body[kind][0])
            at = recording.one(fields, 1 if kind in (3, 7) else 2, 0)
            if kind == 3 and slot is None:
                slot = at
            if at == slot and (kind in (3, 7) or len(block) < 8):
                block.append(m)
        yield b"".join(block)


def bodies():
    """[program, kind] and the bytes of accounts and instructions of the Token program, which is the fourth."""
    for file in RECORDINGS:
        seen = set()
        for block in recording.blocks(file)[:40]:
            for write in block.accounts.values():
                if write.owner == TOKEN and ("account", len(write.data)) not in seen:
                    seen.add(("account", len(write.data)))
                    yield bytes([3, 0]) + write.data
            for transaction in block.transactions.values():
                for instruction in transaction.instructions:
                    if instruction.program == TOKEN and instruction.data[:1] not in seen:
                        seen.add(instruction.data[:1])
                        yield bytes([3, 1]) + instruction.data
    for program in range(4):
        for kind in range(3):
            yield bytes([program, kind]) + bytes(200)
            yield bytes([program, kind]) + bytes([1, 0, 0, 0] * 60)
    log = "Program A invoke [1]\nProgram log: hi\nProgram data: AAECAwQFBgc= AQ==\nProgram A success\n"
    yield bytes([0, 3]) + log.replace("A ", TOKEN + " ").encode()


def archives():
    """Built segments: whole blocks as a recording has them, alone and one after the other."""
    begin = bytes([1, 0, 0, 0])  # built; confirmed, before slot 0, no keys
    records = []
    for file in RECORDINGS:
        by_slot = {}
        for m in messages(file):
            body = recording.fields(m[recording.varint(m, 0)[1]:])
            kind = next((k for k in (2, 4, 7) if k in body), None)
            if kind is not None and len(m) < 3000:
                slot = recording.one(recording.fields(body[kind][0]), 1 if kind == 7 else 2, 0)
                by_slot.setdefault(slot, []).append((kind, m))
        for block in list(by_slot.values())[:6]:
            meta = [m for kind, m in block if kind == 7]
            raw = b"".join([m for kind, m in block if kind != 7][:5] + meta)
            records.append(bytes([1]) + struct.pack("<H", len(raw)) + raw)
    for record in records:
        yield begin + record
    yield begin + b"".join(records[:3])
    yield bytes([1, 1, 7, 2, 1, 2]) + records[0]
    yield bytes([0])


def client_messages():
    for message in (
        {"type": "subscribe", "view": "Thing/list", "key": None, "withSnapshot": True, "after": None, "take": None},
        {"type": "subscribe", "view": "Thing/state", "key": "a", "filters": {}, "partition": "", "snapshotLimit": 5},
        {"view": "Thing/list", "filters": {"a": [1, {"b": 2}]}, "skip": 1, "take": 1.5},
        {"type": "unsubscribe", "view": "Thing/list", "key": "a"},
        {"type": "ping"}, {"type": "refresh_auth", "token": "t"}, [[[[]]]], "text", 1e99, None,
    ):
        yield text(message)
    yield b'{"type":"\\u0070ing","view":"\\ud83d\\ude00","view":2}'
    yield b"[" * 40


def frame(payload, opcode=1, mask=bytes(4)):
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    return bytes([0x80 | opcode]) + length + mask + payload


def connections():
    upgrade = (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
    for message in client_messages():
        yield upgrade + frame(message)
    subscribe = frame(text({"type": "subscribe", "view": "Thing/list"}))
    state = frame(text({"type": "subscribe", "view": "Thing/state", "key": "key1"}))
    yield upgrade + subscribe + state + subscribe + frame(text({"type": "unsubscribe", "view": "Thing/list"}))
    yield upgrade + frame(b"hello", 9) + frame(b"\x03\xe8bye", 8)
    yield upgrade + frame(b"x" * 600) + frame(b"\1\2", 2)
    yield upgrade + b"\x01\x83\0\0\0\0abc" + frame(b"def", 0)
    yield upgrade.replace(b"13", b"8")
    yield upgrade.replace(b"==", b"")
    for request in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HEAD /app.js?x HTTP/1.0\r\n\r\n", b"GET /health HTTP/1.1\r\n\r\n",
                    b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"\x16\x03\x01\0\0", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
                    b'GET /style.css HTTP/1.1\r\nIf-None-Match: "x"\r\nTransfer-Encoding: chunked\r\n\r\n'):
        yield request


def value_samples():
    """Encoded values, one of each tag."""
    for encoded in (b"\1", b"\2", b"\3", b"\4\x05", b"\4\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", b"\5\0", b"\6\0" + bytes(15) + b"\1",
                    b"\7\1\5" + bytes(15), b"\x08" + struct.pack("<d", 1.5), b"\x09\3abc", b"\x0a" + bytes(32), b"\x0b" + bytes(64),
                    b"\x0c\2\0\1", b"\x0d\2\2\1\2", b"\x0e\2\0\1\4\5"[:4] + b"\1\2"):
        yield encoded


def rows():
    values = list(value_samples())
    for value in values:
        yield b"\0" + value
        yield b"\1" + b"\x0a\1\1\1" + value
        change = b"\x0a\1\x0b\1\0" + value
        row = b"\x0a\1\1\1" + value
        yield b"\2" + struct.pack("<H", len(row)) + row + struct.pack("<H", len(change)) + change
    yield b"\0" + b"".join(values)
    array = b"\x0a\1\1\1\x0d\2\2\1\2"
    appended = b"\x0a\1\x0b\1\1\1\1\3"
    yield b"\2" + struct.pack("<H", len(array)) + array + struct.pack("<H", len(appended)) + appended
    yield b"\3\1\5\2\2\0\0\1\1a\1\0\2\1b"
    yield b"\4" + bytes(8 + 8 + 32 + 8 + 32 + 1 + 8)
    yield b"\4" + bytes(16)
    yield b"\4" + bytes(40)
    for key in (b"\x10\0\0key", b"\x21\0\0\0\1id", b"\x81" + bytes(8), b"\x7f", b"12:000000000001", TOKEN.encode(), b"1" * 32):
        yield b"\5" + key
    yield b"\6" + text({"entities": [], "shapes": [], "views": []})
    digits = b"0" * 64
    yield (b"\7everstate-checkpoint 1\nformat 2\nstack-name A%20B\nstack-hash " + digits + b"\nlineage " + digits +
           b"\ngeneration 1\nnumber 2\nslot 3\nlast-index 4\nblockhash " + b"1" * 32 + b"\nparent-slot 2\nparent-blockhash " + b"1" * 32 +
           b"\nblock-time none\nentities 0\ncreated-at 1\nfile A 1 crc32c:00\n")


def blocks():
    """Steps of machine_fuzz.cc: transactions and accounts that meet."""
    link = bytes([1 | 2 << 4, 1, 2])
    boom, deed = bytes([2, 2, 9, 1]), bytes([0 | 2 << 4, 1, 3, 9, 5, 1])
    account = bytes([1, 1, 2, 3, 9, 7])
    yield bytes([1 << 3, 3]) + link + boom + deed
    yield bytes([1 << 3, 2]) + link + deed + bytes([1 << 3, 1]) + boom
    yield bytes([1 << 3 | 1 << 5, 1]) + deed + account + bytes([1 << 3, 2]) + link + boom
    yield bytes([1 << 5]) + account + bytes([2 << 5]) + account + account + bytes([1 << 3, 2]) + boom + link
    log = bytes([1 | 64]) + deed + bytes([3, 0, 1, 2, 2, 9, 1])
    yield bytes([1 << 3]) + log + bytes([2 << 3]) + log + log
    for halt in (3, 4):
        yield bytes([1 << 3, 4]) + link + boom + bytes([halt | 1 << 4, 1]) + deed + bytes([1 << 5]) + account
    data = b"\1\2\3\4\5\6\7\10" + bytes(90)
    yield bytes([1 << 5, 1, 2, 1, 1, 1]) + struct.pack("<H", len(data)) + data


def doubling(depth, leaf, **more):
    """Types that hold the next one twice each: few words, and 2^depth values."""
    return [dict(name=f"T{i}", type={"kind": "struct", "fields": [
        {"name": name, "type": {"defined": {"name": f"T{i + 1}"}} if i + 1 < depth else leaf} for name in "ab"]}, **more) for i in range(depth)]


def large_idls():
    """Few words that multiply."""
    def idl(types, argument, **more):
        return text({"address": TOKEN, "metadata": {"name": "n"}, "types": types, **more, "instructions": [
            {"name": "i", "discriminator": [1], "accounts": [], "args": [{"name": "x", "type": argument}]}]})
    first = {"defined": {"name": "T0"}}
    yield "bytemuck-doubling", idl(doubling(60, "u8", serialization="bytemuckunsafe"), "u8", accounts=[{"name": "T0", "discriminator": [1]}])
    yield "plan-doubling", idl(doubling(20, {"option": "u8"}), first)
    generic = {"generic": "T"}
    def of(name, *types):
        return {"defined": {"name": name, "generics": [{"kind": "type", "type": type} for type in types]}}
    def struct(name, types):
        return {"name": name, "generics": [{"kind": "type", "name": "T"}],
                "type": {"kind": "struct", "fields": [{"name": f"f{i}", "type": type} for i, type in enumerate(types)]}}
    yield "generics-branching", idl([struct("G", [of("G", {"vec": generic}), of("G", {"option": generic})])], of("G", "u8"))
    yield "generics-doubling", idl([struct("G", [of("G", of("P", generic)), generic]), struct("P", [generic, generic])], of("G", "u8"))


def idls():
    yield from (idl for _, idl in large_idls())
    for file in sorted((HERE / "idls").glob("*.json")):
        idl = json.loads(file.read_text())
        yield text(idl)
        # Smaller ones: one item of each list.
        root = idl.get("program", idl)
        for part in ("accounts", "instructions", "events"):
            for item in root[part]:
                one = dict(root, accounts=[], instructions=[], events=[])
                one[part] = [item]
                yield text(dict(idl, program=one) if "program" in idl else one)


TARGETS = {"stack": stacks, "idl": idls, "decode": bodies, "machine": blocks, "recording": recordings, "archive": archives,
           "client_message": client_messages, "connection": connections, "row": rows}


def main():
    for target, seeds in TARGETS.items():
        folder = pathlib.Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds()):
            (folder / f"seed-{number:03}").write_bytes(seed)


if __name__ == "__main__":
    main()
