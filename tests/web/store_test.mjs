import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EntityStore, changedFields, compareCursors, mergePatch } from '../../web/store.js';

const view = 'E/list';
const row = (key, data) => ({ key, data });
const snapshot = (data, complete = true) => ({ op: 'snapshot', entity: view, data, complete });
const patch = (key, data, append) => ({ op: 'patch', entity: view, key, data, ...(append ? { append } : {}) });
const keys = (store) => store.newest().map(({ key }) => key);
const deletion = (key) => ({ op: 'delete', entity: view, key, data: null });

test('objects merge deeply, other values replace, null is stored', () => {
  const before = { a: { b: { c: 1, d: 2 }, e: [1] }, f: 5 };
  assert.deepEqual(mergePatch(before, { a: { b: { c: null }, e: { now: 'object' } } }), {
    a: { b: { c: null, d: 2 }, e: { now: 'object' } },
    f: 5,
  });
  assert.deepEqual(before, { a: { b: { c: 1, d: 2 }, e: [1] }, f: 5 }, 'nothing is changed in place');
  assert.deepEqual(mergePatch({ a: null }, { a: { b: 1 } }), { a: { b: 1 } });
  assert.deepEqual(mergePatch({ a: { b: 1 } }, { a: null }), { a: null });
  assert.deepEqual(mergePatch({ a: { b: 1 } }, { a: {} }), { a: { b: 1 } });
});

test('arrays concatenate only when their path is named', () => {
  const before = { t: [1], s: { t: [1], u: [1] } };
  assert.deepEqual(mergePatch(before, { t: [2], s: { t: [2], u: [2] } }, new Set(['s.t'])), {
    t: [2],
    s: { t: [1, 2], u: [2] },
  });
  assert.deepEqual(mergePatch({}, { t: [2] }, new Set(['t'])), { t: [2] });
  assert.deepEqual(mergePatch({ t: null }, { t: [2] }, new Set(['t'])), { t: [2] });
});

test('64-bit numbers in text stay text', () => {
  assert.deepEqual(mergePatch({ n: 1 }, { n: '18446744073709551615' }), { n: '18446744073709551615' });
});

test('no name reaches a prototype', () => {
  const evil = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}');
  const merged = mergePatch(mergePatch({ a: 1 }, evil), evil);
  assert.equal({}.polluted, undefined);
  assert.equal(Object.getPrototypeOf(merged), Object.prototype);
  assert.equal(JSON.stringify(merged), '{"a":1,"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}');
  const store = new EntityStore();
  store.apply(snapshot([row('__proto__', { a: 1 })]));
  store.apply(patch('__proto__', { b: 2 }));
  assert.equal(JSON.stringify(store.entities()), '{"__proto__":{"a":1,"b":2}}');
});

test('cursors order by slot, then index, as numbers', () => {
  const sorted = ['10:000000000001', '9:000000000002', '9:000000000010', '10:000000000000'].sort(compareCursors);
  assert.deepEqual(sorted, ['9:000000000002', '9:000000000010', '10:000000000000', '10:000000000001']);
  assert.ok(compareCursors(undefined, '1:000000000000') < 0);
  assert.ok(compareCursors('1:000000000000', undefined) > 0);
});

test('changed fields are named by section and field', () => {
  const before = { s: { a: 1, b: { c: 1 } }, t: 1 };
  assert.deepEqual([...changedFields(before, mergePatch(before, { s: { a: 2 }, u: [1] }))], ['s.a', 'u']);
  assert.deepEqual([...changedFields(before, mergePatch(before, { s: { a: 1 } }))], []);
  assert.deepEqual([...changedFields(undefined, { s: { a: 1 }, t: 1 })], ['s.a', 't']);
});

test('a snapshot comes in key order and is shown in the order of its cursors', () => {
  const store = new EntityStore();
  store.apply({ op: 'subscribed', view });
  store.apply(snapshot([row('a', { _seq: '9:000000000009' }), row('b', { _seq: '10:000000000001' })], false));
  assert.equal(store.loading, true);
  store.apply(snapshot([row('c', { _seq: '9:000000000010' })]));
  assert.equal(store.loading, false);
  assert.deepEqual(keys(store), ['b', 'c', 'a']);
  store.apply(patch('a', { x: 1, _seq: '11:000000000001' }));
  assert.deepEqual(keys(store), ['a', 'b', 'c']);
  assert.deepEqual([...store.get('a').touched].sort(), ['_seq', 'x']);
});

test('upsert replaces, delete removes, an unknown key makes a row, an unknown op does nothing', () => {
  const store = new EntityStore();
  store.apply(snapshot([row('a', { x: 1, y: 1 })]));
  store.apply({ op: 'upsert', entity: view, key: 'a', data: { y: 2 } });
  store.apply(patch('b', { z: [1] }, ['z']));
  assert.deepEqual(store.entities(), { a: { y: 2 }, b: { z: [1] } });
  store.apply({ op: 'delete', entity: view, key: 'a', data: null });
  store.apply({ op: 'delete', entity: view, key: 'a', data: null });
  assert.deepEqual(store.entities(), { b: { z: [1] } });
  assert.deepEqual(keys(store), ['b']);
  assert.equal(store.changes, 4);
  assert.equal(store.apply({ op: 'heartbeat' }), false);
});

test('a second snapshot rebuilds the store: rows it does not name go when it is complete', () => {
  const store = new EntityStore();
  store.apply(snapshot([row('a', { x: 1 }), row('b', { x: 1 }), row('c', { x: 1, old: 1 })]));
  store.apply({ op: 'subscribed', view });
  store.apply(snapshot([row('a', { x: 2 })], false));
  assert.equal(store.size, 3, 'the old rows stay until then');
  store.apply(patch('d', { x: 1 }));
  store.apply(patch('c', { x: 3 }));
  store.apply(snapshot([]));
  assert.deepEqual(store.entities(), { a: { x: 2 }, c: { x: 3 }, d: { x: 1 } });
  assert.deepEqual(keys(store).sort(), ['a', 'c', 'd']);
});

