"""What SplStream means, written out by hand: a fold of a recording's blocks into entities, one block after the other.

An entity is a dict from dotted field to value; a field that is absent is null. Nothing here is read from the stack
file: each line of a handler below stands for one mapping or hook of it, so that a fault in reading stacks cannot
hide here.
"""

import struct
from dataclasses import dataclass, field

from recording import base58

# `content_hash` of the stack file that this fold was written from.
STACK_HASH = "acc306d9f4d509425fc2ba7550e9928b885a57fb3e81340b918d8024d1a4ab58"
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
APPEND_KEEP = 100
BIG_TRANSFER = 250000
ACCOUNT_STATES = ["Uninitialized", "Initialized", "Frozen"]
AUTHORITY_TYPES = ["MintTokens", "FreezeAccount", "AccountOwner", "CloseAccount"]

# First byte of an instruction of the Token program -> its name, its accounts' names, whether an amount follows.
INSTRUCTIONS = {
    3: ("Transfer", ["source", "destination", "authority"], True),
    4: ("Approve", ["source", "delegate", "owner"], True),
    6: ("SetAuthority", ["owned", "owner"], False),
    7: ("MintTo", ["mint", "token", "mint_authority"], True),
    8: ("Burn", ["account", "mint", "authority"], True),
    10: ("FreezeAccount", ["account", "mint", "owner"], False),
    12: ("TransferChecked", ["source", "mint", "destination", "authority"], True),
    13: ("ApproveChecked", ["source", "mint", "delegate", "owner"], True),
    14: ("MintToChecked", ["mint", "token", "mint_authority"], True),
    15: ("BurnChecked", ["account", "mint", "authority"], True),
}


def decode_instruction(data):
    """(name, account names, arguments) of an instruction that SplStream knows, else None. Missing bytes are zero.

    A successful instruction of the Token program has all these accounts; the program sees to that.
    """
    if not data or data[0] not in INSTRUCTIONS:
        return None
    name, accounts, has_amount = INSTRUCTIONS[data[0]]
    body = data[1:] + bytes(64)
    args = {}
    if has_amount:
        args["amount"] = int.from_bytes(body[:8], "little")
    if name == "SetAuthority":
        args["authority_type"] = AUTHORITY_TYPES[body[0]]
        args["new_authority"] = base58(body[2:34]) if body[1] == 1 else None
    return name, accounts, args


def decode_token(data):
    names = "mint owner amount delegate_tag delegate state is_native_tag is_native delegated_amount"
    names = names.split() + ["close_authority_tag", "close_authority"]
    value = dict(zip(names, struct.unpack("<32s32sQI32sBIQQI32s", data)))
    for name in ("mint", "owner", "delegate", "close_authority"):
        value[name] = base58(value[name])
    value["state"] = ACCOUNT_STATES[value["state"]]
    return value


def decode_mint(data):
    names = ["mint_authority_tag", "mint_authority", "supply", "decimals", "is_initialized"]
    names += ["freeze_authority_tag", "freeze_authority"]
    value = dict(zip(names, struct.unpack("<I32sQB?I32s", data)))
    for name in ("mint_authority", "freeze_authority"):
        value[name] = base58(value[name])
    return value


def nested(flat):
    """{"a.b": 1} as {"a": {"b": 1}}."""
    value = {}
    for path, leaf in flat.items():
        *parents, last = path.split(".")
        below = value
        for parent in parents:
            below = below.setdefault(parent, {})
        below[last] = leaf
    return value


@dataclass
class Change:
    """One entity in one slot: what a subscriber of ENTITY/list must be sent, and what it must hold afterwards."""

    entity: str
    key: str
    slot: int
    index: int  # rank from 1 among the slot's changes, in order of first touch
    patch: dict  # dotted field -> value, of an appended array the new elements only
    append: list
    after: dict  # the whole entity, dotted

    @property
    def seq(self):
        return f"{self.slot}:{self.index:012d}"


