// Which rows of a store are listed, and in which order. No DOM.

import { isObject } from './store.js';

const wideNumber = /^-?\d+$/; // 64-bit numbers may come as decimal text

// A column's id is 'key', 'slot', or {section, field} of what two levels of the data say.
export function valueOf(row, { id, section, field }) {
  if (id === 'key') return row.key;
  const data = isObject(row.data) ? row.data : {};
  if (id === 'slot') return String(data._seq ?? '').split(':')[0];
  const outer = section === '' ? data : data[section];
  return isObject(outer) && Object.hasOwn(outer, field) ? outer[field] : undefined;
}

// Numbers, then texts; what is not there comes last in both directions.
function rankOf(value) {
  if (value === undefined || value === null || value === '') return undefined;
  if (Array.isArray(value)) return value.length;
  if (typeof value === 'string') return wideNumber.test(value) ? Number(value) : value.toLowerCase();
  return typeof value === 'object' ? JSON.stringify(value) : Number(value);
}

export function compareRanks(a, b, descending) {
  if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
  const byType = (typeof a === 'string') - (typeof b === 'string');
  const order = byType !== 0 ? byType : a < b ? -1 : a > b ? 1 : 0;
  return descending ? -order : order;
}

export class Order {
  #texts = new WeakMap(); // data -> what a search looks through; data is never changed in place

  rows = [];
  sort = null; // {column, descending}; null: most recently changed first

  // While `held`, rows keep their places; those that are gone leave.
  update(store, search, held) {
    if (held) {
      this.rows = this.rows.filter((row) => store.get(row.key) === row);
      return;
    }
    const wanted = search.trim().toLowerCase();
    const rows = wanted === '' ? store.newest() : store.newest().filter((row) => this.#text(row).includes(wanted));
    this.rows = this.sort === null ? rows : sorted(rows, this.sort);
  }

  #text(row) {
    if (!isObject(row.data)) return row.key.toLowerCase();
    let text = this.#texts.get(row.data);
    if (text === undefined) {
      const cells = Object.values(row.data).flatMap((value) => (isObject(value) ? Object.values(value) : [value]));
      text = [row.key, ...cells.filter((value) => value !== null && typeof value !== 'object')]
        .join('\n')
        .toLowerCase();
      this.#texts.set(row.data, text);
    }
    return text;
  }
}

// Equal rows by their keys: they keep their places when others change.
function sorted(rows, { column, descending }) {
  return rows
    .map((row) => ({ row, rank: rankOf(valueOf(row, column)) }))
    .sort((a, b) => compareRanks(a.rank, b.rank, descending) || (a.row.key < b.row.key ? -1 : 1))
    .map(({ row }) => row);
}
