import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Rate, noticesOf } from '../../web/health.js';
import { cellText, shortKey } from '../../web/table.js';
import { ageText, prettyJson } from '../../web/text.js';

test('ages', () => {
  assert.deepEqual([0, 1999, 2000, 119_999, 120_000, 7_199_999, 7_200_000].map(ageText), [
    'just now',
    'just now',
    '2 s ago',
    '119 s ago',
    '2 min ago',
    '119 min ago',
    '2 h ago',
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

test('cells', () => {
  const key = '21iTuRCm12GkYjSi6AXWJKCwjoXZMXeafH1nB3kXaPYn';
  assert.equal(shortKey(key), '21iTuR…kXaPYn');
  assert.equal(shortKey('398210029'), '398210029');
  assert.deepEqual([undefined, null, 0, false, '', '18446744073709551615', [], [1], [1, 2], { a: 1 }].map(cellText), [
    '',
    'null',
    '0',
    'false',
    '',
    '18446744073709551615',
    '0 items',
    '1 item',
    '2 items',
    '{"a":1}',
  ]);
});

test('JSON with ordered names; arrays keep their order, and "__proto__" is a name', () => {
  assert.equal(
    prettyJson(JSON.parse('{"b":[2,1,{"d":1,"c":2}],"a":null,"__proto__":1}')).replace(/\s/g, ''),
    '{"__proto__":1,"a":null,"b":[2,1,{"c":2,"d":1}]}',
  );
});

test('notices: none for a sound or unknown server, the newest gaps first, long lists are cut and counted', () => {
  assert.deepEqual(noticesOf({}), []);
  assert.deepEqual(noticesOf({ gaps: [], faults: [], stream: { error: '' }, unsupported_views: [] }), []);
  const gaps = [1, 2, 3, 4, 5].map((n) => ({ from: n, to: n, cause: 'c' }));
  assert.deepEqual(noticesOf({ gaps, stream: { error: 'refused' } }), [
    'Stream: refused',
    'Gap: slots 5 to 5 are missing (c).',
    'Gap: slots 4 to 4 are missing (c).',
    'Gap: slots 3 to 3 are missing (c).',
    '2 more gaps.',
  ]);
  const unsupported_views = [
    { view: 'A/x', reason: 'r' },
    { view: 'A/y', reason: 'q' },
    { view: 'B/x', reason: 'r' },
  ];
  assert.deepEqual(noticesOf({ unsupported_views }), ['Not served: A/x, B/x (r).', 'Not served: A/y (q).']);
});
