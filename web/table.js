// The table of rows: one column for each field that was seen, two levels deep (section, field). It keeps one element a
// row and touches only what changed, because it is drawn several times a second.

import { isObject } from './store.js';
import { setText } from './text.js';

const COLUMNS_MAX = 40;
const COLUMN_CH_MIN = 7;
const COLUMN_CH_MAX = 26;
const KEY_CH = 14; // a shortened public key and a little air
const SLOT_CH = 10;
const PADDING_CH = 3;

const publicKey = /^[1-9A-HJ-NP-Za-km-z]{32,}$/;
const wideNumber = /^-?\d+$/; // 64-bit numbers may come as decimal text

export function shortKey(key) {
  return publicKey.test(key) ? `${key.slice(0, 6)}…${key.slice(-6)}` : key;
}

export function cellText(value) {
  if (value === undefined) return '';
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.length === 1 ? '1 item' : `${value.length} items`;
  if (isObject(value)) return JSON.stringify(value).slice(0, 200);
  return typeof value === 'string' ? shortKey(value) : String(value);
}

function isNumeric(value) {
  return typeof value === 'number' || Array.isArray(value) || (typeof value === 'string' && wideNumber.test(value));
}

function element(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
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

export class Table {
  #table;
  #colgroup;
  #head;
  #body;
  #columns = []; // {id, section, field, width, numeric, heading}, in the order shown
  #columnIds = new Set();
  #fieldsLeftOut = new Set();
  #drawn = new Map(); // key -> {node, button, slot, cells: [td], texts: [string], data}, cells as the columns

  // onOpen(key): somebody chose a row.
  constructor(table, onOpen) {
    this.#table = table;
    this.#colgroup = table.querySelector('colgroup');
    this.#head = table.querySelector('thead');
    this.#body = table.querySelector('tbody');
    this.#body.addEventListener('click', (event) => {
      const row = event.target.closest('tr');
      if (row !== null) onOpen(row.dataset.key);
    });
    this.reset('');
  }

  get fieldsLeftOut() {
    return this.#fieldsLeftOut.size;
  }

  reset(view) {
    this.#table.dataset.view = view;
    this.#table.querySelector('caption').textContent = `${view}, most recently changed first`;
    this.#columns = [];
    this.#columnIds.clear();
    this.#fieldsLeftOut.clear();
    this.#dropRows();
    this.#drawHead();
  }

  // Draws exactly these rows in this order, and takes note of what they say has changed.
  render(rows) {
    const focused = document.activeElement;
    const focusedKey = this.#body.contains(focused) ? focused.closest('tr').dataset.key : undefined;
    if (this.#learnColumns(rows)) {
      this.#dropRows();
      this.#drawHead();
    }

    const spare = this.#takeSpare(new Set(rows.map(({ key }) => key)));
    let widened = false;
    let place = this.#body.firstChild;
    for (const row of rows) {
      let drawn = this.#drawn.get(row.key);
      if (drawn === undefined) {
        drawn = spare.shift() ?? this.#makeRow();
        this.#nameRow(drawn, row.key);
      }
      widened = this.#fill(drawn, row) || widened;
      if (drawn.node === place) place = place.nextSibling;
      else this.#body.insertBefore(drawn.node, place);
    }
    for (const { node } of spare) node.remove();
    if (widened) this.#setWidths();
    if (focusedKey !== undefined) this.#keepFocus(focusedKey);
  }

  focusRow(key) {
    const drawn = this.#drawn.get(key);
    drawn?.button.focus({ preventScroll: true });
    return drawn !== undefined;
  }

  // A moved element loses the focus, and one that is used again has it for another row.
  #keepFocus(key) {
    if (document.activeElement.closest('tr')?.dataset.key === key) return;
    if (!this.focusRow(key)) this.#table.parentElement.focus({ preventScroll: true });
  }

  // Elements of rows that are shown no more, from the top: used again in this order most of them stay where they are.
  #takeSpare(keysShown) {
    const spare = [];
    for (const { dataset } of this.#body.children) {
      if (keysShown.has(dataset.key)) continue;
      spare.push(this.#drawn.get(dataset.key));
      this.#drawn.delete(dataset.key);
    }
    return spare;
  }

  #dropRows() {
    this.#body.replaceChildren();
    this.#drawn.clear();
  }

  #learnColumns(rows) {
    const before = this.#columns.length;
    for (const { key, data } of rows) {
      if (this.#drawn.get(key)?.data === data || !isObject(data)) continue;
      for (const section of Object.keys(data)) {
        const value = data[section];
        if (!isObject(value)) {
          if (section !== '_seq') this.#learnColumn(section, '', section);
        } else {
          for (const field of Object.keys(value)) this.#learnColumn(`${section}.${field}`, section, field);
        }
      }
    }
    if (this.#columns.length === before) return false;
    this.#columns.sort(compareColumns);
    return true;
  }

  #learnColumn(id, section, field) {
    if (this.#columnIds.has(id)) return;
    if (this.#columns.length >= COLUMNS_MAX) {
      this.#fieldsLeftOut.add(id);
      return;
    }
    this.#columnIds.add(id);
    const width = Math.max(COLUMN_CH_MIN, Math.min(COLUMN_CH_MAX, field.length));
    this.#columns.push({ id, section, field, width, numeric: false, heading: null });
  }

  #drawHead() {
    const sections = element('tr');
    const fields = element('tr');
    sections.append(element('th', { scope: 'col', rowSpan: 2, className: 'key', textContent: 'Key' }));
    sections.append(element('th', { scope: 'col', rowSpan: 2, className: 'slot', textContent: 'Changed in slot' }));
    let group;
    for (const column of this.#columns) {
      const { section, field, numeric } = column;
      if (group === undefined || group.textContent !== section) {
        group = element('th', { scope: 'colgroup', className: 'section', colSpan: 1, textContent: section });
        sections.append(group);
      } else {
        group.colSpan++;
      }
      column.heading = element('th', {
        scope: 'col',
        className: numeric ? 'number' : '',
        textContent: field,
        title: field,
      });
      fields.append(column.heading);
    }
    this.#head.replaceChildren(sections, fields);
    this.#colgroup.replaceChildren(...Array.from({ length: this.#columns.length + 2 }, () => element('col')));
    this.#setWidths();
  }

  // The layout is fixed: a browser that had to measure all cells for each drawing would do nothing else.
  #setWidths() {
    const widths = [KEY_CH, SLOT_CH, ...this.#columns.map((column) => column.width)];
    widths.forEach((width, i) => (this.#colgroup.children[i].style.width = `${width + PADDING_CH}ch`));
    const total = widths.reduce((sum, width) => sum + width + PADDING_CH, 0);
    this.#table.style.width = `max(100%, ${total}ch)`;
  }

  #makeRow() {
    const node = element('tr');
    const button = element('button', { type: 'button' });
    const heading = element('th', { scope: 'row', className: 'key' });
    heading.append(button);
    const slot = element('td', { className: 'slot number' });
    const cells = this.#columns.map(() => element('td'));
    node.append(heading, slot, ...cells);
    return { node, button, slot, cells, texts: cells.map(() => ''), data: undefined };
  }

  #nameRow(drawn, key) {
    drawn.node.dataset.key = key;
    drawn.button.textContent = shortKey(key);
    drawn.button.title = key;
    this.#drawn.set(key, drawn);
  }

  // True when a column had to become wider.
  #fill(drawn, row) {
    if (drawn.data === row.data) return false;
    drawn.data = row.data;
    const data = isObject(row.data) ? row.data : {};
    setText(drawn.slot, String(data._seq ?? '').split(':')[0]);
    let widened = false;
    this.#columns.forEach((column, i) => {
      const cell = drawn.cells[i];
      const outer = column.section === '' ? data : data[column.section];
      const value = isObject(outer) && Object.hasOwn(outer, column.field) ? outer[column.field] : undefined;
      const text = cellText(value);
      if (drawn.texts[i] !== text) {
        drawn.texts[i] = text;
        cell.textContent = text;
        cell.title = typeof value === 'string' && value !== text ? value : '';
        const numeric = isNumeric(value);
        cell.classList.toggle('number', numeric);
        if (numeric && !column.numeric) {
          column.numeric = true;
          column.heading.classList.add('number');
        }
        cell.classList.toggle('nothing', value === null);
        const width = Math.min(COLUMN_CH_MAX, text.length);
        if (width > column.width) {
          column.width = width;
          widened = true;
        }
      }
      flash(cell, row.touched.has(column.id));
    });
    row.touched.clear();
    return widened;
  }
}

// Two classes with the same animation: changing from one to the other starts it again without asking for a layout.
function flash(cell, on) {
  const again = cell.classList.contains('flash-a');
  if (!on && !again && !cell.classList.contains('flash-b')) return;
  cell.classList.toggle('flash-a', on && !again);
  cell.classList.toggle('flash-b', on && again);
}
