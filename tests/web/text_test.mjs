import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Rate, gapText, noticesOf, tilesOf } from '../../web/status.js';
import { ageText, durationText, flat, shortKey, valueText } from '../../web/text.js';

test('ages and durations', () => {
  assert.deepEqual([0, 1999, 2000, 119_999, 120_000, 7_199_999, 7_200_000].map(ageText), [
    'just now',
    'just now',
    '2 s ago',
    '119 s ago',
    '2 min ago',
    '119 min ago',
    '2 h ago',
  ]);
  assert.deepEqual([-5, 840, 9_960, 10_000, 172_800_000].map(durationText), [
    '0.0 s',
    '0.8 s',
    '10.0 s',
    '10 s',
    '2 d',
  ]);
});

test('a rate needs two readings, covers the last five seconds, and is unknown after a restart of the counter', () => {
  const rate = new Rate();
  assert.equal(rate.perSecond(), undefined);
  rate.add(1000, 0);
  assert.equal(rate.perSecond(), undefined);
  for (let s = 1; s <= 20; s++) rate.add(1000 + s * (s > 10 ? 50 : 7), s * 1000);
  assert.equal(rate.perSecond(), 50);
  rate.add(3, 21_000);
  assert.equal(rate.perSecond(), undefined);
  rate.add(5, 22_000);
  assert.equal(rate.perSecond(), 2);
  rate.add(undefined, 23_000);
  assert.equal(rate.perSecond(), undefined);
});

test('an element of a list of events by its fields', () => {
  assert.deepEqual(flat({ data: { amount: 1 }, slot: 7, signature: 's' }), { amount: 1, slot: 7 });
  for (const other of [null, undefined, 5, 'x', { data: { a: 1 } }, { data: null, slot: 7 }]) assert.equal(flat(other), other);
});

test('values on one line', () => {
  const key = '21iTuRCm12GkYjSi6AXWJKCwjoXZMXeafH1nB3kXaPYn';
  assert.equal(shortKey(key), '21iTuR…kXaPYn');
  assert.equal(shortKey('398210029'), '398210029');
  assert.equal(shortKey('x'.repeat(89)), 'x'.repeat(89));
  assert.deepEqual([undefined, null, 0, false, '', '18446744073709551615', [], [1], [1, 2]].map(valueText), [
    '',
    'null',
    '0',
    'false',
    '',
    '18446744073709551615',
    '0 items',
    '1 item',
    '2 items',
  ]);
  assert.equal(
    valueText({ a: 1, who: key, list: [1], deep: { x: 1 } }),
    'a 1, who 21iTuR…kXaPYn, list 1 item, deep {…}',
  );
  for (const value of [{ a: 'x'.repeat(9999) }, 'x'.repeat(9999)]) assert.equal(valueText(value).length, 200);
});

const tiles = (status) => {
  const list = tilesOf(status, { updates: new Rate(), now: 1_000_000 });
  return Object.fromEntries(list.map((tile) => [tile.field, tile]));
};

test('tiles: nothing known is nothing shown, never 0', () => {
  for (const tile of Object.values(tiles({}))) assert.equal(tile.value ?? '', '');
  assert.deepEqual(tiles({}).lag.noteField, ['lag_seconds', undefined]);
  for (const tile of Object.values(tiles({ lag_slots: null, watermark: null, stream: undefined })))
    assert.equal(tile.value ?? '', '');
});

