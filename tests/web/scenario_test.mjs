// The page against the fake server: what a server may do, and what then is shown.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { takeShots, waitForEntities, waitForState } from './browser.mjs';
import {
  accounts,
  begin,
  chooseView,
  end,
  field,
  held,
  keyAt,
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

// What the page's main thread does from here on, as shares of one core.
async function mainThread() {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const read = async () =>
    Object.fromEntries((await session.send('Performance.getMetrics')).metrics.map(({ name, value }) => [name, value]));
  const before = await read();
  return {
    async busy() {
      const after = await read();
      const share = (name) => Math.round((100 * (after[name] - before[name])) / (after.Timestamp - before.Timestamp));
      return (
        `${share('TaskDuration')} % of a core (script ${share('ScriptDuration')} %, styles ${share('RecalcStyleDuration')} %, ` +
        `layout ${share('LayoutDuration')} %)`
      );
    },
  };
}

before(async () => {
  server.notAttached = true;
  await begin();
});
after(end);

test('a server that is not ready yet: everything is unknown, nothing is zero', async () => {
  await waitUntil(
    async () => /^Status read/.test(await page.locator('#status-age').textContent()),
    'a status was read',
  );
  for (const value of await page.locator('#health b').allTextContents()) assert.equal(value, '—');
  for (const unit of await page.locator('#health .unit').allTextContents()) assert.equal(unit, '');
  assert.equal(await page.locator('body').getAttribute('data-connection'), 'connecting');
  server.notAttached = false;
});

test('the snapshot is shown, newest first, with the health beside it', async () => {
  await waitForState(page, 'live');
  await held();
  await page.waitForSelector('tr[data-key]');
  const options = await page.locator('#view option').allTextContents();
  assert.deepEqual(
    options,
    [accounts, mints].flatMap((id) => ['list', 'state', 'append'].map((mode) => id.replace('list', mode))),
  );
  assert.equal(await page.locator('table').getAttribute('data-view'), accounts);
  await waitForText(field('lag'), '1');
  await waitForText(field('sessions'), '1');
  await waitForText(field('gaps'), '0');
  await waitForText(field('state'), 'live');
  await waitForText(field('updates_per_second'), '0');
  await waitForText(field('entities'), '140');
  assert.equal(await field('stack').getAttribute('data-value'), 'SplStream');
  await waitForText(field('heard'), '—');
  assert.match(await field('lag_seconds').textContent(), /^block time \d+\.\d s ago$/);
  await waitUntil(async () => {
    server.nextSlot(); // it is just now for two seconds only
    return (await field('heard').textContent()) === 'just now';
  }, 'a slot was heard just now');
  assert.equal(await topKey(), Object.keys(server.entities[accounts]).at(-1));
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
  await held();
  await waitUntil(async () => (await topKey()) === 'new<b>key</b>', 'the newest row is on top');
  assert.equal(await rowOf(c).count(), 0);
  assert.equal(await page.locator('tbody b, tbody img').count(), 0, 'keys and values are text');
  const marks = page.locator('.fresh, .recent');
  await waitUntil(async () => (await marks.count()) === 0, 'marks are taken away, although nothing happens');
  await page.evaluate(() => {
    window.marked_ = new Set();
    new MutationObserver((records) => {
      for (const { target } of records) if (target.classList.contains('fresh')) window.marked_.add(target.cellIndex);
    }).observe(document.querySelector('tbody.rows'), { subtree: true, attributeFilter: ['class'] });
  });
  server.transfer(accounts, a);
  await waitUntil(async () => (await topKey()) === a, 'the changed row is on top');
  await waitUntil(async () => (await marks.count()) === 0, 'the marks are taken away');
  assert.equal(await page.evaluate(() => window.marked_.size), 3, 'the cells that changed were marked, and no others');
});

test('gaps, faults, a rewind and an ailing stream are said', async () => {
  const fault = {
    entity: 'TokenMint',
    handler: 'transfer',
    reason: 'sum over a non-number',
    count: 1234,
    sample_slot: 398210041,
    sample: '',
  };
  server.statusExtra = {
    gaps: [
      { from: 398210000, to: 398210002, cause: 'the archive was off' },
      { from: 398210039, to: 398210056, cause: 'the provider cannot replay' },
    ],
    unsupported_views: [{ view: 'TokenMint/top', reason: 'derived views are not built' }],
    error_count: 1234,
    faults: [fault],
    stream: {
      state: 'waiting to reconnect',
      proven: false,
      error: 'UNAVAILABLE: connection refused',
      from_slot: 1,
      reconnects: 2,
    },
    rewind: {
      requested_slot: 398210000,
      generation: 2,
      from_slot: 100,
      slot: 150,
      target_slot: 200,
      state: 'filling',
      error: '',
    },
    lag_slots: null,
  };
  await waitForText(field('gaps'), '2');
  await waitForText(field('faults'), '1,234');
  await waitForText(field('lag'), '—');
  await waitForText(field('state'), 'waiting to reconnect');
  assert.equal(await page.locator('#notices li').count(), 4);
  await page.locator('#gaps summary').click();
  assert.deepEqual(await page.locator('#gaps li').allTextContents(), [
    'slots 398210040 to 398210055 (the provider cannot replay)',
    'slot 398210001 (the archive was off)',
  ]);
  for (const width of [400, 700, 910, 1100, 1460, 1600]) {
    await page.setViewportSize({ width, height: 1000 });
    const cut = await page
      .locator('#health dd')
      .evaluateAll((all) => all.filter((dd) => dd.scrollWidth > dd.clientWidth).map((dd) => dd.textContent));
    assert.deepEqual(cut, [], `values that are cut at a width of ${width}`);
  }
  if (shots) await takeShots(page, shots, 'ailing');
  server.statusExtra = {};
  await waitUntil(async () => (await page.locator('#notices li').count()) === 0, 'the notices are gone');
  assert.ok(await page.locator('#gaps').isHidden());
  await wide();
});

test('a rewind replaces the rows', async () => {
  const rows = structuredClone(server.entities[accounts]);
  for (const key of Object.keys(rows).slice(0, 70)) delete rows[key];
  rows.other = { id: { address: 'other' } };
  server.rewind(accounts, rows);
  await held();
  await waitForState(page, 'live');
  server.transfer();
  await held();
});

test('the server goes away and comes back with other rows', async () => {
  assert.deepEqual(
    opened.refusals.filter((refusal) => !/ 503 .*\/status\)$/.test(refusal)),
    [],
  );
  // The next try ends otherwise, and what is said then is something else.
  await page.evaluate(() => {
    const connection = document.querySelector('.connection');
    window.said_ = [];
    new MutationObserver(() => window.said_.push(connection.textContent)).observe(connection, {
      subtree: true,
      childList: true,
      characterData: true,
    });
  });
  await server.goAway(1013, 'too slow');
  await waitForState(page, 'waiting');
  const why = /^Reconnecting: closed by the server, code 1013: too slow\. Try \d+ in \d+ sTry now$/;
  await waitUntil(async () => (await page.evaluate(() => window.said_)).some((text) => why.test(text)), 'it says why');
  await waitUntil(() => page.locator('#retry').isVisible(), 'another try is offered');
  await waitUntil(async () => (await page.locator('body.stale').count()) === 1, 'the numbers are marked as old');
  assert.ok((await page.evaluate(() => window.everstate.rows())) > 50, 'the rows stay to be read');
  assert.match(await page.locator('#summary').textContent(), / · — changes\/s · /);
  if (shots) await takeShots(page, shots, 'away');
  await wide();
  const [a, b] = Object.keys(server.entities[accounts]);
  delete server.entities[accounts][a];
  server.entities[accounts][b].state = { amount: 1 };
  await server.start();
  await page
    .locator('#retry')
    .click({ timeout: 2000 })
    .catch(() => {}); // it may have come back by itself
  await waitForState(page, 'live');
  await held();
  await waitUntil(async () => (await page.locator('body.stale').count()) === 0, 'the numbers are new');
  server.transfer();
  await held();
});