test('a reset replaces what is held, also when it comes into a snapshot that is on its way', () => {
  for (const begun of [
    [snapshot([row('a', { x: 1 }), row('b', { x: 1 })])],
    [snapshot([row('a', { x: 1 }), row('b', { x: 1 })], false)],
  ]) {
    const store = new EntityStore();
    store.apply({ op: 'subscribed', view });
    for (const frame of begun) store.apply(frame);
    store.apply(deletion('a'));
    store.apply({ ...snapshot([row('c', { x: 2 })], false), reset: true });
    store.apply(patch('c', { y: 1 }));
    store.apply({ ...snapshot([row('d', { x: 2 })]), reset: true });
    assert.equal(store.loading, false);
    assert.deepEqual(store.entities(), { c: { x: 2, y: 1 }, d: { x: 2 } }, '"b" was not named again');
    store.apply({ ...snapshot([row('e', {})]), reset: true });
    assert.deepEqual(store.entities(), { e: {} });
  }
});

test('of a view that is too large the newest rows are kept; what changes later comes back, marked as partial', () => {
  const store = new EntityStore({ rowsMax: 10 });
  store.apply({ op: 'subscribed', view });
  for (let chunk = 0; chunk < 20; chunk++) {
    const rows = [];
    for (let i = 0; i < 5; i++) {
      const n = chunk * 5 + i;
      rows.push(row(`k${n}`, { n, _seq: `${(n * 37) % 100}:000000000001` }));
    }
    store.apply(snapshot(rows, chunk === 19));
    assert.ok(store.size <= 20, 'never much more than it may keep');
  }
  const slots = store.newest().map(({ data }) => Number(data._seq.split(':')[0]));
  assert.deepEqual(slots, [99, 98, 97, 96, 95, 94, 93, 92, 91, 90]);
  assert.equal(store.leftOut, 90);
  const [oldest] = store.newest().slice(-1);
  const again = store.get(oldest.key);
  store.apply(patch('k0', { n: 7 }));
  assert.equal(store.size, 10);
  assert.equal(store.get(again.key), undefined, 'the one that changed least lately goes');
  assert.equal(store.get('k0').partial, true);
  store.apply(patch('k0', { m: 7 }));
  assert.equal(store.get('k0').partial, true, 'it does not become whole by more patches');
  store.apply({ op: 'upsert', entity: view, key: 'k0', data: { n: 8 } });
  assert.equal(store.get('k0').partial, false);
  assert.equal(store.newest()[1].partial, false, 'rows of the snapshot are whole');
  store.clear();
  assert.deepEqual([store.size, store.leftOut, store.newest()], [0, 0, []]);
  store.apply(patch('k0', { n: 7 }));
  assert.equal(store.get('k0').partial, false);
});

test('what changed in the present interval; changes are told with before and after', () => {
  const told = [];
  const store = new EntityStore({ onChange: (...change) => told.push(change) });
  store.apply(snapshot([row('a', { x: 1, y: 1 })]));
  assert.deepEqual(told, []);
  store.apply(patch('a', { x: 2 }));
  const interval = store.closeInterval();
  assert.equal(store.get('a').interval, interval);
  assert.deepEqual([...store.get('a').touched], ['x']);
  store.apply(patch('a', { y: 2 }));
  assert.deepEqual([...store.get('a').touched], ['y'], 'what the last interval has shown is over');
  store.apply(deletion('a'));
  store.apply(deletion('a'));
  assert.deepEqual(told, [
    ['a', { x: 1, y: 1 }, { x: 2, y: 1 }],
    ['a', { x: 2, y: 1 }, { x: 2, y: 2 }],
    ['a', { x: 2, y: 2 }, undefined],
  ]);
});

// Against a second way of saying the same: whole values, changed in place, and recency as a list.
test('any sequence of frames gives the entities and the order of a plain model', () => {
  let noise = 7;
  const random = (n) => {
    noise = (Math.imul(noise, 1664525) + 1013904223) >>> 0;
    return Math.floor((noise / 2 ** 32) * n);
  };
  for (let round = 0; round < 50; round++) {
    const store = new EntityStore();
    const model = {};
    let recency = [];
    store.apply(snapshot([]));
    for (let step = 0; step < 200; step++) {
      const key = `k${random(12)}`;
      const kind = random(10);
      recency = recency.filter((other) => other !== key);
      if (kind === 0) {
        delete model[key];
        store.apply({ op: 'delete', entity: view, key, data: null });
        continue;
      }
      recency.unshift(key);
      const value = [null, step, String(step), { deep: step }][random(4)];
      if (kind === 1) {
        model[key] = { s: { v: value, list: [step] } };
        store.apply({ op: 'upsert', entity: view, key, data: structuredClone(model[key]) });
      } else if (kind < 6) {
        model[key] ??= {};
        model[key].s ??= {};
        model[key].s[`f${random(3)}`] = typeof value === 'object' && value !== null ? step : value;
        store.apply(patch(key, { s: structuredClone(model[key].s) }));
      } else {
        model[key] ??= {};
        model[key].s ??= {};
        model[key].s.list = [...(model[key].s.list ?? []), step];
        store.apply(patch(key, { s: { list: [step] } }, ['s.list']));
      }
    }
    assert.deepEqual(store.entities(), model);
    assert.deepEqual(keys(store), recency);
  }
});
