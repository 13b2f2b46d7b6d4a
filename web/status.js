// What a reading of /status says: the tiles' contents and the sentences that somebody should read. No DOM.

import { ageText, clip, counted, durationText, grouped } from './text.js';

const RATE_WINDOW_MS = 5000;
const LISTED_MAX = 3; // kinds of faults in the notices; the rest is counted
export const SENTENCE_MAX = 300; // characters; what is cut can be read whole in /status
const REWOUND_SLOTS = 150; // a minute of the chain: so long a rewind that has ended is news
const LAG_MAX_SLOTS = 50;
const RECORDED_MS = 3_600_000;
const QUIET_MS = 30_000; // a server that heard no slot for so long is not ready, either

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

const LEVELS = { live: 'good', stopped: 'bad' }; // every other state is on its way

// status: the reading; updates: a Rate; now: Unix time in ms. Each tile is {field, label, value,
// unit, note, level, noteField}; a value of undefined or null is unknown.
export function tilesOf(status, { updates, now }) {
  const { stream, watermark, fanout, store, gaps } = status;
  const heardMs = stream?.heard_ms_ago ?? undefined;
  const blockAgeMs = Number.isFinite(watermark?.block_time) ? now - 1000 * watermark.block_time : undefined;
  const lost = gaps?.reduce((sum, gap) => sum + slotsMissing(gap), 0);
  const faults = status.faults === undefined ? undefined : status.error_count;
  return [
    {
      field: 'state',
      label: 'Stream',
      value: stream?.state,
      note: proofText(stream),
      level: streamLevel(stream, heardMs),
    },
    // A slot is a name more than a quantity: it stays ungrouped, as people paste it.
    {
      field: 'slot',
      label: 'Slot',
      value: watermark?.slot,
      plain: true,
      note: `applied last · generation ${status.generation ?? '—'}`,
    },
    {
      field: 'lag',
      label: 'Lag',
      value: status.lag_slots,
      unit: status.lag_slots === 1 ? 'slot' : 'slots',
      note: blockAgeText(blockAgeMs, status.lag_slots),
      noteField: ['lag_seconds', blockAgeMs === undefined ? undefined : blockAgeMs / 1000],
      level: status.lag_slots > LAG_MAX_SLOTS ? 'busy' : undefined,
    },
    {
      field: 'heard',
      label: 'Last heard',
      value: heardMs === undefined ? undefined : ageText(heardMs),
      note: `newest slot ${status.newest_slot ?? '—'}`,
      level: heardMs > QUIET_MS ? 'busy' : undefined,
    },
    {
      field: 'updates_per_second',
      label: 'Updates',
      value: updates.perSecond(),
      unit: 'updates/s',
      note: 'mean of 5 s',
    },
    { field: 'entities', label: 'Entities', value: store?.entities_estimate, unit: 'entities', note: 'estimated' },
    {
      field: 'sessions',
      label: 'Sessions',
      value: fanout?.sessions,
      unit: fanout?.sessions === 1 ? 'session' : 'sessions',
      note: fanout?.subscriptions === undefined ? 'open now' : counted(fanout.subscriptions, 'subscription'),
    },
    {
      field: 'gaps',
      label: 'Gaps',
      value: gaps?.length,
      unit: gaps?.length === 1 ? 'gap' : 'gaps',
      note:
        gaps === undefined
          ? 'slots missing'
          : gaps.length === 0
            ? 'nothing is missing'
            : `${counted(lost, 'slot')} missing`,
      level: gaps?.length > 0 ? 'busy' : undefined,
    },
    {
      field: 'faults',
      label: 'Faults',
      value: faults,
      unit: faults === 1 ? 'fault' : 'faults',
      note: 'operations skipped',
      level: faults > 0 ? 'busy' : undefined,
    },
  ];
}

// Blocks that are old while no slot is missing come from a recording.
function blockAgeText(ageMs, lagSlots) {
  if (ageMs === undefined) return 'block time —';
  const recorded = ageMs > RECORDED_MS && lagSlots <= LAG_MAX_SLOTS;
  return `${recorded ? 'recorded' : 'block time'} ${durationText(ageMs)} ago`;
}

function proofText(stream) {
  if (stream === undefined) return 'state';
  return stream.proven ? 'chain proven' : 'chain not proven yet';
}

function streamLevel(stream, heardMs) {
  if (stream?.state === undefined) return undefined;
  return stream.state === 'live' && heardMs > QUIET_MS ? 'busy' : (LEVELS[stream.state] ?? 'busy');
}

// A gap is what is missing between two slots that are there.
function slotsMissing({ from, to }) {
  return Math.max(0, to - from - 1);
}

export function gapText(gap) {
  return clip(gapSentence(gap), SENTENCE_MAX);
}

function gapSentence({ from, to, cause }) {
  const missing = slotsMissing({ from, to });
  if (missing === 0) return `between slots ${from} and ${to} (${cause})`;
  return missing === 1 ? `slot ${from + 1} (${cause})` : `slots ${from + 1} to ${to - 1} (${cause})`;
}

// The sentences of a status that somebody should read.
export function noticesOf(status) {
  return [
    ...(status.stream?.error ? [`Stream: ${status.stream.error}`] : []),
    ...rewindNotice(status.rewind, status.watermark?.slot),
    ...(status.checkpoint_error ? [`The last checkpoint failed: ${status.checkpoint_error}`] : []),
    ...listed(status.faults ?? [], faultText, 'kinds of faults'),
    ...unservedViews(status.unsupported_views ?? []),
  ].map((sentence) => clip(sentence, SENTENCE_MAX));
}

function rewindNotice(rewind, slotNow) {
  if (!rewind) return [];
  const { requested_slot, generation, from_slot, slot, target_slot, state, error } = rewind;
  if (state === 'failed')
    return [`The rewind to slot ${requested_slot} failed: ${error} The generation before it goes on.`];
  if (state === 'done') {
    if (slotNow - slot > REWOUND_SLOTS) return [];
    return [`Rewound to slot ${requested_slot}: generation ${generation} serves since slot ${slot}.`];
  }
  const [way, done] = [target_slot - from_slot, slot - from_slot];
  const part = way > 0 ? `, ${Math.floor((100 * Math.max(0, done)) / way)} %` : '';
  return [`Rewinding to slot ${requested_slot}: generation ${generation} is at slot ${slot} of ${target_slot}${part}.`];
}

function faultText({ entity, handler, reason, count, sample_slot }) {
  return `Fault: ${entity} ${handler}: ${reason}, ${counted(count, 'time')}, first at slot ${sample_slot}.`;
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