test('tiles: units, lag in seconds, the colour of the stream', () => {
  const status = {
    stream: { state: 'live', proven: true, heard_ms_ago: 500 },
    watermark: { slot: 5, block_time: 997 },
    lag_slots: 1,
    gaps: [{ from: 3, to: 6, cause: 'c' }],
    fanout: { sessions: 1, subscriptions: 2 },
    generation: 3,
  };
  const shown = tiles(status);
  assert.deepEqual([shown.lag.value, shown.lag.unit, shown.lag.note], [1, 'slot', 'block time 3.0 s ago']);
  assert.deepEqual(shown.lag.noteField, ['lag_seconds', 3]);
  assert.equal(shown.slot.note, 'applied last · generation 3');
  assert.equal(shown.heard.value, 'just now');
  assert.equal(shown.gaps.note, '2 slots missing');
  assert.equal(shown.sessions.note, '2 subscriptions');
  assert.equal(shown.state.level, 'good');
  const silent = { ...status, stream: { ...status.stream, heard_ms_ago: 31_000 } };
  assert.equal(tiles(silent).state.level, 'busy', 'live, but nothing is heard');
  assert.equal(tiles({ stream: { state: 'live', heard_ms_ago: null } }).heard.value, undefined);
  assert.equal(tiles({ stream: { state: 'provider behind' } }).state.level, 'busy');
  assert.equal(tiles({ stream: { state: 'stopped' } }).state.level, 'bad');
  const recorded = { lag_slots: 0, watermark: { slot: 1, block_time: -200_000 } };
  assert.equal(tiles(recorded).lag.note, 'recorded 2 d ago');
  assert.equal(tiles({ ...recorded, lag_slots: 500_000 }).lag.note, 'block time 2 d ago');
});

test('gaps', () => {
  // Both ends are there.
  assert.equal(gapText({ from: 5, to: 7, cause: 'c' }), 'slot 6 (c)');
  assert.equal(gapText({ from: 5, to: 9, cause: 'c' }), 'slots 6 to 8 (c)');
  assert.equal(gapText({ from: 5, to: 6, cause: 'c' }), 'between slots 5 and 6 (c)');
});

test('notices: none for a sound or unknown server, long lists are cut and counted', () => {
  assert.deepEqual(noticesOf({}), []);
  assert.deepEqual(noticesOf({ faults: [], stream: { error: '' }, unsupported_views: [], rewind: null }), []);
  const faults = [1, 2, 3, 4, 5].map((n) => ({ entity: 'E', handler: `h${n}`, reason: 'r', count: n, sample_slot: 7 }));
  assert.deepEqual(noticesOf({ faults, stream: { error: 'refused' }, checkpoint_error: 'disk full' }), [
    'Stream: refused',
    'The last checkpoint failed: disk full',
    'Fault: E h1: r, 1 time, first at slot 7.',
    'Fault: E h2: r, 2 times, first at slot 7.',
    'Fault: E h3: r, 3 times, first at slot 7.',
    '2 more kinds of faults.',
  ]);
  const unsupported_views = [
    { view: 'A/x', reason: 'r' },
    { view: 'A/y', reason: 'q' },
    { view: 'B/x', reason: 'r' },
  ];
  assert.deepEqual(noticesOf({ unsupported_views }), ['Not served: A/x, B/x (r).', 'Not served: A/y (q).']);
  const long = 'x'.repeat(5000);
  const [notice] = noticesOf({ checkpoint_error: long });
  for (const text of [notice, gapText({ from: 5, to: 7, cause: long })]) assert.match(text, /^.{299}…$/);
});

test('notices: a rewind, how far it is and how it ended', () => {
  const rewind = {
    requested_slot: 10,
    generation: 4,
    from_slot: 8,
    slot: 9,
    target_slot: 12,
    state: 'filling',
    error: '',
  };
  assert.deepEqual(noticesOf({ rewind }), ['Rewinding to slot 10: generation 4 is at slot 9 of 12, 25 %.']);
  assert.deepEqual(noticesOf({ rewind: { ...rewind, target_slot: 8 } }), [
    'Rewinding to slot 10: generation 4 is at slot 9 of 8.',
  ]);
  const done = { ...rewind, slot: 12, state: 'done' };
  const rewound = ['Rewound to slot 10: generation 4 serves since slot 12.'];
  assert.deepEqual(noticesOf({ rewind: done }), rewound);
  assert.deepEqual(noticesOf({ rewind: done, watermark: { slot: 162 } }), rewound);
  assert.deepEqual(noticesOf({ rewind: done, watermark: { slot: 163 } }), [], 'it is no news any more');
  assert.deepEqual(noticesOf({ rewind: { ...rewind, state: 'failed', error: 'Slots 5 to 7 are missing.' } }), [
    'The rewind to slot 10 failed: Slots 5 to 7 are missing. The generation before it goes on.',
  ]);
});
