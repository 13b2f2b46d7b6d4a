// One day in the harbor town, as transactions slot by slot. In the morning wages are paid and goods are made; all day people pay, eat,
// trade and fail; at noon the Regatta Club launches a ticket and takes it back at the gate; in the evening debts are settled, so that every
// balance and every supply is again what it was in the morning. A recording of it can therefore go round without a visible seam.

import { AccountRole, address } from '@solana/kit';
import { getCreateAccountInstruction } from '@solana-program/system';
import {
  findAssociatedTokenPda, getApproveCheckedInstruction, getBurnCheckedInstruction, getCloseAccountInstruction, getCreateAssociatedTokenIdempotentInstruction,
  getInitializeMint2Instruction, getMintSize, getMintToCheckedInstruction, getRevokeInstruction, getTransferCheckedInstruction, TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token';

import { LARGE_TRANSFER_RAW, PEOPLE, WHALES } from './town.mjs';

export const SLOTS = 160;
const MORNING_END = 14;
const LAUNCH = 24;
const SALE_END = 62;
const GATE = 74;
const GATE_END = 108;
const EVENING = 112;
const SETTLED = 154;
const VISITORS = 20;
const TICKETS = 60n;
const TICKET_PRICE = 12n; // crowns
const BREAD_PRICE = 4n;
const POWER_PRICE = 1n;
const SHARE_PRICE = 9n;
const PAID_AT_ONCE_MAX = 9; // mints that fit into one transaction with their accounts
const SETTLED_AT_ONCE_MAX = 4;
const TRADER_CROWNS = 20_000;
const FUNDS_LAMPORTS = 50_000_000_000n;
const MEMO_PROGRAM = address('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr');

export class Day {
  #chain;
  #random;
  #people; // by name
  #tokens = {}; // by symbol: what town() tells, `unit` (raw units of one token), `holders` (names), `purses` (addresses by name)
  #morning = {}; // raw amounts by symbol and name
  #debtors = []; // who has approved something to the trading house
  #plan = Array.from({ length: SLOTS }, () => []); // transactions that have their slot: functions to be called

  constructor(chain, { people, tokens }, random) {
    this.#chain = chain;
    this.#random = random;
    this.#people = people;
    for (const token of tokens) this.#tokens[token.symbol] = { ...token, unit: 10n ** BigInt(token.decimals), holders: [], purses: {} };
  }

  /** What there is before anybody listens. */
  async prepare() {
    for (const person of Object.values(this.#people)) this.#chain.fund(person.address, FUNDS_LAMPORTS);
    for (const token of Object.values(this.#tokens)) {
      if (token.symbol === 'TICKET') continue;
      const [least, most] = token.share;
      await this.#createMint(token);
      await this.#endow(token, token.issuer, token.treasury);
      for (const name of token.whale ? WHALES : []) await this.#endow(token, name, Math.round(token.whale * (0.8 + 0.4 * this.#random())));
      for (const name of this.#sample(PEOPLE, token.people)) await this.#endow(token, name, Math.round(least + (most - least) * this.#random()));
      if (token.symbol === 'CROWN') {
        for (const name of Object.keys(this.#people)) if (!(name in token.purses)) await this.#endow(token, name, TRADER_CROWNS);
      }
      this.#morning[token.symbol] = Object.fromEntries(token.holders.map((name) => [name, this.#balance(token, name)]));
    }
    this.#planMorning();
    this.#planRegatta();
  }

  /** The transactions of one slot. */
  async slot(n) {
    if (n === EVENING) this.#planEvening();
    // What a skipped or dead slot should have had comes in the next one.
    for (const sends of this.#plan.slice(0, n + 1)) for (const send of sends.splice(0)) await send();
    if (n < 3 || n >= EVENING) return;
    const wanted = n < MORNING_END ? 1 : 1 + this.#below(4);
    // Often the dice choose what a purse does not allow.
    for (let done = 0; done < wanted; ) done += (await this.#something()) ? 1 : 0;
  }

  /** Fails when the day has not ended where it began. */
  checkEnd() {
    for (const [symbol, amounts] of Object.entries(this.#morning)) {
      for (const [name, amount] of Object.entries(amounts)) {
        const now = this.#balance(this.#tokens[symbol], name);
        if (now !== amount) throw new Error(`${name} has ${now} raw units of ${symbol} in the evening and had ${amount} in the morning`);
      }
    }
  }

  // The morning: every holder of every token gets something, so that within seconds all of them have been seen.

  #planMorning() {
    const { CROWN, BREAD, KWH, SHARE, GOLD } = this.#tokens;
    const wages = [
      ...this.#wages(CROWN, () => 40 + this.#below(60)),
      ...this.#wages(BREAD, () => 1 + this.#below(3)),
      ...this.#wages(KWH, () => 5 + this.#below(40)),
      ...this.#wages(SHARE, () => 1 + this.#below(5)),
      ...this.#wages(GOLD, () => 1),
    ];
    this.#spread(wages, 0, MORNING_END - 2);
    this.#plan[MORNING_END].push(() => this.#mint(BREAD, 120n));
    this.#plan[40].push(() => this.#mint(KWH, 4_000n * KWH.unit));
    this.#plan[58].push(() => this.#mint(BREAD, 90n));
    this.#plan[80].push(() => this.#mint(GOLD, 50n * GOLD.unit));
    // Both sides of the line from which on a transfer is a large one.
    const line = BigInt(LARGE_TRANSFER_RAW);
    this.#plan[20].push(() => this.#send('Shipping Line', [this.#transfer(CROWN, 'Shipping Line', 'Trading House', line)]));
    this.#plan[22].push(() => this.#send('Shipping Line', [this.#transfer(CROWN, 'Shipping Line', 'Old Admiral', line - 1n)]));
  }

  // One transaction pays many.
  #wages(token, tokensFor) {
    const sends = [];
    for (let i = 0; i < token.holders.length; i += PAID_AT_ONCE_MAX) {
      const names = token.holders.slice(i, i + PAID_AT_ONCE_MAX);
      const instructions = names.map((name) => this.#mintTo(token, name, BigInt(tokensFor()) * token.unit));
      sends.push(() => this.#send(token.issuer, instructions));
    }
    return sends;
  }

  // The regatta: a token of its own from launch to end, with purses that are opened and closed.

  #planRegatta() {
    const { TICKET } = this.#tokens;
    const club = TICKET.issuer;
    this.#plan[LAUNCH].push(async () => {
      await this.#createMint(TICKET);
      await this.#addPurse(TICKET, club);
      await this.#send(club, [this.#openPurse(TICKET, club, club), this.#mintTo(TICKET, club, TICKETS)]);
    });
    const visitors = this.#sample(PEOPLE, VISITORS).map((name) => ({ name, many: 1n + BigInt(this.#below(3)) }));
    this.#spread(visitors.map((visitor) => () => this.#buyTickets(visitor)), LAUNCH + 2, SALE_END);
    this.#spread(visitors.map(({ name }) => () => this.#giveBackTickets(name)), GATE, GATE_END);
    this.#plan[GATE_END + 2].push(() => this.#giveBackTickets(club));
  }

  // One transaction: a purse is opened, crowns go one way and tickets the other.
  async #buyTickets({ name, many }) {
    const { CROWN, TICKET } = this.#tokens;
    await this.#addPurse(TICKET, name);
    return this.#send(name, [
      this.#openPurse(TICKET, name, name),
      this.#transfer(CROWN, name, TICKET.issuer, many * TICKET_PRICE * CROWN.unit),
      this.#transfer(TICKET, TICKET.issuer, name, many),
    ]);
  }

  #giveBackTickets(name) {
    const { TICKET } = this.#tokens;
    const close = getCloseAccountInstruction({ account: TICKET.purses[name], destination: this.#people[name].address, owner: this.#people[name] });
    return this.#send(name, [this.#burn(TICKET, name, this.#balance(TICKET, name)), close]);
  }

  // The day. Each of these answers whether it sent a transaction.

  #something() {
    const { CROWN, BREAD, KWH, SHARE, GOLD } = this.#tokens;
    const dice = this.#below(100);
    if (dice < 38) return this.#pay(CROWN, ...this.#sample(PEOPLE, 2));
    if (dice < 48) return this.#buy(BREAD, BigInt(1 + this.#below(3)), BREAD_PRICE);
    if (dice < 56) return this.#consume(BREAD, BigInt(1 + this.#below(3)));
    if (dice < 62) return this.#buy(KWH, BigInt(5 + this.#below(60)) * KWH.unit, POWER_PRICE);
    if (dice < 68) return this.#consume(KWH, BigInt(5 + this.#below(60)) * KWH.unit);
    if (dice < 73) return this.#buy(SHARE, BigInt(1 + this.#below(20)) * SHARE.unit, SHARE_PRICE);
    if (dice < 77) return this.#pay(GOLD, ...this.#sample(GOLD.holders, 2));
    if (dice < 87) return this.#shipment();
    if (dice < 91) return this.#approve();
    if (dice < 94) return this.#collect();
    return this.#fail();
  }

  // Small payments are the most frequent ones, and whole hundredths look like prices.
  #pay(token, from, to) {
    const hundredth = token.unit / 100n;
    const hundredthsMax = Number(this.#balance(token, from) / hundredth) / 2;
    const amount = BigInt(1 + Math.floor(hundredthsMax * this.#random() ** 3)) * hundredth;
    if (amount > this.#balance(token, from)) return false;
    return this.#send(from, [this.#transfer(token, from, to, amount)]);
  }

  // Goods against crowns, signed by both sides.
  #buy(token, amount, price) {
    const { CROWN } = this.#tokens;
    const name = this.#customer(token);
    const cost = (amount * price * CROWN.unit) / token.unit;
    if (this.#balance(token, token.issuer) < amount || this.#balance(CROWN, name) < cost) return false;
    return this.#send(name, [this.#transfer(CROWN, name, token.issuer, cost), this.#transfer(token, token.issuer, name, amount)]);
  }

  #consume(token, amount) {
    const name = this.#customer(token);
    if (this.#balance(token, name) < amount) return false;
    return this.#send(name, [this.#burn(token, name, amount)]);
  }

  // The whales and the issuers move large sums among each other.
  #shipment() {
    const token = this.#tokens[this.#one(['CROWN', 'CROWN', 'CROWN', 'SHARE', 'SHARE', 'GOLD', 'KWH'])];
    const [from, to] = this.#sample([...WHALES, token.issuer], 2);
    const least = { GOLD: 10, KWH: 3_000 }[token.symbol] ?? 10_000;
    const amount = BigInt(Math.round(least * (1 + 3 * this.#random() ** 2))) * token.unit;
    if (this.#balance(token, from) < amount) return false;
    const signer = this.#people[from];
    const accounts = [{ address: signer.address, role: AccountRole.READONLY_SIGNER, signer }];
    const memo = { programAddress: MEMO_PROGRAM, accounts, data: Buffer.from(`cargo ${100 + this.#below(900)}`) };
    return this.#send(from, [this.#transfer(token, from, to, amount), memo]);
  }

  // The trading house may collect a debt.
  #approve() {
    const { CROWN } = this.#tokens;
    const name = this.#one(PEOPLE);
    const amount = BigInt(20 + this.#below(200)) * CROWN.unit;
    const { mint, decimals, purses } = CROWN;
    const delegate = this.#people['Trading House'].address;
    this.#debtors.push(name);
    return this.#send(name, [getApproveCheckedInstruction({ source: purses[name], mint: mint.address, delegate, owner: this.#people[name], amount, decimals })]);
  }

  #collect() {
    const { CROWN } = this.#tokens;
    const name = this.#debtors.at(-1);
    if (name === undefined) return false;
    const { delegatedAmount, amount } = this.#chain.token(CROWN.purses[name]);
    const hundredth = CROWN.unit / 100n;
    const sum = (delegatedAmount / 2n / hundredth) * hundredth;
    if (sum === 0n || amount < sum) return false;
    return this.#send('Trading House', [this.#transfer(CROWN, name, 'Trading House', sum, 'Trading House')]);
  }

  #fail() {
    const { CROWN } = this.#tokens;
    const [from, to] = this.#sample(PEOPLE, 2);
    const tooMuch = this.#transfer(CROWN, from, to, this.#balance(CROWN, from) + CROWN.unit);
    const notTheirs = this.#transfer(CROWN, from, to, CROWN.unit, to);
    const wrongUnit = this.#transfer({ ...CROWN, decimals: CROWN.decimals + 1 }, from, to, CROWN.unit);
    const [payer, instruction] = this.#one([[from, tooMuch], [to, notTheirs], [from, wrongUnit]]);
    return this.#send(payer, [instruction], { fails: true });
  }

  // The evening: approvals are revoked; who has more than in the morning pays those who have less; the issuer makes or burns the rest.

  #planEvening() {
    const first = [...new Set(this.#debtors)].map((name) => () => {
      return this.#send(name, [getRevokeInstruction({ source: this.#tokens.CROWN.purses[name], owner: this.#people[name] })]);
    });
    const settlements = [];
    const burns = [];
    for (const [symbol, morning] of Object.entries(this.#morning)) {
      const token = this.#tokens[symbol];
      const surplus = Object.fromEntries(token.holders.map((name) => [name, this.#balance(token, name) - morning[name]]));
      const excess = Object.values(surplus).reduce((sum, amount) => sum + amount, 0n);
      surplus[token.issuer] -= excess;
      settlements.push(...this.#settlements(token, surplus));
      if (excess < 0n) first.push(() => this.#mint(token, -excess));
      if (excess > 0n) burns.push(() => this.#send(token.issuer, [this.#burn(token, token.issuer, excess)]));
    }
    this.#spread([...first, ...this.#sample(settlements, settlements.length)], EVENING, SETTLED);
    this.#spread(burns, SETTLED, SETTLED + burns.length);
  }

  #settlements(token, surplus) {
    const over = Object.entries(surplus).filter(([, amount]) => amount > 0n);
    const under = Object.entries(surplus).filter(([, amount]) => amount < 0n);
    const sends = [];
    while (over.length > 0) {
      let [from, left] = over.pop();
      const instructions = [];
      while (left > 0n && instructions.length < SETTLED_AT_ONCE_MAX) {
        const [to, missing] = under.pop();
        const amount = -missing < left ? -missing : left;
        instructions.push(this.#transfer(token, from, to, amount));
        left -= amount;
        if (missing + amount < 0n) under.push([to, missing + amount]);
      }
      if (left > 0n) over.push([from, left]);
      sends.push(() => this.#send(from, instructions));
    }
    return sends;
  }

  // What all of it is made of.

  // A mint cannot be closed: when the recording goes round it is created anew, as it was the first time.
  #createMint(token) {
    const payer = this.#people[token.issuer];
    const space = BigInt(getMintSize());
    return this.#send(token.issuer, [
      getCreateAccountInstruction({ payer, newAccount: token.mint, lamports: this.#chain.rent(space), space, programAddress: TOKEN_PROGRAM_ADDRESS }),
      getInitializeMint2Instruction({ mint: token.mint.address, decimals: token.decimals, mintAuthority: payer.address }),
    ]);
  }

  async #addPurse(token, name) {
    [token.purses[name]] = await findAssociatedTokenPda({ mint: token.mint.address, owner: this.#people[name].address, tokenProgram: TOKEN_PROGRAM_ADDRESS });
  }

  async #endow(token, name, tokens) {
    token.holders.push(name);
    await this.#addPurse(token, name);
    await this.#send(token.issuer, [this.#openPurse(token, name, token.issuer), this.#mintTo(token, name, BigInt(tokens) * token.unit)]);
  }

  #openPurse(token, name, payer) {
    return getCreateAssociatedTokenIdempotentInstruction({ payer: this.#people[payer], ata: token.purses[name], owner: this.#people[name].address, mint: token.mint.address });
  }

  #mintTo({ mint, purses, issuer, decimals }, name, amount) {
    return getMintToCheckedInstruction({ mint: mint.address, token: purses[name], mintAuthority: this.#people[issuer], amount, decimals });
  }

  #mint(token, amount) {
    return this.#send(token.issuer, [this.#mintTo(token, token.issuer, amount)]);
  }

  #burn({ mint, purses, decimals }, name, amount) {
    return getBurnCheckedInstruction({ account: purses[name], mint: mint.address, authority: this.#people[name], amount, decimals });
  }

  #transfer({ mint, purses, decimals }, from, to, amount, authority = from) {
    return getTransferCheckedInstruction({ source: purses[from], mint: mint.address, destination: purses[to], authority: this.#people[authority], amount, decimals });
  }

  async #send(payer, instructions, options = {}) {
    await this.#chain.send(this.#people[payer], instructions, { version: this.#random() < 0.5 ? 0 : 'legacy', ...options });
    return true;
  }

  #balance(token, name) {
    return this.#chain.token(token.purses[name]).amount;
  }

  #customer(token) {
    return this.#one(token.holders.filter((name) => PEOPLE.includes(name)));
  }

  // Over the slots from `begin` to before `end`, evenly.
  #spread(sends, begin, end) {
    sends.forEach((send, i) => this.#plan[begin + Math.floor((i * (end - begin)) / sends.length)].push(send));
  }

  #below(n) {
    return Math.floor(this.#random() * n);
  }

  #one(items) {
    return items[this.#below(items.length)];
  }

  #sample(items, n) {
    const left = [...items];
    return Array.from({ length: n }, () => left.splice(this.#below(left.length), 1)[0]);
  }
}