test('another view, kept in the address', async () => {
  await chooseView(mints);
  await waitForEntities(page, server.entities[mints]);
  await waitUntil(async () => (await rowsShown()) === 6, 'its rows are shown');
  if (shots) await takeShots(page, shots, 'mints');
  await wide();
  server.transfer(accounts); // is not ours any more
  await page.reload();
  await waitForState(page, 'live');
  assert.equal(await page.locator('table').getAttribute('data-view'), mints);
  await chooseView('TokenAccount/append');
  await held();
});

test('a view that the server refuses', async () => {
  const refused = { id: 'No/list', entity: 'No', mode: 'list' };
  server.statusExtra = { views: [{ id: accounts, entity: 'TokenAccount', mode: 'list' }, refused] };
  await waitUntil(async () => (await page.locator('#view option').count()) === 2, 'the view is listed');
  await page.locator('#view').selectOption(refused.id);
  await waitForText(page.locator('#connection-text'), 'Refused');
  await waitForText(page.locator('#summary'), '— rows · — changes/s');
  assert.deepEqual(await page.locator('#notices li').allTextContents(), [
    'View No/list: There is no view "No/list".',
  ]);
  server.statusExtra = {};
  await waitForView(accounts); // of those that there are now
  await waitForText(page.locator('#connection-text'), 'Connected');
  assert.equal(await page.locator('#notices li').count(), 0);
});

