// The page in Debian's Chromium, with what it complains about.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import { chromium } from './modules.mjs';

// Chromium writes to the console itself what the network refused; that is no error of the page.
const networkComplaint = /^(Failed to load resource|WebSocket connection to )/;

// Console errors and uncaught exceptions are in `errors`, refusals of the network in `refusals`.
export async function openPage(url, { width = 1600, height = 1000, colorScheme = 'light' } = {}) {
  const executablePath = process.env.TEST_CHROMIUM ?? '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  const page = await context.newPage();
  const errors = [];
  const refusals = [];
  page.on('console', (message) => {
    if (message.type() !== 'error') return;
    const place = message.location().url;
    (networkComplaint.test(message.text()) ? refusals : errors).push(`${message.text()} (${place})`);
  });
  page.on('pageerror', (error) => errors.push(`uncaught: ${error.stack ?? error.message}`));
  await page.goto(url);
  return { page, errors, refusals, close: () => browser.close() };
}

export async function waitForState(page, state, timeoutMs = 60_000) {
  await page.waitForFunction((wanted) => document.body.dataset.connection === wanted, state, { timeout: timeoutMs });
}

// As the page holds them, through JSON: nothing is left out on the way.
export async function entitiesOf(page) {
  return JSON.parse(await page.evaluate(() => JSON.stringify(window.everstate.entities())));
}

// Waits until the page holds exactly `expected`; the last difference is the error. Only that is spelled out: for thousands of
// rows it takes Node a minute.
export async function waitForEntities(page, expected, timeoutMs = 60_000) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const held = await entitiesOf(page);
    if (isDeepStrictEqual(held, expected)) return;
    if (Date.now() > deadline) assert.deepStrictEqual(held, expected);
    await page.waitForTimeout(250);
  }
}

export async function takeShots(page, folder, name = 'page') {
  fs.mkdirSync(folder, { recursive: true });
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [400, 1600]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 1000 });
      await page.waitForTimeout(300);
      await page.screenshot({ path: path.join(folder, `${name}-${width}-${colorScheme}.png`) });
    }
  }
}
