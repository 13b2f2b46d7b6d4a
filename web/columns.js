// The columns of a table, learnt from the rows that were seen: one for each field, two levels deep (section, field). No DOM.

import { isObject } from './store.js';

const COLUMNS_MAX = 40;
const COLUMN_CH_MIN = 6;
const COLUMN_CH_MAX = 26;

export class Columns {
  #ids = new Set();
  #leftOut = new Set();

  list = []; // {id, section, field, width in characters, numeric}, in the order shown

  get leftOut() {
    return this.#leftOut.size;
  }

  // True when there are columns that were not there before.
  learn(data) {
    if (!isObject(data)) return false;
    const before = this.list.length;
    for (const section of Object.keys(data)) {
      const value = data[section];
      if (isObject(value)) for (const field of Object.keys(value)) this.#add(`${section}.${field}`, section, field);
      else if (section !== '_seq') this.#add(section, '', section);
    }
    if (this.list.length === before) return false;
    this.list.sort(compareColumns);
    this.#makeRoomForSections();
    return true;
  }

  // A section of one column is as wide as its own name.
  #makeRoomForSections() {
    this.list.forEach((column, i) => {
      const alone = [i - 1, i + 1].every((other) => this.list[other]?.section !== column.section);
      if (alone) column.width = Math.max(column.width, widthOf(column.section.length + 1));
    });
  }

  #add(id, section, field) {
    if (this.#ids.has(id)) return;
    if (this.list.length >= COLUMNS_MAX) {
      this.#leftOut.add(id);
      return;
    }
    this.#ids.add(id);
    this.list.push({ id, section, field, width: widthOf(field.length + 1), numeric: false });
  }
}

export function widthOf(characters) {
  return Math.max(COLUMN_CH_MIN, Math.min(COLUMN_CH_MAX, characters));
}

// Sections and fields in name order, so that columns do not depend on what came first; then what has no section; `id`
// last, as it mostly repeats the key.
function compareColumns(a, b) {
  return rank(a) - rank(b) || compareText(a.section, b.section) || compareText(a.field, b.field);
}
function rank({ section }) {
  return section === 'id' ? 2 : section === '' ? 1 : 0;
}
function compareText(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