test('a State view follows one entity', async () => {
  await chooseView('TokenAccount/state');
  await waitUntil(
    async () => /^A State view follows one entity/.test(await page.locator('#empty').textContent()),
    'a key is asked for',
  );
  const key = keyAt(3);
  await page.locator('#search').fill(key);
  await page.keyboard.press('Enter');
  await waitForEntities(page, { [key]: server.entities[accounts][key] });
  server.transfer(accounts, key);
  server.transfer(accounts, keyAt(4));
  await waitForEntities(page, { [key]: server.entities[accounts][key] });
  await page.reload();
  await waitForEntities(page, { [key]: server.entities[accounts][key] });
  await page.locator('#search').fill('no such key');
  await page.keyboard.press('Enter');
  await waitForText(page.locator('#empty'), 'There is no entity with this key yet.');
  await chooseView(accounts);
  await rowOf(key).click();
  await page.locator('#detail-alone').click();
  await waitForEntities(page, { [key]: server.entities[accounts][key] });
  assert.equal(await page.locator('#view').inputValue(), 'TokenAccount/state');
  await chooseView(accounts);
});

test('1,000 changes a second of 5,000 rows', async (t) => {
  for (let i = 0; i < 5000; i++) {
    const key = `row${String(i).padStart(5, '0')}`;
    server.entities[accounts][key] = {
      id: { address: `row${i}` },
      state: { amount: i },
      transfers: [],
      _seq: `1:${String(i).padStart(12, '0')}`,
    };
  }
  server.rewind(accounts, server.entities[accounts]);
  await held();
  await page.evaluate(() => {
    window.frames_ = [];
    window.draws_ = window.writesMax_ = window.rowsMax_ = 0;
    const note = (now) => {
      window.frames_.push(now);
      window.rowsMax_ = Math.max(window.rowsMax_, document.querySelectorAll('tbody.rows tr').length);
      requestAnimationFrame(note);
    };
    requestAnimationFrame(note);
    // Called once after each drawing, with everything that it wrote.
    new MutationObserver((records) => {
      window.draws_++;
      window.writesMax_ = Math.max(window.writesMax_, records.length);
    }).observe(document.getElementById('table'), {
      subtree: true,
      childList: true,
      attributes: true,
      characterData: true,
    });
  });
  const thread = await mainThread();
  const keys = Object.keys(server.entities[accounts]);
  const started = Date.now();
  let sent = 0;
  for (let tick = 1; tick <= 160; tick++) {
    for (; sent < tick * 50; sent++) server.transfer(accounts, keys[server.random(keys.length)]);
    if (tick % 8 === 0) server.nextSlot();
    if (tick === 60) await scrollTo(50_000);
    if (tick === 90) await scrollTo(0);
    if (tick === 110) await page.locator('thead button[data-column="state.amount"]').click();
    if (tick === 140 && shots) await takeShots(page, shots, 'busy');
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, started + tick * 50 - Date.now())));
  }
  const seconds = (Date.now() - started) / 1000;
  const busy = await thread.busy();
  const { frames, draws, writesMax, rowsMax, columns, elements } = await page.evaluate(() => ({
    frames: window.frames_,
    draws: window.draws_,
    writesMax: window.writesMax_,
    rowsMax: window.rowsMax_,
    columns: document.querySelectorAll('colgroup col').length,
    elements: document.querySelectorAll('*').length,
  }));
  const gaps = frames.slice(1).map((time, i) => time - frames[i]);
  gaps.sort((x, y) => x - y);
  const at = (part) => Math.round(gaps[Math.floor((gaps.length - 1) * part)]);
  t.diagnostic(
    `${Math.round(sent / seconds)} changes/s for ${seconds.toFixed(1)} s; main thread busy ${busy}; animation frames: ` +
      `${gaps.length}, median ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms; ${draws} drawings, at most ` +
      `${writesMax} writes in one; in the document at most ${rowsMax} rows of ${columns} columns, now ${elements} elements`,
  );
  await held();
  assert.ok(rowsMax > 10 && rowsMax <= 60, `${rowsMax} rows in the document`);
  assert.ok(elements < 1500, `${elements} elements in the document`);
  // What a drawing costs depends on what is in sight, not on how much there is or changes. A cell that changes is written at most
  // so often: its text, its tip, and its classes; more when a column becomes wider or the order another.
  assert.ok(writesMax <= 6 * rowsMax * columns, `${writesMax} writes for ${rowsMax} rows of ${columns} columns`);
  assert.ok(draws <= seconds * 10 + 30, `${draws} drawings in ${seconds} s`);
  await page.locator('#newest').click();
  await waitUntil(
    async () =>
      (await page.locator('table').getAttribute('aria-rowcount')) ===
      String(Object.keys(server.entities[accounts]).length + 2),
    'all rows are listed',
  );
  await scrollTo(1e7);
  await waitUntil(async () => {
    const index = await page.locator('tbody.rows tr').last().getAttribute('aria-rowindex');
    return index === String(Object.keys(server.entities[accounts]).length + 2);
  }, 'the last row was scrolled to');
});

