// Joins the parts: health above, one live table below, one entity beside it.

import { Client } from './client.js';
import { Detail } from './detail.js';
import { Health } from './health.js';
import { Journal } from './journal.js';
import { Order } from './order.js';
import { Rate, SENTENCE_MAX } from './status.js';
import { EntityStore } from './store.js';
import { Table } from './table.js';
import { ageText, clip, counted, element, grouped, setText } from './text.js';
import { startTheme } from './theme.js';

const DRAW_GAP_MS = 100; // nobody reads faster
const DRAW_GAP_MS_MAX = 1000;
const TICK_MS = 500;
const SILENCE_MAX_MS = 10_000;

const $ = (id) => document.getElementById(id);
const base = new URL('.', location.href);
const socketUrl = new URL(base);
socketUrl.protocol = base.protocol === 'https:' ? 'wss:' : 'ws:';

const journal = new Journal();
const store = new EntityStore({
  onChange: (key, before, after) => journal.add({ key, before, after, at: Date.now() }),
});
const order = new Order();
const table = new Table($('scroller'), $('table'), { open: openDetail, sort: sortBy, active: activeChanged });
const detail = new Detail($('detail'), store, journal, detailClosed);
const client = new Client(socketUrl.href, { onFrame: takeFrame, onChange: showConnection });
const health = new Health($('stream'), new URL('status', base), takeStatus);

let followed = { id: '', mode: 'list', key: undefined };
let paused; // the rows as a pause found them; undefined: there is none
let changesAtPause = 0;
let changeRate = new Rate();
let lastChangeAt;
let rowsText = '';
let drawDue = false;
let drawnAt = -Infinity;
let drawGapMs = DRAW_GAP_MS;
let fadeTimer;

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
  if (paused === undefined) arrange();
  drawRows();
  if (paused === undefined) detail.draw();
  const fadeMs = table.fade();
  clearTimeout(fadeTimer);
  if (fadeMs !== undefined) fadeTimer = setTimeout(requestDraw, fadeMs);
  // A task after this frame sees what its layout and paint have cost, too.
  setTimeout(() => {
    drawGapMs = Math.min(DRAW_GAP_MS_MAX, Math.max(DRAW_GAP_MS, 3 * (performance.now() - drawnAt)));
  });
}

// Rows hold still while somebody reads further down, or is on one of them with the keyboard; and between press and release, so
// that a click means the row that was pressed.
function arrange() {
  const reading = $('scroller').scrollTop > 0 || (table.focused && table.activeKey !== undefined);
  order.update(store, watchedByKey() ? '' : $('search').value, reading || $('table').matches(':active'));
  $('held').hidden = !reading;
  $('table').hidden = order.rows.length === 0;
  $('empty').hidden = order.rows.length > 0;
  if (order.rows.length === 0) setText($('empty'), emptyText());
  summarise();
}

// A pause holds order and contents; scrolling goes on, and what has changed meanwhile is marked when it ends.
function drawRows() {
  table.render(paused ?? order.rows, order.sort, paused === undefined ? store.closeInterval() : undefined);
}

let scrolledAt = 0;
$('scroller').addEventListener(
  'scroll',
  () => {
    if (scrolledAt > 0) return;
    scrolledAt = requestAnimationFrame(() => {
      drawRows();
      scrolledAt = 0;
      requestDraw();
    });
  },
  { passive: true },
);

function emptyText() {
  if (store.size > 0) return 'No row contains this text.';
  if (watchedByKey() && !followed.key) return 'A State view follows one entity: type its key above and press Enter.';
  if (client.state !== 'live') return 'Waiting for the first rows.';
  return followed.key ? 'There is no entity with this key yet.' : 'This view has no rows yet.';
}

