// Writes blocks in the order in which a confirmed Yellowstone subscription tells of them.

import { fileURLToPath } from 'node:url';

import protobuf from 'protobufjs';

const PROTO = fileURLToPath(new URL('../../../proto/', import.meta.url));
export const SLOT_MS = 400;
const FINALIZED_BEHIND = 31; // slots
const Status = { PROCESSED: 0, CONFIRMED: 1, FINALIZED: 2, FIRST_SHRED: 3, COMPLETED: 4, CREATED_BANK: 5, DEAD: 6 };

/**
 * The bytes of a recording. `timeline`: {slot, parent, block} for each slot of which anything is heard; one without a block dies.
 * `beginMs`: when the first slot begins. `random()` decides what differs from slot to slot on a real stream.
 */
export async function record(timeline, beginMs, random) {
  const recorder = new Recorder(await updateType(), random);
  const content = []; // blocks whose content is not told yet: {block, due}
  const finalizing = finalizedInOrder(timeline);
  for (const [n, { slot, parent, block }] of timeline.entries()) {
    recorder.nowMs = beginMs + (slot - timeline[0].slot) * SLOT_MS;
    const beginning = [() => recorder.status(slot, 'FIRST_SHRED'), () => recorder.status(slot, 'CREATED_BANK', parent)];
    if (random() < 0.4) beginning.reverse();
    for (const say of beginning) say();
    recorder.nowMs += 60;
    while (content.length > 0 && content[0].due <= n) recorder.confirm(content.shift().block);
    recorder.nowMs += 270;
    if (!block) {
      recorder.status(slot, 'DEAD', parent);
      continue;
    }
    recorder.status(slot, 'COMPLETED');
    recorder.nowMs += 20;
    recorder.status(slot, 'PROCESSED', parent);
    // Now and then nothing is said of a finalized slot, and then of several at once.
    if (random() < 0.9) {
      while (finalizing.length > 0 && finalizing[0].slot <= slot - FINALIZED_BEHIND) {
        const final = finalizing.shift();
        recorder.status(final.slot, 'FINALIZED', final.parent);
      }
    }
    content.push({ block, due: n + (random() < 0.15 ? 2 : 1) });
  }
  for (const { block } of content) {
    recorder.nowMs += SLOT_MS;
    recorder.confirm(block);
  }
  return Buffer.concat(recorder.out);
}

// The blocks before the recording are being finalized while it begins. They are those of its own end, the recording's length earlier:
// so a replay that goes round finalizes every block.
function finalizedInOrder(timeline) {
  const blocks = timeline.filter(({ block }) => block);
  const span = blocks.at(-1).slot - blocks[0].slot + 1;
  const before = blocks.map(({ slot, parent }) => ({ slot: slot - span, parent: parent - span }));
  return [...before.filter(({ slot }) => slot >= blocks[0].slot - FINALIZED_BEHIND), ...blocks];
}

class Recorder {
  out = [];
  nowMs = 0;
  #Update;
  #random;

  constructor(Update, random) {
    this.#Update = Update;
    this.#random = random;
  }

  emit(update) {
    const createdAt = { seconds: Math.floor(this.nowMs / 1000), nanos: (this.nowMs % 1000) * 1_000_000 };
    this.out.push(this.#Update.encodeDelimited(withoutDefaults(this.#Update.fromObject({ ...update, createdAt }))).finish());
  }

  status(slot, name, parent) {
    this.emit({ slot: { slot, status: Status[name], ...(parent === undefined ? {} : { parent }) } });
  }

  // Transactions come in any order, each after the writes that it made last.
  confirm(block) {
    const unsaid = new Set(block.writes.values());
    const write = (account) => {
      this.emit({ account: { slot: block.slot, account } });
      unsaid.delete(account);
    };
    for (const transaction of shuffled(block.transactions, this.#random)) {
      for (const account of unsaid) if (account.txnSignature === transaction.signature) write(account);
      this.emit({ transaction: { slot: block.slot, transaction } });
    }
    for (const account of unsaid) write(account);
    this.emit({
      blockMeta: {
        slot: block.slot,
        blockhash: block.blockhash,
        rewards: {},
        blockTime: { timestamp: block.time },
        blockHeight: { blockHeight: block.height },
        parentSlot: block.parent.slot,
        parentBlockhash: block.parent.blockhash,
        executedTransactionCount: block.transactions.length,
        entriesCount: 1,
      },
    });
    this.status(block.slot, 'CONFIRMED');
  }
}

async function updateType() {
  const root = new protobuf.Root();
  root.resolvePath = (_, target) => (target.startsWith('google/') ? target : PROTO + target);
  await root.load('geyser.proto');
  return root.lookupType('geyser.SubscribeUpdate');
}

// Servers leave out what equals its default, unless the field says whether it is there.
function withoutDefaults(message) {
  for (const field of message.$type.fieldsArray) {
    const value = message[field.name];
    if (!Object.hasOwn(message, field.name) || value === null) continue;
    if (field.resolve().resolvedType instanceof protobuf.Type) {
      for (const item of field.repeated ? value : [value]) withoutDefaults(item);
    } else if (!field.repeated && !field.partOf && isDefault(value)) {
      delete message[field.name];
    }
  }
  return message;
}

function isDefault(value) {
  if (typeof value === 'object') return 'length' in value ? value.length === 0 : value.isZero();
  return value === 0 || value === false || value === '';
}

function shuffled(items, random) {
  const copy = [...items];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [copy[i], copy[j]] = [copy[j], copy[i]];
  }
  return copy;
}
