// The page against the fake server: what somebody does who reads.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { takeShots, waitForState } from './browser.mjs';
import {
  accounts,
  begin,
  chooseView,
  end,
  held,
  keyAt,
  keysShown,
  mints,
  opened,
  page,
  rowOf,
  rowsShown,
  scrollTo,
  server,
  shots,
  topKey,
  waitForText,
  waitForView,
  waitUntil,
  wide,
} from './scene.mjs';

const activeKey = () => page.evaluate(() => document.querySelector('#active-row')?.dataset.key);
const focusedId = () => page.evaluate(() => document.activeElement.id);

before(async () => {
  await begin();
  await waitForState(page, 'live');
});
after(end);

test('search by key and by cell, and one entity with its changes, by keyboard alone', async () => {
  const key = keyAt(5);
  const row = () => server.entities[accounts][key];
  await page.keyboard.press('/');
  assert.equal(await focusedId(), 'search');
  await page.keyboard.type(String(row().state.owner).toLowerCase());
  await waitUntil(async () => (await keysShown()).includes(key), 'a cell is found');
  await page.locator('#search').fill(key.slice(3, 12).toLowerCase());
  await waitUntil(async () => (await rowsShown()) === 1, 'one row is left');
  while ((await focusedId()) !== 'table') await page.keyboard.press('Tab');
  await page.keyboard.press('ArrowDown');
  assert.equal(await activeKey(), key);
  server.transfer(accounts, key);
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog[open]');
  assert.equal(await page.locator('#detail-key').textContent(), key);
  for (let i = 0; i < 2; i++) server.transfer(accounts, key);
  const newest = page.locator('#detail-changes li').first();
  const shows = (what) =>
    waitUntil(async () => (await newest.textContent()).includes(what), `the newest change says ${what}`);
  await shows(`transfers_total ${row().transfers_total - 1} → ${row().transfers_total}`);
  await shows('transfers + amount');
  await shows(`slot ${row()._seq.split(':')[0]}`);
  await waitUntil(async () => (await page.locator('#detail-changes li').count()) >= 3, 'earlier ones, too');
  const json = page.locator('#detail-json');
  assert.match(await json.textContent(), new RegExp(`transfers_total: ${row().transfers_total}$`));
  assert.ok(!(await json.textContent()).includes('last_sent_slot: 0'));
  const list = json.locator('details[data-path="/transfers"]');
  const elements = list.locator('> .children > *');
  assert.equal(await elements.count(), 0, 'what is folded is not there');
  await list.locator('> summary').focus();
  await page.keyboard.press('Enter');
  await waitUntil(async () => (await elements.count()) === row().transfers.length, 'it is unfolded');
  server.transfer(accounts, key);
  await waitUntil(async () => (await elements.count()) === row().transfers.length, 'it stays unfolded and follows');
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'SUMMARY', 'and keeps the focus');
  if (shots) await takeShots(page, shots, 'detail');
  await wide();
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'hidden' });
  assert.equal(await focusedId(), 'table', 'the focus comes back');
  await page.locator('#search').fill('no such text');
  await waitForText(page.locator('#empty'), 'No row contains this text.');
  await page.locator('#search').fill('');
});

test('the arrow keys choose a row, which the entity beside the table follows', async () => {
  await waitUntil(async () => (await rowsShown()) > 10, 'the rows are back');
  await page.locator('table').focus();
  const order = await keysShown();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  assert.equal(await activeKey(), order[1]);
  await page.keyboard.press('Enter');
  await page.keyboard.press('ArrowDown');
  assert.equal(await page.locator('#detail-key').textContent(), order[2]);
  server.transfer(accounts, keyAt(12));
  await held();
  await page.waitForTimeout(300);
  assert.deepEqual((await keysShown()).slice(0, 5), order.slice(0, 5), 'rows hold still under the keyboard');
  await page.keyboard.press('End');
  const { length } = Object.keys(server.entities[accounts]);
  await waitUntil(
    async () => (await page.locator('#active-row').getAttribute('aria-rowindex')) === String(length + 2),
    'the last row is active',
  );
  assert.equal(
    await page.locator('#active-row').evaluate((row) => {
      const [box, around] = [row, document.getElementById('scroller')].map((node) => node.getBoundingClientRect());
      return box.top >= around.top && box.bottom <= around.bottom;
    }),
    true,
    'and in sight',
  );
  await page.keyboard.press('Home');
  assert.equal(await activeKey(), order[0]);
  await page.keyboard.press('Escape');
  await page.locator('#held').click();
  await waitUntil(async () => (await topKey()) === keyAt(12), 'the newest row is on top again');
});