function summarise() {
  const parts = [store.size === 0 && client.state !== 'live' ? '— rows' : counted(store.size, 'row')];
  if (order.rows.length < store.size) parts.push(`${grouped.format(order.rows.length)} listed`);
  if (table.fieldsLeftOut > 0) parts.push(`${counted(table.fieldsLeftOut, 'more field')} in each entity`);
  rowsText = parts.join(' · ');
  $('limit').hidden = store.leftOut === 0;
  setText(
    $('limit'),
    `This view has more rows than the page keeps: these are the ${grouped.format(store.size)} newest. ` +
      'A key in italics was let go and came back with the fields that changed since.',
  );
  showActivity();
}

function showActivity() {
  const rate = client.state === 'live' ? changeRate.perSecond() : undefined;
  const parts = rowsText === '' ? [] : [rowsText];
  if (paused !== undefined) parts.push(`paused, ${counted(store.changes - changesAtPause, 'change')} since`);
  else parts.push(`${rate === undefined ? '—' : grouped.format(rate)} changes/s`);
  if (lastChangeAt !== undefined) parts.push(`last change ${ageText(performance.now() - lastChangeAt)}`);
  setText($('summary'), parts.join(' · '));
}

// ---- the view

function watchedByKey() {
  return followed.mode === 'state';
}

function takeFrame(frame) {
  const changesBefore = store.changes;
  store.apply(frame);
  if (store.changes !== changesBefore) lastChangeAt = performance.now();
  requestDraw();
}

function addressOf({ id }, key) {
  return `#${new URLSearchParams({ view: id, ...(key ? { key } : {}) })}`;
}

// The address says what is followed: Back, Forward and links work.
function goTo(view, key) {
  location.hash = addressOf(view, key);
}

// What the address does not say, or says of another stack, is chosen here.
function followAddress() {
  const views = health.status.views ?? [];
  if (views.length === 0) return;
  const place = new URLSearchParams(location.hash.slice(1));
  const named = views.find(({ id }) => id === place.get('view'));
  const view = named ?? views.find(({ mode }) => mode === 'list') ?? views[0];
  const key = (named && place.get('key')) || undefined;
  if (view.id !== followed.id || key !== followed.key) follow(view, key);
}

function follow({ id, mode }, key) {
  followed = { id, mode, key };
  history.replaceState(null, '', addressOf(followed, key));
  $('view').value = id;
  $('search').value = key ?? '';
  $('search').placeholder = watchedByKey() ? 'Key of one entity, then Enter' : 'Search keys and cells';
  setText($('search-label'), watchedByKey() ? 'Key' : 'Search');
  $('newest').hidden = $('pause').hidden = watchedByKey();
  detail.close();
  lastChangeAt = undefined;
  changeRate = new Rate();
  store.clear();
  journal.clear();
  order.rows = [];
  order.sort = null;
  showSort();
  table.reset(id);
  setPaused(false);
  client.follow(id, key);
}

function takeStatus() {
  const views = health.status.views ?? [];
  const ids = views.map(({ id }) => id);
  const known = [...$('view').options].map((option) => option.value);
  if (views.length > 0 && ids.join('\n') !== known.join('\n')) {
    const groups = Map.groupBy(views, ({ entity }) => entity);
    $('view').replaceChildren(
      ...[...groups].map(([label, of]) =>
        element('optgroup', { label: clip(label) }, ...of.map(({ id }) => new Option(clip(id), id))),
      ),
    );
    $('view').disabled = false;
    followAddress();
    $('view').value = followed.id;
  }
  const stack = document.querySelector('[data-field="stack"]');
  stack.title = stack.dataset.value = health.status.stack?.name ?? '';
  setText(stack, stack.dataset.value || '—');
  if (health.failingMs() > SILENCE_MAX_MS && performance.now() - client.heardAt > SILENCE_MAX_MS) {
    client.giveUp('the server does not answer any more');
  }
  showNotices();
}

function showNotices() {
  const refused = client.problem && client.state !== 'waiting';
  health.showNotices(refused ? [clip(`View ${followed.id}: ${client.problem}`, SENTENCE_MAX)] : []);
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
  if (client.state === 'live') return 'Connected'; // to this server; how its stream is, the health says
  if (client.state === 'waiting') return `Reconnecting: ${clip(client.problem)}.`;
  if (client.problem) return 'Refused'; // which view, and why, stands among the notices
  return store.loading ? 'Reading the snapshot…' : 'Connecting…';
}

