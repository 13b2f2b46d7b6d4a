// The page in a browser against the fake server, and what the scenarios ask of it. One scene a process: the tests of a file
// follow each other on the same page.
import assert from 'node:assert/strict';

import { openPage, waitForEntities, waitForState } from './browser.mjs';
import { FakePageServer } from './fake_page_server.mjs';

export const accounts = 'TokenAccount/list';
export const mints = 'TokenMint/list';
export const shots = process.env.TEST_SHOTS;

export const server = new FakePageServer();
export let opened;
export let page;

export async function begin() {
  await server.start();
  opened = await openPage(server.url);
  page = opened.page;
}

export async function end() {
  await opened?.close();
  await server.goAway();
}

export const wide = () => page.setViewportSize({ width: 1600, height: 1000 });
export const field = (name) => page.locator(`[data-field="${name}"]`);
export const rowOf = (key) => page.locator(`tr[data-key="${key}"]`);
export const rowsShown = () => page.locator('tbody.rows tr').count();
export const keysShown = () =>
  page.locator('tbody.rows tr').evaluateAll((rows) => rows.map((row) => row.dataset.key));
export const topKey = async () => (await keysShown())[0];
export const keyAt = (n) => Object.keys(server.entities[accounts])[n];
export const scrollTo = (top) => page.evaluate((to) => document.getElementById('scroller').scrollTo(0, to), top);
export const held = () => waitForEntities(page, server.entities[accounts]);

export async function waitUntil(condition, what) {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `waited in vain until ${what}`);
    await page.waitForTimeout(50);
  }
}

export const waitForText = (locator, text) =>
  waitUntil(async () => (await locator.textContent()) === text, `${locator} says ${text}`);

export async function waitForView(view) {
  await waitUntil(async () => (await page.locator('table').getAttribute('data-view')) === view, `${view} is shown`);
  await waitForState(page, 'live');
}

export async function chooseView(view) {
  await page.locator('#view').selectOption(view);
  await waitForView(view);
}
