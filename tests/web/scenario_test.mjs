// The page against the fake server: everything a person may see happen to it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { openPage, takeShots, waitForEntities, waitForState } from './browser.mjs';
import { FakePageServer } from './fake_page_server.mjs';

const accounts = 'TokenAccount/list';
const mints = 'TokenMint/list';
const shots = process.env.EVERSTATE_SHOTS;

const server = new FakePageServer();
let opened;
let page;

const field = (name) => page.locator(`[data-field="${name}"]`);
const rowOf = (key) => page.locator(`tr[data-key="${key}"]`);
const topKey = () => page.locator('tbody tr').first().getAttribute('data-key');

async function waitUntil(condition, what) {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `waited in vain until ${what}`);
    await page.waitForTimeout(50);
  }
}
const waitForField = (name, text) =>
  waitUntil(async () => (await field(name).textContent()) === text, `${name} is ${text}`);

before(async () => {
  server.notAttached = true;
  await server.start();
  opened = await openPage(server.url);
  page = opened.page;
});

after(async () => {
  await opened?.close();
  await server.goAway();
});

test('a server that is not ready yet: everything is unknown, nothing is zero', async () => {
  await waitUntil(
    async () => (await page.locator('#health .age').first().textContent()) === 'unknown',
    'a status was read',
  );
  for (const value of await page.locator('#health .value').allTextContents()) assert.equal(value, '—');
  assert.equal(await page.locator('body').getAttribute('data-connection'), 'connecting');
  server.notAttached = false;
});

test('the snapshot is shown, newest first, with the health beside it', async () => {
  await waitForState(page, 'live');
  await waitForEntities(page, server.entities[accounts]);
  await page.waitForSelector('tr[data-key]');
  assert.deepEqual(await page.locator('#view option').allTextContents(), [accounts, mints]);
  assert.equal(await page.locator('table').getAttribute('data-view'), accounts);
  await waitForField('lag', '1');
  await waitForField('sessions', '1');
  await waitForField('gaps', '0');
  await waitForField('state', 'live');
  await waitForField('updates_per_second', '0');
  await waitForField('entities', '140');
  const newest = Object.keys(server.entities[accounts]).at(-1);
  assert.equal(await topKey(), newest);
});

test('patches, appends, nulls, upserts and deletes', async () => {
  const [a, b, c] = Object.keys(server.entities[accounts]);
  server.nextSlot();
  for (let i = 0; i < 5; i++) server.transfer(accounts, a);
  server.entities[accounts][b].state.owner = null;
  server.entities[accounts][b]._seq = server.send(accounts, 'patch', b, { state: { owner: null } });
  server.delete(accounts, c);
  server.upsert(accounts, 'new<b>key</b>', {
    id: { address: '<img src=x>' },
    state: { amount: '18446744073709551615' },
  });
  await waitForEntities(page, server.entities[accounts]);
  await waitUntil(async () => (await topKey()) === 'new<b>key</b>', 'the newest row is on top');
  assert.equal(await rowOf(c).count(), 0);
  assert.equal(await page.locator('tbody b, tbody img').count(), 0, 'keys and values are text');
  server.transfer(accounts, a);
  await waitUntil(async () => (await topKey()) === a, 'the changed row is on top');
  assert.equal(await rowOf(a).locator('.flash-a, .flash-b').count(), 3, 'the changed cells flash');
});

test('search, and one entity by keyboard', async () => {
  const key = Object.keys(server.entities[accounts])[5];
  await page.locator('#search').fill(key.slice(3, 12).toLowerCase());
  await waitUntil(async () => (await page.locator('tbody tr').count()) === 1, 'one row is left');
  await page.keyboard.press('Tab'); // Pause
  await page.keyboard.press('Tab'); // the table
  await page.keyboard.press('Tab'); // the row
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog[open]');
  const shown = () => page.locator('#detail-json').textContent().then(JSON.parse);
  assert.deepEqual(await shown(), server.entities[accounts][key]);
  server.transfer(accounts, key);
  await waitUntil(async () => (await shown())._seq === server.entities[accounts][key]._seq, 'the open entity follows');
  assert.deepEqual(await shown(), server.entities[accounts][key]);
  if (shots) await takeShots(page, shots, 'detail');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'hidden' });
  assert.equal(
    await page.evaluate(() => document.activeElement.closest('tr')?.dataset.key),
    key,
    'the focus comes back',
  );
  await page.locator('#search').fill('no such key');
  await waitUntil(
    async () => (await page.locator('#empty').textContent()) === 'No key contains this text.',
    'nothing is found',
  );
  await page.locator('#search').fill('');
});

test('pause holds the table, not the data', async () => {
  await page.locator('#pause').click();
  const top = await topKey();
  const key = Object.keys(server.entities[accounts])[9];
  server.transfer(accounts, key);
  await waitForEntities(page, server.entities[accounts]);
  await page.waitForTimeout(300);
  assert.equal(await topKey(), top);
  await page.locator('#pause').click();
  await waitUntil(async () => (await topKey()) === key, 'the table goes on');
});

