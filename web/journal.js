// What has changed lately, over all rows of a view. Data is never changed in place, so a change is kept as two references and
// spelled out only when somebody reads it. No DOM, no clock.

import { isObject } from './store.js';

export class Journal {
  #ring = [];
  #next = 0;
  #size;

  constructor(size = 20_000) {
    this.#size = size;
  }

  clear() {
    this.#ring = [];
    this.#next = 0;
  }

  // change: {key, before, after, at}; `before` is undefined for a new row, `after` for one that is gone.
  add(change) {
    this.#ring[this.#next] = change;
    this.#next = (this.#next + 1) % this.#size;
  }

  // The newest `limit` changes of a key, newest first.
  of(key, limit) {
    const found = [];
    for (let i = 1; i <= this.#ring.length && found.length < limit; i++) {
      const change = this.#ring.at(this.#next - i);
      if (change.key === key) found.push(change);
    }
    return found;
  }
}

// The fields that differ, as {path, before, after}, or {path, added: [elements]} for an array that has grown at its end.
export function differences(before, after, path = '') {
  if (before === after) return [];
  if (isObject(after) && (isObject(before) || (before === undefined && path === ''))) {
    const names = new Set([...Object.keys(before ?? {}), ...Object.keys(after)]);
    if (path === '') names.delete('_seq');
    return [...names].flatMap((name) =>
      differences(own(before, name), own(after, name), path === '' ? name : `${path}.${name}`),
    );
  }
  if (Array.isArray(after)) {
    const kept = Array.isArray(before) ? before : [];
    if (before === undefined || (Array.isArray(before) && kept.every((element, i) => element === after[i]))) {
      return [{ path, added: after.slice(kept.length) }];
    }
  }
  return [{ path, before, after }];
}

function own(object, name) {
  return object !== undefined && Object.hasOwn(object, name) ? object[name] : undefined;
}
