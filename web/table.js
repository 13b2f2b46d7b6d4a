// The table of rows. Only the rows in sight are in the document, and of these only what changed is touched, because the table
// is drawn several times a second. All rows are of one height, so what is out of sight is two empty spaces.
//
// A cell that changed is marked, strongly and then faintly, by the drawings themselves: an animation of hundreds of cells would
// keep the browser drawing without a pause.
//
// The keyboard stays on the table and names the active row (aria-activedescendant): rows may come and go beneath it.

import { Columns, widthOf } from './columns.js';
import { valueOf } from './order.js';
import { element, setText, shortKey, valueText } from './text.js';

const ROW_PX = 28;
const OVERSCAN_ROWS = 6;
const ROWS_MAX = 200; // in the document, whatever the height of the window
const KEY_CH = 14; // a shortened public key and a little air
const SLOT_CH = 10;
const PADDING_CH = 2.4;

const KEY_COLUMN = { id: 'key', field: 'Key', numeric: false };
const SLOT_COLUMN = { id: 'slot', field: 'Changed in slot', numeric: true };
const wideNumber = /^-?\d+$/;

const FRESH_MS = 300; // how long a change is marked strongly
const RECENT_MS = 1000; // and marked at all

function isNumeric(value) {
  return typeof value === 'number' || Array.isArray(value) || (typeof value === 'string' && wideNumber.test(value));
}

export class Table {
  #scroller;
  #table;
  #colgroup;
  #head;
  #body;
  #spaces;
  #columns = new Columns();
  #drawn = new Map(); // key -> {node, key, slot, cells: [td], texts: [string], marks: [ms], data}, cells as the columns
  #marked = new Set(); // of drawn rows: those with a cell that is marked
  #rows = []; // all of them, as last rendered
  #sort = null;
  #openKey; // the row whose entity is shown
  #on;

  activeKey; // the row that the keyboard is on