test('gaps, faults and an ailing stream are said', async () => {
  server.statusExtra = {
    gaps: [{ from: 398210040, to: 398210055, cause: 'the provider cannot replay' }],
    unsupported_views: [{ view: 'TokenMint/top', reason: 'derived views are not built' }],
    error_count: 1234,
    faults: [
      {
        entity: 'TokenMint',
        handler: 'transfer',
        reason: 'sum over a non-number',
        count: 1234,
        sample_slot: 398210041,
        sample: '',
      },
    ],
    stream: {
      state: 'waiting to reconnect',
      proven: false,
      error: 'UNAVAILABLE: connection refused',
      from_slot: 1,
      reconnects: 2,
    },
    lag_slots: null,
  };
  await waitForField('gaps', '1');
  await waitForField('faults', '1,234');
  await waitForField('lag', '—');
  await waitForField('state', 'waiting to reconnect');
  assert.equal(await page.locator('#notices li').count(), 4);
  if (shots) await takeShots(page, shots, 'ailing');
  server.statusExtra = {};
  await waitUntil(async () => (await page.locator('#notices li').count()) === 0, 'the notices are gone');
});

test('the server goes away and comes back with other rows', async () => {
  assert.deepEqual(
    opened.refusals.filter((refusal) => !/ 503 .*\/status\)$/.test(refusal)),
    [],
  );
  await page.setViewportSize({ width: 1600, height: 1000 });
  await server.goAway();
  await waitForState(page, 'waiting');
  assert.match(await page.locator('.connection').textContent(), /^Not connected: shutdown\. Try \d+ in \d+ s$/);
  assert.ok(await page.locator('#retry').isVisible());
  await waitUntil(async () => (await page.locator('#health .stale').count()) === 8, 'the numbers are marked as old');
  assert.ok((await page.evaluate(() => window.everstate.rows())) > 100, 'the rows stay to be read');
  if (shots) await takeShots(page, shots, 'away');
  const [a, b] = Object.keys(server.entities[accounts]);
  delete server.entities[accounts][a];
  server.entities[accounts][b].state = { amount: 1 };
  await server.start();
  await page
    .locator('#retry')
    .click({ timeout: 2000 })
    .catch(() => {}); // it may have come back by itself
  await waitForState(page, 'live');
  await waitForEntities(page, server.entities[accounts]);
  await waitUntil(async () => (await page.locator('#health .stale').count()) === 0, 'the numbers are new');
  server.transfer();
  await waitForEntities(page, server.entities[accounts]);
});

test('another view, kept in the address', async () => {
  await page.locator('#view').selectOption(mints);
  await waitForState(page, 'live');
  await waitForEntities(page, server.entities[mints]);
  assert.equal(await page.locator('table').getAttribute('data-view'), mints);
  await waitUntil(async () => (await page.locator('tbody tr').count()) === 6, 'its rows are shown');
  if (shots) await takeShots(page, shots, 'mints');
  server.transfer(accounts); // is not ours any more
  await page.reload();
  await waitForState(page, 'live');
  assert.equal(await page.locator('table').getAttribute('data-view'), mints);
  await page.locator('#view').selectOption(accounts);
  await waitForEntities(page, server.entities[accounts]);
});

test('1,000 changes a second of 3,000 rows', async (t) => {
  await page.setViewportSize({ width: 1600, height: 1000 });
  await page.emulateMedia({ colorScheme: 'light' });
  for (let i = 0; i < 3000; i++) {
    server.upsert(accounts, `row${String(i).padStart(5, '0')}`, {
      id: { address: `row${i}` },
      state: { amount: i },
      transfers: [],
    });
  }
  await waitForEntities(page, server.entities[accounts]);
  await page.evaluate(() => {
    window.frames_ = [];
    const note = (now) => {
      window.frames_.push(now);
      requestAnimationFrame(note);
    };
    requestAnimationFrame(note);
  });
  const started = Date.now();
  let sent = 0;
  for (let tick = 1; tick <= 100; tick++) {
    for (; sent < tick * 50; sent++) server.transfer();
    if (tick % 8 === 0) server.nextSlot();
    if (tick === 60 && shots) await takeShots(page, shots, 'busy');
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, started + tick * 50 - Date.now())));
  }
  const seconds = (Date.now() - started) / 1000;
  await waitForEntities(page, server.entities[accounts]);
  assert.ok((await page.locator('tbody tr').count()) < 200, 'rows out of sight are not drawn');
  await waitUntil(async () => {
    await page.evaluate(() => document.getElementById('scroller').scrollBy(0, 1e6));
    return (await page.locator('tbody tr').count()) === 200;
  }, 'all 200 rows were scrolled to');
  await page.waitForTimeout(500);
  assert.equal(await page.locator('tbody tr').count(), 200);
  const gaps = await page.evaluate(() =>
    window.frames_
      .slice(1)
      .map((time, i) => time - window.frames_[i])
      .sort((x, y) => x - y),
  );
  const at = (part) => Math.round(gaps[Math.floor((gaps.length - 1) * part)]);
  t.diagnostic(
    `${Math.round(sent / seconds)} changes/s; animation frames: median ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`,
  );
});

test('the console has no error', () => {
  assert.deepEqual(opened.errors, []);
});