@dataclass
class Fold:
    rows: dict = field(default_factory=lambda: {"TokenMint": {}, "TokenAccount": {}})
    seqs: dict = field(default_factory=dict)  # (entity, key) -> seq of the last change
    unique: dict = field(default_factory=dict)  # (entity, key, field) -> set of values
    stopped: set = field(default_factory=set)  # keys of TokenAccount whose stop flag was set in an earlier slot

    def touch(self, entity, key):
        row = self.rows[entity].setdefault(key, {})
        if (entity, key) not in self.touched:
            self.touched[(entity, key)] = copied(row)
        return row

    def block(self, block):
        """Folds one block in and returns its changes in the order of their cursors."""
        self.touched = {}  # (entity, key) -> the row before, in order of first touch
        self.appended = {}  # (entity, key) -> elements appended to `transfers`
        self.stopping = set()
        self.frozen = set()  # accounts writable in a transaction that froze one
        order = {}
        for _, transaction in sorted(block.transactions.items()):
            order[transaction.signature] = transaction.index
            if not transaction.failed:
                self.transaction(block, transaction)
        unknown = len(order) + max(order.values(), default=0) + 1
        for write in sorted(block.accounts.values(), key=lambda w: (order.get(w.signature, unknown), w.key)):
            if write.owner == TOKEN and write.lamports > 0:
                self.account(block, write)
        self.stopped |= self.stopping
        return self.seal(block)

    def transaction(self, block, transaction):
        for instruction in transaction.instructions:
            decoded = decode_instruction(instruction.data) if instruction.program == TOKEN else None
            if decoded is None:
                continue
            name, account_names, args = decoded
            accounts = dict(zip(account_names, instruction.accounts))
            if name == "FreezeAccount":
                self.frozen |= transaction.writable
            elif name in ("MintTo", "MintToChecked"):
                self.minted_or_burned("mint_count", "minted", accounts, args)
            elif name in ("Burn", "BurnChecked"):
                self.minted_or_burned("burn_count", "burned", accounts, args)
            elif name in ("Approve", "ApproveChecked"):
                row = self.touch("TokenAccount", accounts["source"])
                count(row, "activity.approvals")
                largest(row, "activity.largest_approval", args["amount"])
            elif name == "SetAuthority":
                row = self.touch("TokenAccount", accounts["owned"])
                row["activity.last_authority_type"] = args["authority_type"]
                row["activity.last_new_authority"] = args["new_authority"]
                self.stopping.add(accounts["owned"])
            else:
                self.transfer(block, transaction, name, accounts, args)

    def minted_or_burned(self, counter, total, accounts, args):
        row = self.touch("TokenMint", accounts["mint"])
        count(row, "activity." + counter)
        add(row, "activity." + total, args["amount"])

    def transfer(self, block, transaction, name, accounts, args):
        amount = args["amount"]
        source, destination, authority = (accounts.get(n) for n in ("source", "destination", "authority"))
        wrapper = {"timestamp": block.time, "slot": block.slot, "signature": transaction.signature}
        if name == "TransferChecked":
            mint = accounts["mint"]
            row = self.touch("TokenMint", mint)
            count(row, "activity.transfer_count")
            add(row, "activity.transfer_volume", amount)
            largest(row, "activity.largest_transfer", amount)
            smallest(row, "activity.smallest_transfer", amount)
            self.distinct("TokenMint", mint, "activity.unique_senders", authority)
            self.distinct("TokenMint", mint, "activity.unique_destinations", destination)
            data = {"source": source, "destination": destination, "amount": amount}
            row["activity.last_transfer"] = {**wrapper, "data": data}
            row["activity.last_transfer_slot"] = block.slot
            if amount >= BIG_TRANSFER:
                count(row, "activity.big_transfers")
        row = self.touch("TokenAccount", source)
        count(row, "activity.sent_count")
        add(row, "activity.sent_volume", amount)
        row["activity.last_destination"] = destination
        row["activity.last_sent_slot"] = block.slot
        row["activity.last_signature"] = transaction.signature
        data = {"destination": destination, "authority": authority, "amount": amount}
        element = {**wrapper, "data": data}
        row.setdefault("transfers", []).append(element)
        self.appended.setdefault(("TokenAccount", source), []).append(element)

    def account(self, block, write):
        if len(write.data) == 82:
            mint = decode_mint(write.data)
            row = self.touch("TokenMint", write.pubkey)
            row.setdefault("id.mint", write.pubkey)
            row["state.supply"] = mint["supply"]
            row["state.decimals"] = mint["decimals"]
            row["state.mint_authority"] = mint["mint_authority"]
            if mint["freeze_authority_tag"] == 1:
                row["state.freeze_authority"] = mint["freeze_authority"]
        elif len(write.data) == 165:
            self.token(block, write, decode_token(write.data))

    def token(self, block, write, token):
        row = self.touch("TokenMint", token["mint"])
        row.setdefault("id.mint", token["mint"])
        self.distinct("TokenMint", token["mint"], "holders.unique_owners", token["owner"])
        self.distinct("TokenMint", token["mint"], "holders.unique_accounts", write.pubkey)
        largest(row, "holders.largest_balance", token["amount"])

        row = self.touch("TokenAccount", write.pubkey)
        row.setdefault("id.address", write.pubkey)
        row.setdefault("id.mint", token["mint"])
        row["state.owner"] = token["owner"]
        row["state.amount"] = token["amount"]
        row["state.state"] = token["state"]
        if token["delegate_tag"] == 1:
            row["state.delegate"] = token["delegate"]
        row["state.delegated_amount"] = token["delegated_amount"]
        if write.pubkey in self.frozen:
            row["state.amount_at_freeze"] = token["amount"]
        if write.pubkey not in self.stopped:
            row["state.amount_before_authority_change"] = token["amount"]
        row["raw"] = {
            "timestamp": block.time,
            "account_address": write.pubkey,
            "data": token,
            "slot": block.slot,
            "signature": write.signature,
        }

    def distinct(self, entity, key, path, value):
        if value is not None:
            members = self.unique.setdefault((entity, key, path), set())
            members.add(value)
            self.rows[entity][key][path] = len(members)

    def seal(self, block):
        changes = []
        for (entity, key), before in self.touched.items():
            row = self.rows[entity][key]
            if entity == "TokenMint":
                compute(row, block.slot)
            whole = self.cut(row)
            patch = {p: row.get(p) for p in sorted(row.keys() | before.keys()) if row.get(p) != before.get(p)}
            append = []
            if "transfers" in patch and not whole:
                patch["transfers"] = self.appended[(entity, key)]
                append = ["transfers"]
            if patch:
                change = Change(entity, key, block.slot, len(changes) + 1, patch, append, copied(row))
                self.seqs[(entity, key)] = change.seq
                changes.append(change)
        return changes

    def cut(self, row):
        """An array that has reached twice its bound is cut to it and sent whole."""
        if len(row.get("transfers", [])) < 2 * APPEND_KEEP:
            return False
        row["transfers"] = row["transfers"][-APPEND_KEEP:]
        return True


def copied(row):
    """A row that does not change with the original: lists grow in place, every other value is only ever replaced."""
    return {path: list(value) if isinstance(value, list) else value for path, value in row.items()}


def count(row, path):
    add(row, path, 1)


def add(row, path, amount):
    row[path] = row.get(path, 0) + amount


def largest(row, path, value):
    row[path] = max(row.get(path, value), value)


def smallest(row, path, value):
    row[path] = min(row.get(path, value), value)


def compute(row, slot):
    """The computed fields of TokenMint, from the state at the end of the slot."""
    volume, decimals = row.get("activity.transfer_volume"), row.get("state.decimals")
    row["derived.net_minted"] = row.get("activity.minted", 0) - row.get("activity.burned", 0)
    if volume is not None and decimals is not None:
        row["derived.transfer_volume_ui"] = float(volume) / float(10**decimals)
    row["derived.mean_transfer"] = (volume or 0) // row.get("activity.transfer_count", 1)
    row["derived.last_slot"] = slot