  // on: open(key, byKeyboard), sort(column), active(key)
  constructor(scroller, table, on) {
    this.#scroller = scroller;
    this.#table = table;
    this.#on = on;
    this.#colgroup = table.querySelector('colgroup');
    this.#head = table.querySelector('thead');
    const [above, body, below] = table.tBodies;
    this.#spaces = [above, below].map((space) => space.rows[0]);
    this.#body = body;
    table.style.setProperty('--row', `${ROW_PX}px`);
    body.addEventListener('click', (event) => {
      const row = event.target.closest('tr');
      if (row === null) return;
      this.activate(row.dataset.key);
      on.open(row.dataset.key);
    });
    this.#head.addEventListener('click', (event) => {
      const id = event.target.closest('button')?.dataset.column;
      if (id !== undefined) on.sort(this.#allColumns().find((column) => column.id === id));
    });
    table.addEventListener('keydown', (event) => this.#pressed(event));
    table.addEventListener('blur', () => this.#showActive());
    table.addEventListener('focus', () => this.#showActive());
    this.reset('');
  }

  get fieldsLeftOut() {
    return this.#columns.leftOut;
  }
  get focused() {
    return document.activeElement === this.#table;
  }
  focus() {
    this.#table.focus({ preventScroll: true });
  }

  reset(view) {
    this.#table.dataset.view = view;
    this.#columns = new Columns();
    this.#rows = [];
    this.activeKey = undefined;
    this.#scroller.scrollTo(0, 0);
    this.#dropRows();
    this.#drawHead();
  }

  // Draws what is in sight of these rows. Cells that changed in `interval` are marked.
  render(rows, sort, interval) {
    this.#rows = rows;
    const { scrollTop, clientHeight } = this.#scroller;
    const first = Math.max(0, Math.min(Math.floor(scrollTop / ROW_PX) - OVERSCAN_ROWS, rows.length - 1));
    const count = Math.min(ROWS_MAX, Math.ceil(clientHeight / ROW_PX) + 2 * OVERSCAN_ROWS);
    const shown = rows.slice(first, first + count);
    this.#setSpace(0, first);
    this.#setSpace(1, rows.length - first - shown.length);
    this.#table.ariaRowCount = String(rows.length + 2);

    let learnt = false;
    for (const { key, data } of shown) {
      if (this.#drawn.get(key)?.data !== data) learnt = this.#columns.learn(data) || learnt;
    }
    if (learnt) this.#dropRows();
    if (learnt || sort !== this.#sort) {
      this.#sort = sort;
      this.#drawHead();
    }
    this.#place(shown, first, interval);
    this.#showActive();
  }

  #place(shown, first, interval) {
    const spare = this.#takeSpare(new Set(shown.map(({ key }) => key)));
    let widened = false;
    let place = this.#body.firstChild;
    shown.forEach((row, i) => {
      let drawn = this.#drawn.get(row.key);
      if (drawn === undefined) {
        drawn = spare.shift() ?? this.#makeRow();
        this.#nameRow(drawn, row);
      }
      widened = this.#fill(drawn, row, interval) || widened;
      const index = String(first + i + 3); // after the two rows of the head, from 1
      if (drawn.node.ariaRowIndex !== index) drawn.node.ariaRowIndex = index;
      if (drawn.node === place) place = place.nextSibling;
      else this.#body.insertBefore(drawn.node, place);
    });
    for (const drawn of spare) {
      this.#marked.delete(drawn);
      drawn.node.remove();
    }
    if (widened) this.#setWidths();
  }

  #setSpace(which, rows) {
    const height = `${rows * ROW_PX}px`;
    if (this.#spaces[which].style.height !== height) this.#spaces[which].style.height = height;
  }

  // ---- the active row

  // Makes a row the active one and brings it into sight.
  activate(key) {
    this.activeKey = key;
    const index = this.#rows.findIndex((row) => row.key === key);
    if (index >= 0) {
      const scroller = this.#scroller;
      const bottom = (index + 1) * ROW_PX + this.#head.offsetHeight;
      if (index * ROW_PX < scroller.scrollTop) scroller.scrollTop = index * ROW_PX;
      else if (bottom > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = bottom - scroller.clientHeight;
      this.render(this.#rows, this.#sort);
    }
    this.#showActive();
    this.#on.active(key);
  }

  // undefined: none is open any more.
  markOpen(key) {
    this.#openKey = key;
    this.#showActive();
  }

  #showActive() {
    const active = this.#drawn.get(this.#openKey ?? (this.focused ? this.activeKey : undefined))?.node;
    const before = this.#body.querySelector('#active-row');
    if (before === (active ?? null)) return;
    if (before !== null) {
      before.removeAttribute('id');
      before.ariaSelected = null;
    }
    if (active === undefined) {
      this.#table.removeAttribute('aria-activedescendant');
      return;
    }
    active.id = 'active-row';
    active.ariaSelected = 'true';
    this.#table.setAttribute('aria-activedescendant', 'active-row');
  }

  #pressed(event) {
    if (event.target !== this.#table || event.ctrlKey || event.altKey || event.metaKey) return;
    const last = this.#rows.length - 1;
    const at = this.#rows.findIndex((row) => row.key === this.activeKey);
    const page = Math.max(1, Math.floor(this.#scroller.clientHeight / ROW_PX) - 3);
    const top = Math.ceil(this.#scroller.scrollTop / ROW_PX);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page }[event.key];
    let target;
    if (step !== undefined) target = at < 0 ? top : at + step;
    else if (event.key === 'Home') target = 0;
    else if (event.key === 'End') target = last;
    else if (event.key === 'Enter' && at >= 0) this.#on.open(this.activeKey, true);
    else return;
    event.preventDefault();
    if (target !== undefined && last >= 0) this.activate(this.#rows[Math.max(0, Math.min(last, target))].key);
  }

  // ---- the head

  #allColumns() {
    return [KEY_COLUMN, SLOT_COLUMN, ...this.#columns.list];
  }

  #drawHead() {
    const focused = document.activeElement?.dataset.column;
    const sections = element('tr', { ariaRowIndex: '1' }, this.#heading(KEY_COLUMN, 2), this.#heading(SLOT_COLUMN, 2));
    const fields = element('tr', { ariaRowIndex: '2' });
    let group;
    for (const column of this.#columns.list) {
      if (group === undefined || group.textContent !== column.section) {
        // What has no section has no heading above its own.
        const heading = column.section === '' ? element('td') : element('th', { scope: 'colgroup' });
        group = Object.assign(heading, { className: 'section', colSpan: 1, textContent: column.section });
        sections.append(group);
      } else {
        group.colSpan++;
      }
      column.heading = this.#heading(column, 1);
      fields.append(column.heading);
    }
    this.#head.replaceChildren(sections, fields);
    this.#colgroup.replaceChildren(...this.#allColumns().map(() => element('col')));
    for (const space of this.#spaces) space.cells[0].colSpan = this.#allColumns().length;
    this.#setWidths();
    if (focused !== undefined) this.#head.querySelector(`[data-column="${CSS.escape(focused)}"]`)?.focus();
  }

  #heading(column, rowSpan) {
    const button = element('button', { type: 'button', title: `Sort by ${column.field}`, textContent: column.field });
    button.dataset.column = column.id;
    const heading = element('th', { scope: 'col', rowSpan }, button);
    if (column.id === 'key' || column.id === 'slot') heading.classList.add(column.id);
    heading.classList.toggle('number', column.numeric);
    if (this.#sort?.column.id === column.id) heading.ariaSort = this.#sort.descending ? 'descending' : 'ascending';
    return heading;
  }

  // The layout is fixed: a browser that had to measure all cells for each drawing would do nothing else.
  #setWidths() {
    const widths = [KEY_CH, SLOT_CH, ...this.#columns.list.map((column) => column.width)];
    widths.forEach((width, i) => (this.#colgroup.children[i].style.width = `${width + PADDING_CH}ch`));
    const total = widths.reduce((sum, width) => sum + width + PADDING_CH, 0);
    this.#table.style.width = `max(100%, ${total}ch)`;
  }

  // ---- rows

  // Elements of rows that are in sight no more, from the top: used again in this order most of them stay where they are.
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
    this.#marked.clear();
  }

  #makeRow() {
    const key = element('th', { scope: 'row', className: 'key' });
    const slot = element('td', { className: 'slot number' });
    const cells = this.#columns.list.map(() => element('td'));
    return {
      node: element('tr', {}, key, slot, ...cells),
      key,
      slot,
      cells,
      texts: cells.map(() => ''),
      marks: cells.map(() => 0),
      data: undefined,
    };
  }

  #nameRow(drawn, row) {
    drawn.node.dataset.key = row.key;
    setText(drawn.key, shortKey(row.key));
    drawn.key.title = row.key;
    drawn.data = undefined;
    this.#unmark(drawn);
    this.#drawn.set(row.key, drawn);
  }

  // True when a column had to become wider.
  #fill(drawn, row, interval) {
    if (drawn.data === row.data) return false;
    drawn.data = row.data;
    drawn.node.classList.toggle('partial', row.partial);
    setText(drawn.slot, valueOf(row, SLOT_COLUMN));
    const fresh = row.interval === interval;
    let widened = false;
    this.#columns.list.forEach((column, i) => {
      const value = valueOf(row, column);
      const text = valueText(value);
      if (drawn.texts[i] !== text) {
        drawn.texts[i] = text;
        widened = this.#write(drawn.cells[i], column, value, text) || widened;
      }
      if (fresh && row.touched.has(column.id)) this.#mark(drawn, i);
    });
    return widened;
  }

  #mark(drawn, i) {
    drawn.marks[i] = performance.now();
    drawn.cells[i].classList.remove('recent');
    drawn.cells[i].classList.add('fresh');
    this.#marked.add(drawn);
  }

  #unmark(drawn) {
    if (!this.#marked.delete(drawn)) return;
    drawn.marks.fill(0);
    for (const cell of drawn.cells) cell.classList.remove('fresh', 'recent');
  }

  // Takes away from the marks what time has taken. Answers in how many ms it wants to be called again; undefined when nothing is
  // marked any more.
  fade() {
    const now = performance.now();
    for (const drawn of this.#marked) {
      let marked = false;
      drawn.marks.forEach((at, i) => {
        if (at === 0) return;
        const over = now - at >= RECENT_MS;
        if (now - at >= FRESH_MS) drawn.cells[i].classList.remove('fresh');
        drawn.cells[i].classList.toggle('recent', now - at >= FRESH_MS && !over);
        if (over) drawn.marks[i] = 0;
        else marked = true;
      });
      if (!marked) this.#marked.delete(drawn);
    }
    return this.#marked.size > 0 ? FRESH_MS : undefined;
  }

  #write(cell, column, value, text) {
    cell.textContent = text;
    cell.title = typeof value === 'string' && value !== text ? value : '';
    const numeric = isNumeric(value);
    cell.classList.toggle('number', numeric);
    cell.classList.toggle('nothing', value === null);
    if (numeric && !column.numeric) {
      column.numeric = true;
      column.heading.classList.add('number');
    }
    const width = widthOf(text.length);
    if (width <= column.width) return false;
    column.width = width;
    return true;
  }
}
