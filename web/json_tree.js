// A value as JSON that can be folded. What is folded is not in the document; folds stay as they are when the value changes.

import { element, flat, valueText } from './text.js';

const CHILDREN_MAX = 200; // of one object or array
const OPEN_DEPTH = 2; // objects are folded from here on, lists from the first, until somebody says otherwise

export class JsonTree {
  #root;
  #folds = new Map(); // path -> open, where somebody has said so

  constructor(root) {
    this.#root = root;
    // "toggle" does not bubble; it is caught on its way down.
    root.addEventListener('toggle', (event) => this.#toggled(event.target), true);
  }

  // Another entity begins with nothing folded by hand.
  reset() {
    this.#folds.clear();
    this.#root.replaceChildren();
  }

  show(value) {
    const focused = this.#root.contains(document.activeElement)
      ? document.activeElement.parentElement?.dataset.path
      : undefined;
    const scrollTop = this.#root.scrollTop;
    const folding = value !== null && typeof value === 'object';
    this.#root.replaceChildren(folding ? this.#children(value, '', 0) : this.#leaf(value, []));
    this.#root.scrollTop = scrollTop;
    if (focused !== undefined) {
      this.#root.querySelector(`details[data-path="${CSS.escape(focused)}"] > summary`)?.focus({ preventScroll: true });
    }
  }

  #toggled(details) {
    const { path } = details.dataset;
    if (details.open === details.childElementCount > 1) return; // made so by show()
    this.#folds.set(path, details.open);
    if (details.open) details.append(this.#children(details.value, path, Number(details.dataset.depth)));
    else details.lastElementChild.remove();
  }

  #node(value, name, depth, path) {
    const label = [element('span', { className: 'name', textContent: name }), ': '];
    if (value === null || typeof value !== 'object' || Object.keys(value).length === 0) return this.#leaf(value, label);
    const open = this.#folds.get(path) ?? (depth < OPEN_DEPTH && !Array.isArray(value));
    const brief = element('span', { className: 'brief', textContent: briefOf(value) });
    const details = element('details', { open, value }, element('summary', {}, ...label, brief));
    details.dataset.path = path;
    details.dataset.depth = depth;
    if (open) details.append(this.#children(value, path, depth));
    return details;
  }

  #leaf(value, label) {
    const text = JSON.stringify(value) ?? '—';
    return element(
      'div',
      { className: 'leaf' },
      ...label,
      element('span', { className: kindOf(value), textContent: text }),
    );
  }

  // Names in order, as the server writes them (merging puts new ones last); elements with the newest first.
  #children(value, path, depth) {
    const isArray = Array.isArray(value);
    const names = isArray ? Object.keys(value).reverse() : Object.keys(value).sort();
    const shown = names.slice(0, CHILDREN_MAX);
    const nodes = shown.map((name) => this.#node(value[name], name, depth + 1, `${path}/${name}`));
    if (names.length > shown.length) {
      nodes.push(element('div', { className: 'leaf brief', textContent: `${names.length - shown.length} more` }));
    }
    return element('div', { className: 'children' }, ...nodes);
  }
}

function kindOf(value) {
  return value === null ? 'null' : typeof value;
}

function briefOf(value) {
  return Array.isArray(value) ? `[ ${valueText(value)} ]` : `{ ${valueText(flat(value))} }`;
}