// Beside the text, not in it: a screen reader says each change of that.
function showCountdown() {
  const seconds = Math.max(0, Math.ceil((client.retryAt - performance.now()) / 1000));
  setText($('countdown'), client.state === 'waiting' ? `Try ${client.attempt} in ${seconds} s` : '');
}

// ---- one entity

// Enter on a row that is open goes on into its entity.
function openDetail(key, byKeyboard = false) {
  if (byKeyboard && detail.key === key) {
    detail.focus();
    return;
  }
  detail.open(key);
  table.markOpen(key);
  $('detail-alone').hidden = watchedByKey() || stateViewOf(followed.id) === undefined;
}

// A detail beside the table follows the keyboard.
function activeChanged(key) {
  if (detail.key !== undefined && detail.key !== key) openDetail(key);
}

function detailClosed() {
  table.markOpen(undefined);
  if (!$('table').hidden) table.focus();
}

function stateViewOf(id) {
  const views = health.status.views ?? [];
  const entity = views.find((view) => view.id === id)?.entity;
  return views.find((view) => view.entity === entity && view.mode === 'state');
}

$('detail-alone').addEventListener('click', () => goTo(stateViewOf(followed.id), detail.key));

// ---- controls

function sortBy(column) {
  const first = column.numeric; // numbers begin with the largest
  const { sort } = order;
  if (sort?.column.id !== column.id) order.sort = { column, descending: first };
  else order.sort = sort.descending === first ? { column, descending: !first } : null;
  showSort();
}

function showSort() {
  $('newest').setAttribute('aria-pressed', String(order.sort === null));
  toTop();
}

function toTop() {
  $('scroller').scrollTo(0, 0);
  table.activeKey = undefined;
  if (paused !== undefined) setPaused(false);
  requestDraw();
}

function setPaused(on) {
  if (on) draw(); // what stays to be read is the present
  paused = on ? order.rows.map((row) => ({ ...row })) : undefined;
  changesAtPause = store.changes;
  $('pause').setAttribute('aria-pressed', String(on));
  setText($('pause'), on ? 'Resume' : 'Pause');
  showActivity();
  requestDraw();
}

$('view').addEventListener('change', () => {
  const view = health.status.views.find(({ id }) => id === $('view').value);
  // A State view goes on with the entity that was looked at.
  goTo(view, view.mode === 'state' ? (detail.key ?? followed.key) : undefined);
});
$('search').addEventListener('input', () => {
  if (!watchedByKey()) toTop();
});
$('controls').addEventListener('submit', (event) => {
  event.preventDefault();
  if (watchedByKey()) goTo(followed, $('search').value.trim());
  else table.focus();
});
$('newest').addEventListener('click', () => {
  order.sort = null;
  showSort();
});
$('held').addEventListener('click', toTop);
$('pause').addEventListener('click', () => setPaused(paused === undefined));
$('retry').addEventListener('click', () => client.retryNow());
window.addEventListener('online', () => client.retryNow());
window.addEventListener('resize', requestDraw);
window.addEventListener('hashchange', followAddress);
// What waited for a click or a selection is drawn.
document.addEventListener('pointerup', requestDraw);
document.addEventListener('selectionchange', requestDraw);
document.addEventListener('keydown', (event) => {
  const typing = event.target.closest('input, select') !== null;
  if (event.key === 'Escape' && !event.defaultPrevented && detail.key !== undefined) {
    event.preventDefault();
    detail.close();
  } else if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    detail.closeOver();
    $('search').focus();
    $('search').select();
  }
});

startTheme($('theme'));
setInterval(() => {
  changeRate.add(store.changes, performance.now());
  health.showAge();
  showActivity();
  showCountdown();
}, TICK_MS);

health.run();