test('the place that was scrolled to is kept', async () => {
  await scrollTo(1400);
  await waitUntil(
    async () => (await page.locator('#held').isVisible()) && (await topKey()) !== keyAt(12),
    'it has scrolled',
  );
  const order = await keysShown();
  for (let n = 60; n < 90; n++) server.transfer(accounts, keyAt(n));
  server.delete(accounts, keyAt(59));
  await held();
  await page.waitForTimeout(300);
  assert.equal(await page.evaluate(() => document.getElementById('scroller').scrollTop), 1400);
  const now = await keysShown();
  assert.deepEqual(
    order.filter((key) => now.includes(key)),
    now.filter((key) => order.includes(key)),
    'no row changed its place',
  );
  await page.locator('#held').click();
  await waitUntil(async () => (await topKey()) === keyAt(88), 'back at the top is the newest row');
});

test('sorted by a column, in both directions, and newest first again', async () => {
  const heading = page.locator('thead th', { has: page.locator('[data-column="transfers_total"]') });
  const column = heading.locator('button');
  const totals = async () =>
    (await keysShown()).map((key) => server.entities[accounts][key].transfers_total).filter((n) => n !== undefined);
  const isSorted = (values, sign) =>
    values.length > 5 && values.every((value, i) => i === 0 || sign * (value - values[i - 1]) >= 0);
  await column.click();
  await waitUntil(async () => isSorted(await totals(), -1), 'the largest is on top');
  assert.equal(await heading.getAttribute('aria-sort'), 'descending');
  assert.equal(await page.locator('#newest').getAttribute('aria-pressed'), 'false');
  await column.focus();
  await page.keyboard.press('Enter');
  await waitUntil(async () => isSorted(await totals(), 1), 'the smallest is on top');
  assert.equal(await heading.getAttribute('aria-sort'), 'ascending');
  await page.locator('#newest').click();
  await waitUntil(async () => (await topKey()) === keyAt(88), 'the newest is on top');
  assert.equal(await heading.getAttribute('aria-sort'), null);
});

test('pause holds order and contents of the table, not the data', async () => {
  const cells = async () => (await page.locator('tbody.rows tr').allTextContents()).slice(0, 20);
  await page.locator('#pause').click();
  const before = await cells();
  const [first, second, third] = await keysShown();
  const was = structuredClone(server.entities[accounts][second]);
  server.transfer(accounts, first);
  server.transfer(accounts, third);
  server.delete(accounts, second);
  await held();
  await scrollTo(10);
  await page.waitForTimeout(300);
  assert.deepEqual(await cells(), before, 'also when it is scrolled');
  await rowOf(second).click();
  await waitForText(page.locator('#detail-note'), 'This entity is gone; what it last was is below.');
  assert.match(await page.locator('#detail-json').textContent(), new RegExp(was.id.address));
  await page.keyboard.press('Escape');
  await page.locator('#pause').click();
  await page.locator('#held').click();
  await waitUntil(async () => (await topKey()) === third, 'the table goes on');
  assert.equal(await rowOf(second).count(), 0);
});

test('a click means what was pressed, although it would have moved or been drawn anew meanwhile', async () => {
  const press = async (locator, meanwhile) => {
    await locator.hover();
    await page.mouse.down();
    meanwhile();
    await held();
    await page.waitForTimeout(300);
    await page.mouse.up();
  };
  await page.locator('#search').focus();
  const [, , pressed, moving] = await keysShown();
  await press(rowOf(pressed), () => server.transfer(accounts, moving));
  await page.waitForSelector('dialog[open]');
  assert.equal(await page.locator('#detail-key').textContent(), pressed);
  server.transfer(accounts, pressed);
  const list = page.locator('#detail-json details[data-path="/transfers"]');
  await press(list.locator('> summary'), () => server.transfer(accounts, pressed));
  const { length } = server.entities[accounts][pressed].transfers;
  await waitUntil(
    async () => (await list.locator('> .children > *').count()) === length,
    'it is unfolded, and shows what came meanwhile',
  );
});

