// Joins the parts: health above, one live table below, one entity in a drawer.

import { Client } from './client.js';
import { Health, Rate, noticesOf } from './health.js';
import { EntityStore } from './store.js';
import { Table } from './table.js';
import { ageText, prettyJson, setText } from './text.js';

const ROWS_MAX = 200; // in the document
const ROW_PX_MIN = 24;
const DRAW_GAP_MS = 100; // nobody reads faster
const DRAW_GAP_MS_MAX = 1000;
const TICK_MS = 500;
const SILENCE_MAX_MS = 10_000;

const $ = (id) => document.getElementById(id);
const base = new URL('.', location.href);
const socketUrl = new URL(base);
socketUrl.protocol = base.protocol === 'https:' ? 'wss:' : 'ws:';

const store = new EntityStore();
const table = new Table($('table'), openDetail);
const changeRate = new Rate();
const client = new Client(socketUrl.href, { onFrame: takeFrame, onChange: showConnection });
const health = new Health($('health'), new URL('status', base), takeStatus);

let view = '';
let paused = false;
let changesAtPause = 0;
let lastChangeAt;
let openKey; // of the entity in the drawer
let drawDue = false;
let drawnAt = -Infinity;
let drawGapMs = DRAW_GAP_MS;

window.everstate = { rows: () => store.size, entities: () => store.entities(), state: () => client.state };

// ---- drawing: at most once an animation frame, not more often than DRAW_GAP_MS, and never more than a third of the time

function requestDraw() {
  if (drawDue) return;
  drawDue = true;
  setTimeout(() => requestAnimationFrame(draw), Math.max(0, drawnAt + drawGapMs - performance.now()));
}

function draw() {
  drawDue = false;
  drawnAt = performance.now();
  if (!paused) drawTable();
  drawDetail();
  // A task after this frame sees what its layout and paint have cost, too.
  setTimeout(() => {
    drawGapMs = Math.min(DRAW_GAP_MS_MAX, Math.max(DRAW_GAP_MS, 3 * (performance.now() - drawnAt)));
  });
}

// Rows for what is scrolled into sight and a window more.
function rowsWanted() {
  const { scrollTop, clientHeight } = $('scroller');
  return Math.min(ROWS_MAX, Math.ceil((scrollTop + 2 * clientHeight) / ROW_PX_MIN));
}

function drawTable() {
  const { rows, matches } = store.newest(rowsWanted(), $('search').value);
  table.render(rows);
  $('table').hidden = rows.length === 0;
  $('empty').hidden = rows.length > 0;
  if (rows.length === 0) setText($('empty'), emptyText());
  summarise(matches);
}

function emptyText() {
  if (store.size > 0) return 'No key contains this text.';
  return client.state === 'live' ? 'This view has no rows yet.' : 'Waiting for the first rows.';
}

function summarise(matches) {
  const number = new Intl.NumberFormat('en-US');
  const parts = [`${number.format(store.size)} rows`];
  if (matches !== store.size) parts.push(`${number.format(matches)} match`);
  if (matches > ROWS_MAX) parts.push(`newest ${ROWS_MAX} listed`);
  if (table.fieldsLeftOut > 0) parts.push(`${table.fieldsLeftOut} more fields in each entity`);
  $('summary').dataset.rows = parts.join(' · ');
  showActivity();
}

function showActivity() {
  const parts = [];
  if ($('summary').dataset.rows) parts.push($('summary').dataset.rows);
  if (paused) {
    parts.push(`paused, ${store.changes - changesAtPause} changes since`);
  } else {
    const rate = changeRate.perSecond();
    parts.push(`${rate === undefined ? '—' : Math.round(rate).toLocaleString('en-US')} changes/s`);
  }
  if (lastChangeAt !== undefined) parts.push(`last change ${ageText(performance.now() - lastChangeAt)}`);
  setText($('summary'), parts.join(' · '));
}

// ---- the view

function takeFrame(frame) {
  const changesBefore = store.changes;
  store.apply(frame);
  if (store.changes !== changesBefore) lastChangeAt = performance.now();
  requestDraw();
}

