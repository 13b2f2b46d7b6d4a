// The page of a running server, in a browser.
//
//   node page_test.mjs URL [EXPECTED.jsonl] [--view VIEW [--key KEY]] [--shots FOLDER] [--seconds N] [--interrupted]
//
// Waits until the page is live and has rows; with EXPECTED.jsonl, lines {"key","seq","data"} as `everstate inspect` writes
// them, until it holds exactly those entities. Exit 0, or 1 with what is wrong: also with any error on the console. A
// status of 503 is an answer, and no error; with --interrupted, a server that is away meanwhile is none either.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { parseArgs } from 'node:util';

import { openPage, takeShots, waitForEntities, waitForState } from './browser.mjs';

function readExpected(file) {
  const expected = {};
  for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
    if (line === '') continue;
    const { key, seq, data } = JSON.parse(line);
    if (seq !== undefined) assert.equal(data._seq, seq, `${file}: "seq" and "_seq" of ${key} differ`);
    expected[key] = data;
  }
  return expected;
}

const text = { type: 'string' };
const { values, positionals } = parseArgs({
  options: { view: text, key: text, shots: text, seconds: { ...text, default: '60' }, interrupted: { type: 'boolean' } },
  allowPositionals: true,
});
const [url, expectedFile] = positionals;
if (url === undefined) {
  process.stderr.write(
    'usage: page_test.mjs URL [EXPECTED.jsonl] [--view VIEW [--key KEY]] [--shots FOLDER] [--seconds N] [--interrupted]\n',
  );
  process.exit(2);
}

const expected = expectedFile === undefined ? undefined : readExpected(expectedFile);
const timeoutMs = 1000 * Number(values.seconds);
const target = new URL(url);
const { view, key } = values;
if (view !== undefined) target.hash = new URLSearchParams({ view, ...(key === undefined ? {} : { key }) });

const { page, errors, refusals, close } = await openPage(target.href);
try {
  await waitForState(page, 'live', timeoutMs);
  if (view !== undefined) assert.equal(await page.locator('table').getAttribute('data-view'), view);
  if (expected === undefined || Object.keys(expected).length > 0) {
    await page.waitForFunction(() => window.everstate.rows() > 0, undefined, { timeout: timeoutMs });
    await page.waitForSelector('tr[data-key]', { timeout: timeoutMs });
  }
  if (expected !== undefined) await waitForEntities(page, expected, timeoutMs);
  await page.waitForFunction(() => document.querySelector('[data-field="slot"]').dataset.value !== '', undefined, {
    timeout: timeoutMs,
  });
  if (values.shots !== undefined) await takeShots(page, values.shots);
  assert.deepEqual(errors, []);
  assert.deepEqual(
    refusals.filter((refusal) => !values.interrupted && !/ 503 .*\/status\)$/.test(refusal)),
    [],
  );
  process.stdout.write(`ok: ${await page.evaluate(() => window.everstate.rows())} rows\n`);
} catch (error) {
  process.stderr.write(
    `${error.message}\nconsole errors: ${JSON.stringify(errors)}\nrefused: ${JSON.stringify(refusals)}\n`,
  );
  process.exitCode = 1;
} finally {
  await close();
}
