// What is listed, in which order, under which columns, and what has changed: all that needs no document.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Columns } from '../../web/columns.js';
import { Journal, differences } from '../../web/journal.js';
import { Order, valueOf } from '../../web/order.js';
import { EntityStore, mergePatch } from '../../web/store.js';

const keys = (order) => order.rows.map(({ key }) => key);

function storeOf(rows) {
  const store = new EntityStore();
  store.apply({ op: 'snapshot', data: Object.entries(rows).map(([key, data]) => ({ key, data })), complete: true });
  return store;
}

test('the value of a column', () => {
  const row = { key: 'k', data: { _seq: '7:000000000001', s: { a: 1 }, t: [1] } };
  const value = (section, field) => valueOf(row, { id: `${section}.${field}`, section, field });
  assert.deepEqual(
    [value('s', 'a'), value('s', 'toString'), value('', 't'), value('x', 'y')],
    [1, undefined, [1], undefined],
  );
  assert.deepEqual([valueOf(row, { id: 'key' }), valueOf(row, { id: 'slot' })], ['k', '7']);
  assert.equal(valueOf({ key: 'k', data: null }, { id: 's.a', section: 's', field: 'a' }), undefined);
});

test('newest first, searched by key and by cell in any case; nested lists are not searched', () => {
  const store = storeOf({
    Abc: { _seq: '1:000000000001', s: { who: 'Bakery' } },
    abd: { _seq: '2:000000000001', s: { n: 42 }, list: ['bakery'] },
    xyz: { _seq: '3:000000000001', top: 'x' },
  });
  const order = new Order();
  const found = (text) => (order.update(store, text, false), keys(order));
  assert.deepEqual(found(''), ['xyz', 'abd', 'Abc']);
  assert.deepEqual(found(' AB '), ['abd', 'Abc']);
  assert.deepEqual(found('bakery'), ['Abc']);
  assert.deepEqual(found('42'), ['abd']);
  store.apply({ op: 'patch', key: 'xyz', data: { top: 'bakery' } });
  assert.deepEqual(found('bakery'), ['xyz', 'Abc']);
  assert.deepEqual(found('no such text'), []);
});

test('sorted by a column: numbers as numbers, then texts, what is not there last, equals by key', () => {
  const store = storeOf({
    a: { s: { v: '9007199254740993' } },
    b: { s: { v: 10 } },
    c: { s: { v: '9' } },
    d: { s: {} },
    e: { s: { v: 'Text' } },
    f: { s: { v: null } },
    g: { s: { v: 10 } },
    h: { s: { v: [1, 2] } },
  });
  const order = new Order();
  const column = { id: 's.v', section: 's', field: 'v' };
  order.sort = { column, descending: false };
  order.update(store, '', false);
  assert.deepEqual(keys(order), ['h', 'c', 'b', 'g', 'a', 'e', 'd', 'f']);
  order.sort = { column, descending: true };
  order.update(store, '', false);
  assert.deepEqual(keys(order), ['e', 'a', 'b', 'g', 'c', 'h', 'd', 'f']);
});

test('rows hold their places while they are read; those that are gone leave, also when the key comes back', () => {
  const store = storeOf({
    a: { _seq: '1:000000000001' },
    b: { _seq: '2:000000000001' },
    c: { _seq: '3:000000000001' },
  });
  const order = new Order();
  order.update(store, '', false);
  store.apply({ op: 'patch', key: 'a', data: { x: 1 } });
  store.apply({ op: 'delete', key: 'b', data: null });
  store.apply({ op: 'upsert', key: 'b', data: {} });
  order.update(store, 'ignored while held', true);
  assert.deepEqual(keys(order), ['c', 'a']);
  order.update(store, '', false);
  assert.deepEqual(keys(order), ['b', 'a', 'c']);
});

test('columns are learnt in a fixed order, and are not without end', () => {
  const columns = new Columns();
  assert.equal(columns.learn({ id: { key: 1 }, top: 1, _seq: '1:1' }), true);
  assert.equal(columns.learn({ beta: { z: 1, a: 2 }, id: { key: 2 } }), true);
  assert.equal(columns.learn({ beta: { z: 5 } }), false);
  assert.equal(columns.learn('text'), false);
  assert.deepEqual(
    columns.list.map(({ id }) => id),
    ['beta.a', 'beta.z', 'top', 'id.key'],
  );
  columns.learn({ many: Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`f${i}`, i])) });
  assert.equal(columns.list.length, 40);
  assert.equal(columns.leftOut, 64);
});

test('the journal keeps the newest changes and finds those of a key', () => {
  const journal = new Journal(4);
  const add = (key, n) => journal.add({ key, n });
  const found = (key, limit = 9) => journal.of(key, limit).map(({ n }) => n);
  assert.deepEqual(found('a'), []);
  add('a', 1);
  add('b', 2);
  add('a', 3);
  assert.deepEqual(found('a'), [3, 1]);
  assert.deepEqual(found('a', 1), [3]);
  add('b', 4);
  add('a', 5);
  assert.deepEqual(found('a'), [5, 3], '1 was overwritten');
  assert.deepEqual(found('b'), [4, 2]);
  journal.clear();
  assert.deepEqual(found('a'), []);
});

test('differences: by field, what was added to a list, and no word of the cursor', () => {
  const before = { _seq: '1:1', s: { a: 1, b: { c: 1, d: 2 } }, list: [{ x: 1 }], gone: 1 };
  const after = mergePatch(
    before,
    { _seq: '2:1', s: { a: null, b: { c: 2 } }, list: [{ x: 2 }], fresh: 'f' },
    new Set(['list']),
  );
  assert.deepEqual(differences(before, after), [
    { path: 's.a', before: 1, after: null },
    { path: 's.b.c', before: 1, after: 2 },
    { path: 'list', added: [{ x: 2 }] },
    { path: 'fresh', before: undefined, after: 'f' },
  ]);
  assert.deepEqual(differences({ a: 1 }, {}), [{ path: 'a', before: 1, after: undefined }]);
  assert.deepEqual(differences({ l: [1, 2] }, { l: [3] }), [{ path: 'l', before: [1, 2], after: [3] }]);
  assert.deepEqual(differences({ a: { b: 1 } }, { a: 'text' }), [{ path: 'a', before: { b: 1 }, after: 'text' }]);
});