function follow(next) {
  view = next;
  history.replaceState(null, '', `#view=${encodeURIComponent(view)}`);
  setPaused(false);
  lastChangeAt = undefined;
  store.clear();
  table.reset(view);
  client.follow(view);
  requestDraw();
}

function takeStatus() {
  const lists = (health.status.views ?? []).filter((candidate) => candidate.mode === 'list').map(({ id }) => id);
  const select = $('view');
  const known = [...select.options].map((option) => option.value);
  if (lists.length > 0 && lists.join('\n') !== known.join('\n')) {
    select.replaceChildren(...lists.map((id) => new Option(id, id)));
    select.disabled = false;
    const wanted = view || new URLSearchParams(location.hash.slice(1)).get('view');
    select.value = lists.includes(wanted) ? wanted : lists[0];
    if (select.value !== view) follow(select.value);
  }
  setText(document.querySelector('[data-field="stack"]'), health.status.stack?.name ?? '—');
  if (health.failingMs() > SILENCE_MAX_MS && performance.now() - client.heardAt > SILENCE_MAX_MS) {
    client.giveUp('the server does not answer any more');
  }
  showNotices();
}

function showNotices() {
  const notices = noticesOf(health.status);
  if (health.problem) notices.unshift(health.problem);
  if (client.problem && client.state !== 'waiting') notices.unshift(`View ${view}: ${client.problem}`);
  const list = $('notices');
  const shown = [...list.children].map((item) => item.textContent);
  if (shown.join('\n') === notices.join('\n')) return;
  list.replaceChildren(
    ...notices.map((notice) => Object.assign(document.createElement('li'), { textContent: notice })),
  );
}

// ---- the connection

function showConnection() {
  document.body.dataset.connection = client.state;
  $('retry').hidden = client.state !== 'waiting';
  setText($('connection-text'), connectionText());
  showCountdown();
  showNotices();
  requestDraw();
}

function connectionText() {
  if (client.state === 'live') return 'Live';
  if (client.state === 'connecting') return store.loading ? 'Reading the snapshot…' : 'Connecting…';
  return `Not connected: ${client.problem}.`;
}

// Beside the text, not in it: a screen reader says each change of that.
function showCountdown() {
  const seconds = Math.max(0, Math.ceil((client.retryAt - performance.now()) / 1000));
  setText($('countdown'), client.state === 'waiting' ? `Try ${client.attempt} in ${seconds} s` : '');
}

// ---- one entity

function openDetail(key) {
  openKey = key;
  setText($('detail-key'), key);
  $('detail-json').textContent = '';
  $('detail').showModal();
  drawDetail();
}

function drawDetail() {
  if (openKey === undefined) return;
  const row = store.get(openKey);
  const note =
    row === undefined ? 'This entity is gone; what it last was is below.' : `Cursor ${row.data?._seq ?? '—'}`;
  setText($('detail-note'), note);
  const selected = !getSelection().isCollapsed; // a change would take the selection away
  if (row !== undefined && !selected) setText($('detail-json'), prettyJson(row.data));
}

$('detail').addEventListener('close', () => {
  const key = openKey;
  openKey = undefined;
  if (!table.focusRow(key)) $('search').focus();
});
$('detail').addEventListener('click', (event) => {
  if (event.target === $('detail')) $('detail').close(); // beside the drawer
});

// ---- controls

function setPaused(on) {
  if (on) drawTable(); // what stays to be read is the present, with no drawing owed
  paused = on;
  changesAtPause = store.changes;
  $('pause').setAttribute('aria-pressed', String(on));
  setText($('pause'), on ? 'Resume' : 'Pause');
  requestDraw();
}

$('view').addEventListener('change', () => follow($('view').value));
$('search').addEventListener('input', () => {
  if (paused) setPaused(false);
  requestDraw();
});
$('controls').addEventListener('submit', (event) => event.preventDefault());
$('pause').addEventListener('click', () => setPaused(!paused));
$('scroller').addEventListener('scroll', requestDraw, { passive: true });
$('retry').addEventListener('click', () => client.retryNow());
window.addEventListener('online', () => client.retryNow());

setInterval(() => {
  changeRate.add(store.changes, performance.now());
  health.showAges();
  showActivity();
  showCountdown();
}, TICK_MS);

health.run();
