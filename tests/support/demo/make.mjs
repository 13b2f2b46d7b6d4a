// Makes the demo: `node make.mjs FOLDER` writes demo.updates (the recording), demo.accounts.json (what litesvm holds at its end, and who
// is who) and Demo.stack.json. The same packages give the same bytes.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Chain } from './chain.mjs';
import { Day, SLOTS } from './day.mjs';
import { record, SLOT_MS } from './recorder.mjs';
import { stackText } from './stack.mjs';
import { town } from './town.mjs';

const FIRST_SLOT = 402_000_000;
const FIRST_HEIGHT = 380_000_000;
const BEGIN_S = Date.UTC(2026, 2, 1, 7) / 1000;
const SKIPPED = new Set([37, 88, 89, 131]); // nobody made a block, and nothing is heard of it
const DEAD = new Set([66]);

/** mulberry32: small, and the same everywhere. */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function main(folder) {
  const inhabitants = await town();
  const chain = new Chain({ slot: FIRST_SLOT - 2, height: FIRST_HEIGHT - 2 });
  const day = new Day(chain, inhabitants, generator(1));
  chain.openBlock(FIRST_SLOT - 1, BEGIN_S - 1);
  await day.prepare();
  let parent = chain.closeBlock().slot;

  const timeline = [];
  for (let n = 0; n < SLOTS; n++) {
    if (SKIPPED.has(n)) continue;
    const slot = FIRST_SLOT + n;
    if (DEAD.has(n)) {
      timeline.push({ slot, parent });
      continue;
    }
    chain.openBlock(slot, BEGIN_S + Math.floor((n * SLOT_MS) / 1000));
    await day.slot(n);
    timeline.push({ slot, parent, block: chain.closeBlock() });
    parent = slot;
  }
  day.checkEnd();

  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'demo.updates'), await record(timeline, BEGIN_S * 1000, generator(2)));
  writeFileSync(join(folder, 'demo.accounts.json'), JSON.stringify(sorted({ ...chain.accounts(), ...names(inhabitants) }), null, 1) + '\n');
  writeFileSync(join(folder, 'Demo.stack.json'), stackText(inhabitants));
  const transactions = timeline.flatMap(({ block }) => block?.transactions ?? []);
  console.log(`${timeline.length} slots, ${transactions.length} transactions, ${transactions.filter(({ meta }) => meta.err).length} of them failed`);
}

function names({ people, tokens }) {
  return {
    people: Object.fromEntries(Object.entries(people).map(([name, { address }]) => [address, name])),
    named: Object.fromEntries(tokens.map(({ mint, symbol, name }) => [mint.address, { symbol, name }])),
  };
}

function sorted(value) {
  if (typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, sorted(inner)]));
}

if (process.argv.length !== 3) {
  console.error('usage: node make.mjs FOLDER');
  process.exit(2);
}
await main(process.argv[2]);