test('a view with more rows than the page keeps', async () => {
  const big = 'Big/list';
  server.entities[big] = {};
  for (let i = 0; i < 25_000; i++) {
    server.entities[big][`k${i}`] = { n: i, _seq: `${1000 + (i % 5000)}:${String(i).padStart(12, '0')}` };
  }
  await waitUntil(async () => (await page.locator(`#view option[value="${big}"]`).count()) === 1, 'the view is known');
  await chooseView(big);
  assert.equal(await page.evaluate(() => window.everstate.rows()), 20_000);
  await waitUntil(
    async () => /these are the 20,000 newest/.test(await page.locator('#limit').textContent()),
    'it is said',
  );
  const { k0 } = server.entities[big];
  assert.equal(await page.evaluate(() => window.everstate.entities().k0), undefined);
  k0._seq = server.send(big, 'patch', 'k0', { m: 1 });
  await waitUntil(async () => (await topKey()) === 'k0', 'what changes comes back');
  assert.deepEqual(await page.locator('thead button').allTextContents(), ['Key', 'Changed in slot', 'm', 'n']);
  assert.match(await rowOf('k0').getAttribute('class'), /partial/);
  assert.equal(await page.evaluate(() => window.everstate.rows()), 20_000);
  if (shots) await takeShots(page, shots, 'limit');
  await chooseView(mints);
  await waitUntil(() => page.locator('#limit').isHidden(), 'nothing is left out');
});

test('the console has no error', () => {
  assert.deepEqual(opened.errors, []);
});