test('from the row into its entity and back by keyboard; the row of the entity stays marked', async () => {
  const key = await page.locator('#detail-key').textContent();
  await page.locator('table').focus();
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.activeElement.id === 'detail-json');
  assert.equal(await activeKey(), key);
  assert.equal(await rowOf(key).getAttribute('aria-selected'), 'true');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'hidden' });
  assert.equal(await focusedId(), 'table');
  await page.locator('#search').focus();
  await waitUntil(async () => (await activeKey()) === undefined, 'the mark is gone');
  await page.keyboard.press('Enter');
  assert.equal(await focusedId(), 'table', 'from the search to what it found');
});

test('the address says what is followed: a link, Back and Forward', async () => {
  await chooseView(mints);
  await page.evaluate((view) => (location.hash = new URLSearchParams({ view })), 'TokenAccount/append');
  await waitForView('TokenAccount/append');
  await page.goBack();
  await waitForView(mints);
  assert.equal(await page.locator('#view').inputValue(), mints);
  await page.goForward();
  await waitForView('TokenAccount/append');
  await page.evaluate(() => (location.hash = '#view=of/another-stack'));
  await waitForView(accounts);
  assert.equal(await page.evaluate(() => location.hash), `#${new URLSearchParams({ view: accounts })}`);
});

test('names and messages of 5,000 characters, and 200 fields', async () => {
  const name = 'Captain-Long-'.repeat(400).slice(0, 5000);
  const fields = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`field_${i}`, i]));
  const _seq = '1:000000000001';
  const long = `${name}/list`;
  server.entities[long] = { [name]: { id: { name }, [name]: fields, _seq } };
  const fault = { entity: name, handler: name, reason: name, count: 1, sample_slot: 1 };
  server.statusExtra = {
    stack: { name },
    stream: { state: 'waiting to reconnect', proven: false, error: name, heard_ms_ago: 1 },
    gaps: [{ from: 5, to: 9, cause: name }],
    faults: [fault, fault, fault],
    unsupported_views: [{ view: name, reason: name }],
    checkpoint_error: name,
  };
  await waitUntil(async () => (await page.locator('#view option').count()) === 9, 'the view is known');
  await chooseView(long);
  await waitUntil(async () => (await page.locator('#notices li').count()) === 6, 'the notices are there');
  for (const width of [400, 1600]) {
    await page.setViewportSize({ width, height: 1000 });
    await page.locator('tbody.rows tr').click();
    server.entities[long][name].id.name = `${width}${name}`;
    server.entities[long][name]._seq = server.send(long, 'patch', name, { id: { name: `${width}${name}` } });
    await waitUntil(
      async () => (await page.locator('#detail-changes').textContent()).includes(`id.name Captain`),
      'the change is told',
    );
    assert.match(await page.locator('#detail-json').textContent(), /field_199: 199/);
    const boxes = await page.locator('dialog .box').evaluateAll((all) => all.map((box) => box.clientHeight));
    assert.ok(Math.min(...boxes) > 60, `${boxes} pixels for the entity and its changes`);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing sticks out');
    if (shots) await page.screenshot({ path: `${shots}/long-${width}.png` });
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog', { state: 'hidden' });
  }
  server.statusExtra = {};
  await chooseView(accounts);
});

test('light, dark or as the system says', async () => {
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: 'light' });
  const light = await ground();
  await page.emulateMedia({ colorScheme: 'dark' });
  const dark = await ground();
  assert.notEqual(light, dark);
  await page.locator('#theme').click();
  assert.equal(await ground(), light);
  await page.reload();
  await waitForState(page, 'live');
  assert.equal(await ground(), light, 'it is remembered');
  await page.locator('#theme').click();
  await page.emulateMedia({ colorScheme: 'light' });
  assert.equal(await ground(), dark);
  await page.locator('#theme').click();
  assert.equal(await ground(), light);
});

test('the console has no error', () => {
  assert.deepEqual(opened.errors, []);
});
