// What the server says of itself: GET status once a second, shown as tiles and notices.

import { ageText, setText } from './text.js';

const POLL_MS = 1000;
const FETCH_TIMEOUT_MS = 5000;
const RATE_WINDOW_MS = 5000;
const STALE_MS = 5000;
const LISTED_MAX = 3; // gaps and faults in the notices; the rest is counted

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

// A counter's growth per second over the last few readings; undefined until there are two, and after a restart of what
// counts.
export class Rate {
  #readings = [];

  add(count, nowMs) {
    if (!Number.isFinite(count) || count < this.#readings.at(-1)?.count) this.#readings = [];
    if (!Number.isFinite(count)) return;
    this.#readings.push({ count, nowMs });
    while (nowMs - this.#readings[0].nowMs > RATE_WINDOW_MS && this.#readings.length > 2) this.#readings.shift();
  }

  perSecond() {
    const first = this.#readings[0];
    const last = this.#readings.at(-1);
    if (first === undefined || last.nowMs === first.nowMs) return undefined;
    return ((last.count - first.count) * 1000) / (last.nowMs - first.nowMs);
  }
}

const TILES = [
  { field: 'state', label: 'Stream', value: (s) => s.stream?.state, unit: (s) => proofText(s.stream) },
  // A slot is a name more than a quantity: it stays ungrouped, as people paste it.
  { field: 'slot', label: 'Slot', value: (s) => s.watermark?.slot, unit: () => 'slot applied last', plain: true },
  { field: 'lag', label: 'Lag', value: (s) => s.lag_slots, unit: () => 'slots behind newest' },
  {
    field: 'updates_per_second',
    label: 'Updates',
    value: (s, rate) => rate.perSecond(),
    unit: () => 'updates/s, 5 s mean',
  },
  { field: 'sessions', label: 'Sessions', value: (s) => s.fanout?.sessions, unit: () => 'open sessions' },
  { field: 'gaps', label: 'Gaps', value: (s) => s.gaps?.length, unit: () => 'gaps in this store' },
  { field: 'entities', label: 'Entities', value: (s) => s.store?.entities_estimate, unit: () => 'entities, estimated' },
  {
    field: 'faults',
    label: 'Faults',
    value: (s) => (s.faults === undefined ? undefined : s.error_count),
    unit: () => 'skipped operations',
  },
];

function proofText(stream) {
  if (stream === undefined) return 'state';
  return stream.proven ? 'chain proven' : 'chain not proven yet';
}

function listed(items, format, what) {
  const lines = items.slice(0, LISTED_MAX).map(format);
  if (items.length > LISTED_MAX) lines.push(`${grouped.format(items.length - LISTED_MAX)} more ${what}.`);
  return lines;
}

// One sentence for each reason: a stack may have many such views.
function unservedViews(views) {
  const byReason = new Map();
  for (const { view, reason } of views) byReason.set(reason, [...(byReason.get(reason) ?? []), view]);
  return [...byReason].map(([reason, names]) => `Not served: ${names.join(', ')} (${reason}).`);
}

// The sentences of a status that somebody should read.
export function noticesOf(status) {
  const gaps = [...(status.gaps ?? [])].reverse();
  return [
    ...(status.stream?.error ? [`Stream: ${status.stream.error}`] : []),
    ...listed(gaps, (gap) => `Gap: slots ${gap.from} to ${gap.to} are missing (${gap.cause}).`, 'gaps'),
    ...listed(
      status.faults ?? [],
      (f) =>
        `Fault: ${f.entity} ${f.handler}: ${f.reason}, ${grouped.format(f.count)} times, first kept at slot ${f.sample_slot}.`,
      'kinds of faults',
    ),
    ...unservedViews(status.unsupported_views ?? []),
  ];
}

export class Health {
  #url;
  #onStatus;
  #tiles = [];
  #rate = new Rate();
  #receivedAt;
  #failingSince;
  #problem = '';

  status = {}; // the last one read; empty until then

  constructor(list, url, onStatus) {
    this.#url = url;
    this.#onStatus = onStatus;
    for (const tile of TILES) this.#tiles.push({ ...tile, ...addTile(list, tile) });
  }

  get problem() {
    return this.#problem;
  }
  failingMs() {
    return this.#failingSince === undefined ? 0 : performance.now() - this.#failingSince;
  }

  async run() {
    for (;;) {
      await this.#poll();
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async #poll() {
    try {
      // A server that is not ready says so with 503 and the same JSON.
      const response = await fetch(this.#url, { cache: 'no-store', signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
      if (!(response.headers.get('content-type') ?? '').includes('json')) throw new Error(`HTTP ${response.status}`);
      this.status = await response.json();
      this.#receivedAt = performance.now();
      this.#failingSince = undefined;
      this.#problem = '';
      this.#rate.add(this.status.projector?.updates, this.#receivedAt);
    } catch (error) {
      this.#failingSince ??= performance.now();
      this.#problem = `The server's status cannot be read (${error.message}).`;
    }
    this.#showValues();
    this.showAges();
    this.#onStatus();
  }

  #showValues() {
    for (const tile of this.#tiles) {
      const value = tile.value(this.status, this.#rate);
      const known = value !== undefined && value !== null && value !== '';
      setText(
        tile.valueNode,
        !known ? '—' : typeof value === 'number' && !tile.plain ? grouped.format(value) : String(value),
      );
      tile.valueNode.dataset.value = known ? value : '';
      setText(tile.unitNode, tile.unit(this.status));
    }
  }

  showAges() {
    const age = this.#receivedAt === undefined ? undefined : performance.now() - this.#receivedAt;
    for (const tile of this.#tiles) {
      const known = tile.valueNode.dataset.value !== '' && age !== undefined;
      setText(tile.ageNode, known ? ageText(age) : 'unknown');
      tile.node.classList.toggle('stale', known && age > STALE_MS);
    }
  }
}

function addTile(list, { field, label }) {
  const node = document.createElement('div');
  const make = (tag, className) => {
    const child = document.createElement(tag);
    child.className = className;
    return child;
  };
  const term = make('dt', 'label');
  term.textContent = label;
  const valueNode = make('dd', 'value');
  valueNode.dataset.field = field;
  valueNode.dataset.value = '';
  valueNode.textContent = '—';
  const unitNode = make('dd', 'unit');
  const ageNode = make('dd', 'age');
  node.append(term, ageNode, valueNode, unitNode);
  list.append(node);
  return { node, valueNode, unitNode, ageNode };
}
