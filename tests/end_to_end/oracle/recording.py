"""A recording of Yellowstone updates as plain Python values, by a protobuf walk of its own.

The file is one `geyser.SubscribeUpdate` after the other, each behind its length as a varint. Only what the counting
judge needs is taken: field numbers are those of geyser.proto and solana-storage.proto.
"""

from dataclasses import dataclass, field

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
CONFIRMED, FINALIZED = 1, 2


@dataclass
class Instruction:
    program: str
    accounts: list  # base58, in the order of the instruction
    data: bytes
    path: tuple  # (outer,) or (outer, position in the inner list)


@dataclass
class Transaction:
    index: int
    signature: str
    failed: bool
    writable: set  # base58 keys
    instructions: list  # execution order


@dataclass
class AccountWrite:
    key: bytes
    pubkey: str
    owner: str
    lamports: int
    data: bytes
    write_version: int
    signature: str | None


@dataclass
class Block:
    slot: int
    time: int | None = None
    transactions: dict = field(default_factory=dict)  # by index
    accounts: dict = field(default_factory=dict)  # by pubkey: the write with the highest version


def base58(data):
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data):
    """A message as {field number: [values]}; a value is an int, or bytes for wire type 2."""
    found, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind in (1, 2, 5):
            size = 8 if kind == 1 else 4
            if kind == 2:
                size, at = varint(data, at)
            value = data[at : at + size]
            if len(value) != size:
                raise ValueError("a field ends early")
            at += size
        else:
            raise ValueError(f"wire type {kind}")
        found.setdefault(tag >> 3, []).append(value)
    return found


def encode_varint(value):
    data = b""
    while value >= 0x80:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def encode(message):
    """The bytes of {field number: [values]}: an int becomes a varint, bytes a field of wire type 2."""
    data = b""
    for number, values in message.items():
        for value in values:
            if isinstance(value, int):
                data += encode_varint(number << 3) + encode_varint(value)
            else:
                data += encode_varint(number << 3 | 2) + encode_varint(len(value)) + value
    return data


def one(message, number, default):
    return message[number][-1] if number in message else default


def raw_messages(path):
    """The SubscribeUpdate messages of a file, as bytes."""
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at < len(data):
        size, at = varint(data, at)
        if at + size > len(data):
            raise ValueError(f"{path}: the message at byte {at} ends early")
        yield data[at : at + size]
        at += size


def messages(path):
    """The SubscribeUpdate messages of a file, as fields."""
    return map(fields, raw_messages(path))


def read_instruction(raw, keys, path):
    message = fields(raw)
    accounts = [keys[i] for i in one(message, 2, b"")]
    return Instruction(keys[one(message, 1, 0)], accounts, one(message, 3, b""), path)


def read_transaction(info):
    """SubscribeUpdateTransactionInfo with its transaction (3) and meta (4)."""
    message = fields(one(fields(one(info, 3, b"")), 2, b""))
    meta = fields(one(info, 4, b""))
    header = fields(one(message, 1, b""))
    signers, readonly_signed, readonly_unsigned = (one(header, n, 0) for n in (1, 2, 3))
    static = message.get(2, [])
    loaded_writable, loaded_readonly = meta.get(12, []), meta.get(13, [])
    keys = [base58(key) for key in static + loaded_writable + loaded_readonly]

    writable = {base58(key) for key in loaded_writable}
    for i, key in enumerate(keys[: len(static)]):
        last = signers - readonly_signed if i < signers else len(static) - readonly_unsigned
        if i < last:
            writable.add(key)

    inner = {}
    for group in map(fields, meta.get(5, [])):
        inner.setdefault(one(group, 1, 0), []).extend(group.get(2, []))
    instructions = []
    for outer, raw in enumerate(message.get(4, [])):
        instructions.append(read_instruction(raw, keys, (outer,)))
        instructions += [read_instruction(r, keys, (outer, n)) for n, r in enumerate(inner.get(outer, []))]
    return Transaction(one(info, 5, 0), base58(one(info, 1, b"")), 1 in meta, writable, instructions)


def read_account(info):
    """SubscribeUpdateAccountInfo."""
    key, signature = one(info, 1, b""), one(info, 8, b"")
    return AccountWrite(
        key,
        base58(key),
        base58(one(info, 3, b"")),
        one(info, 2, 0),
        one(info, 6, b""),
        one(info, 7, 0),
        base58(signature) if signature else None,
    )


def blocks(path):
    """The confirmed blocks of a recording by slot: those with a block meta and a status of at least CONFIRMED."""
    found, whole, confirmed = {}, set(), set()

    def block(slot):
        return found.setdefault(slot, Block(slot))

    for update in messages(path):
        if 2 in update:
            message = fields(one(update, 2, b""))
            write = read_account(fields(one(message, 1, b"")))
            accounts = block(one(message, 2, 0)).accounts
            known = accounts.get(write.pubkey)
            if known is None or known.write_version < write.write_version:
                accounts[write.pubkey] = write
        elif 4 in update:
            message = fields(one(update, 4, b""))
            transaction = read_transaction(fields(one(message, 1, b"")))
            block(one(message, 2, 0)).transactions[transaction.index] = transaction
        elif 7 in update:
            message = fields(one(update, 7, b""))
            slot = one(message, 1, 0)
            whole.add(slot)
            if 4 in message:
                block(slot).time = one(fields(one(message, 4, b"")), 1, 0)
        elif 3 in update:
            message = fields(one(update, 3, b""))
            if one(message, 3, 0) in (CONFIRMED, FINALIZED):
                confirmed.add(one(message, 1, 0))
    return [block(slot) for slot in sorted(whole & confirmed)]
