// One entity: its JSON and its latest changes. Beside the table where there is room, over it where there is not.

import { differences } from './journal.js';
import { JsonTree } from './json_tree.js';
import { clip, element, flat, setText, valueText } from './text.js';

const CHANGES_MAX = 50;
const besideTable = matchMedia('(min-width: 1000px)');
const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });

export class Detail {
  #dialog;
  #store;
  #journal;
  #tree;
  #part = (name) => this.#dialog.querySelector(`#detail-${name}`);
  #shown; // data that the tree shows
  #newest; // change that heads the list

  key; // undefined: closed

  constructor(dialog, store, journal, onClose) {
    this.#dialog = dialog;
    this.#store = store;
    this.#journal = journal;
    this.#tree = new JsonTree(this.#part('json'));
    dialog.addEventListener('close', () => {
      if (dialog.open) return; // it only took another place
      this.key = undefined;
      onClose();
    });
    dialog.addEventListener('click', (event) => {
      if (event.target === dialog && dialog.matches(':modal')) dialog.close(); // beside the drawer
    });
    besideTable.addEventListener('change', () => this.key !== undefined && this.#show());
  }

  open(key) {
    const first = this.key === undefined;
    this.key = key;
    this.#shown = this.#newest = undefined;
    this.#tree.reset();
    this.#part('changes').replaceChildren();
    setText(this.#part('key'), key);
    if (first) this.#show();
    this.draw();
  }

  close() {
    if (this.key !== undefined) this.#dialog.close();
  }

  focus() {
    this.#part('json').focus();
  }

  // Only where it would be in the way.
  closeOver() {
    if (this.#dialog.matches(':modal')) this.close();
  }

  #show() {
    const focused = document.activeElement;
    this.#dialog.close();
    if (besideTable.matches) {
      this.#dialog.show();
      focused?.focus({ preventScroll: true });
    } else {
      this.#dialog.showModal();
    }
  }

  draw() {
    if (this.key === undefined) return;
    const row = this.#store.get(this.key);
    setText(this.#part('note'), noteOf(row));
    if (this.#held()) return;
    const data = row !== undefined ? row.data : (this.#shown ?? this.#journal.of(this.key, 1)[0]?.before);
    if (data !== this.#shown) {
      this.#shown = data;
      this.#tree.show(data);
    }
    this.#drawChanges();
  }

  // A change would take away the selection, or what is pressed before it is let go.
  #held() {
    const selection = getSelection();
    const selecting = this.#dialog.contains(selection.anchorNode) && !selection.isCollapsed;
    return selecting || this.#dialog.matches(':active');
  }

  #drawChanges() {
    const changes = this.#journal.of(this.key, CHANGES_MAX);
    if (changes[0] === this.#newest && changes.length > 0) return;
    const list = this.#part('changes');
    const fresh = this.#newest === undefined ? changes : changes.slice(0, changes.indexOf(this.#newest) >>> 0);
    list.prepend(...fresh.map(changeItem));
    while (list.childElementCount > CHANGES_MAX) list.lastElementChild.remove();
    this.#newest = changes[0];
    setText(this.#part('none'), list.childElementCount === 0 ? 'No change since this page follows the view.' : '');
  }
}

function noteOf(row) {
  if (row === undefined) return 'This entity is gone; what it last was is below.';
  const cursor = `Cursor ${row.data?._seq ?? '—'}`;
  return row.partial ? `${cursor} · only the fields that changed since the page let this row go` : cursor;
}

function changeItem({ before, after, at }) {
  const slot = String((after ?? before)?._seq ?? '—').split(':')[0];
  const item = element(
    'li',
    {},
    element('p', { className: 'when', textContent: `${clock.format(at)} · slot ${slot}` }),
  );
  if (after === undefined) item.append(element('p', { textContent: 'deleted' }));
  else if (before === undefined) item.append(element('p', { textContent: 'came into the view' }));
  else item.append(...differences(before, after).map(differenceLine));
  return item;
}

function differenceLine({ path, before, after, added }) {
  const name = element('span', { className: 'name', textContent: clip(path) });
  if (added !== undefined) {
    const what = added.length === 1 ? valueText(flat(added[0])) : valueText(added);
    return element('p', {}, name, ' + ', element('span', { className: 'after', textContent: what }));
  }
  const then = element('span', { className: 'before', textContent: textOf(before) });
  const now = element('span', { className: 'after', textContent: textOf(after) });
  return element('p', {}, name, ' ', then, ' → ', now);
}

function textOf(value) {
  return value === undefined ? '—' : valueText(value) || '""';
}
