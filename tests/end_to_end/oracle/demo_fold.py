"""What the stack Demo means, written out by hand: a fold of a recording's blocks into entities, one block after the other.

Nothing here is read from the stack file. Who is who comes from the file that the demo's generator writes beside the recording.
"""

import struct

import spl_fold

TOKEN_ACCOUNT_BYTES = 165
MINT_BYTES = 82
LARGE_TRANSFER_RAW = 10_000_000_000

# First byte of an instruction of the Token program -> its name and its accounts' names. Those with an amount carry decimals too.
INSTRUCTIONS = {
    9: ("CloseAccount", ["account", "destination", "owner"]),
    12: ("TransferChecked", ["source", "mint", "destination", "authority"]),
    14: ("MintToChecked", ["mint", "token", "mint_authority"]),
    15: ("BurnChecked", ["account", "mint", "authority"]),
}

# Per entity: the field in whole tokens -> the field in raw units.
UI_AMOUNTS = {
    "Token": {
        "supply.tokens": "supply.raw",
        "minted.tokens": "minted.tokens_raw",
        "burned.tokens": "burned.tokens_raw",
        "transfers.tokens": "transfers.tokens_raw",
        "transfers.largest": "transfers.largest_raw",
        "transfers.last_tokens": "transfers.last_tokens_raw",
    },
    "Holder": {
        "balance.tokens": "balance.raw",
        "approved.tokens": "approved.tokens_raw",
        "sent.tokens": "sent.tokens_raw",
        "received.tokens": "received.tokens_raw",
    },
    "LargeTransfer": {
        "total.tokens": "total.tokens_raw",
        "total.largest": "total.largest_raw",
        "last.tokens": "last.tokens_raw",
    },
}
LISTS = ("payments", "transfers")


class Fold:
    def __init__(self, names):
        """`names`: {"people": {address: name}, "named": {mint: {"symbol", "name"}}}."""
        self.people, self.named = names["people"], names["named"]
        self.rows = {entity: {} for entity in UI_AMOUNTS}
        self.owners = {}  # mint -> set

    def row(self, entity, key):
        return self.rows[entity].setdefault(key, {})

    def block(self, block):
        for _, transaction in sorted(block.transactions.items()):
            for instruction in [] if transaction.failed else transaction.instructions:
                if instruction.program == spl_fold.TOKEN and instruction.data[0] in INSTRUCTIONS:
                    self.instruction(block, transaction, instruction)
        for write in block.accounts.values():
            if write.owner == spl_fold.TOKEN and write.lamports > 0:
                self.account(write)

    def instruction(self, block, transaction, instruction):
        name, names = INSTRUCTIONS[instruction.data[0]]
        accounts = dict(zip(names, instruction.accounts))
        if name == "CloseAccount":
            if accounts["account"] in self.rows["Holder"]:
                self.row("Holder", accounts["account"]).update({"about.state": "closed", "balance.raw": 0, "approved.tokens_raw": 0})
            return
        amount, decimals = struct.unpack("<QB", instruction.data[1:10])
        if name == "TransferChecked":
            self.transfer(block, transaction, accounts, amount, decimals)
            return
        flow(self.row("Token", accounts["mint"]), "minted" if name == "MintToChecked" else "burned", amount)
        self.row("Holder", accounts["token" if name == "MintToChecked" else "account"])["about.decimals"] = decimals

    def transfer(self, block, transaction, accounts, amount, decimals):
        source, mint, destination = accounts["source"], accounts["mint"], accounts["destination"]
        newest = {"from": source, "to": destination, "tokens_raw": amount, "slot": block.slot}
        event = {"slot": block.slot, "timestamp": block.time, "signature": transaction.signature}

        token = self.row("Token", mint)
        flow(token, "transfers", amount)
        spl_fold.largest(token, "transfers.largest_raw", amount)
        token.update({"transfers.last_" + field: value for field, value in newest.items()})

        sender, receiver = self.row("Holder", source), self.row("Holder", destination)
        sender["about.decimals"] = receiver["about.decimals"] = decimals
        flow(sender, "sent", amount)
        flow(receiver, "received", amount)
        sender.setdefault("payments", []).append({**event, "data": {"destination": destination, "amount": amount}})

        if amount >= LARGE_TRANSFER_RAW:
            large = self.row("LargeTransfer", mint)
            large.update({"id.mint": mint, "about.token": self.named[mint]["symbol"], "about.decimals": decimals})
            flow(large, "total", amount)
            spl_fold.largest(large, "total.largest_raw", amount)
            large.update({"last." + field: value for field, value in {**newest, "time": block.time}.items()})
            data = {"source": source, "destination": destination, "amount": amount}
            large.setdefault("transfers", []).append({**event, "data": data})

    def account(self, write):
        if len(write.data) == MINT_BYTES:
            mint, row = spl_fold.decode_mint(write.data), self.row("Token", write.pubkey)
            row.update({"id.mint": write.pubkey, "about.decimals": mint["decimals"], "supply.raw": mint["supply"]})
            row.update({"about." + field: text for field, text in self.named[write.pubkey].items()})
        elif len(write.data) == TOKEN_ACCOUNT_BYTES:
            account = spl_fold.decode_token(write.data)
            mint, owner = account["mint"], account["owner"]
            owners = self.owners.setdefault(mint, set())
            owners.add(owner)
            self.row("Token", mint).update({"id.mint": mint, "holders.owners": len(owners)})
            self.row("Holder", write.pubkey).update({
                "id.account": write.pubkey,
                "id.mint": mint,
                "id.owner": owner,
                "about.token": self.named[mint]["symbol"],
                "about.who": self.people[owner],
                "about.state": "open",
                "balance.raw": account["amount"],
                "approved.tokens_raw": account["delegated_amount"],
            })

    def entities(self):
        """{entity: {key: value}} as clients see it, lists with their `_total` beside them."""
        return {e: {key: spl_fold.nested(visible(e, row)) for key, row in rows.items()} for e, rows in self.rows.items()}


def flow(row, section, amount):
    spl_fold.count(row, section + ".count")
    spl_fold.add(row, section + ".tokens_raw", amount)


def visible(entity, row):
    hidden = {raw for raw in UI_AMOUNTS[entity].values() if raw.endswith("_raw")}
    if entity != "Token":
        hidden.add("about.decimals")
    shown = {path: value for path, value in row.items() if path not in hidden}
    for target, raw in UI_AMOUNTS[entity].items():
        if raw in row and "about.decimals" in row:
            shown[target] = float(row[raw]) / float(10 ** row["about.decimals"])
    shown.update({name + "_total": len(row[name]) for name in LISTS if name in row})
    return shown
