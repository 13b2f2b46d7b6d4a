// The entities of one view, merged from the server's frames. No DOM, no clock, no network.
//
// Rows are kept in the order of their last change. Data is never changed in place: a patch makes new objects along its
// path and shares the rest, so "did this field change" is a comparison of references.

export function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

// The patch rules of the stack format: objects merge deeply; an array whose dotted path is in `append` is concatenated,
// any other value replaces; null is a value like any other.
export function mergePatch(before, patch, append = new Set(), path = '') {
  if (Array.isArray(before) && Array.isArray(patch) && append.has(path)) return [...before, ...patch];
  if (!isObject(before) || !isObject(patch)) return patch;
  // The spread makes own properties of all names, "__proto__" too, so the assignments below never reach a prototype.
  const merged = { ...before, ...patch };
  for (const name of Object.keys(patch)) {
    if (Object.hasOwn(before, name)) {
      merged[name] = mergePatch(before[name], patch[name], append, path === '' ? name : `${path}.${name}`);
    }
  }
  return merged;
}

// Cursors are "<slot>:<12-digit index>"; the slot has no leading zeros, so it has to be compared as a number. A row
// without a cursor comes first.
export function compareCursors(a, b) {
  const [slotA, indexA] = String(a ?? '').split(':');
  const [slotB, indexB] = String(b ?? '').split(':');
  return Number(slotA) - Number(slotB) || Number(indexA ?? 0) - Number(indexB ?? 0);
}

// Ids of the fields ("section.field", or the name alone outside a section) of `after` that are not the same in `before`.
export function changedFields(before, after) {
  const changed = new Set();
  if (!isObject(after)) return changed;
  for (const section of Object.keys(after)) {
    const now = after[section];
    const then = isObject(before) && Object.hasOwn(before, section) ? before[section] : undefined;
    if (now === then) continue;
    if (!isObject(now)) {
      changed.add(section);
      continue;
    }
    for (const field of Object.keys(now)) {
      if (!isObject(then) || !Object.hasOwn(then, field) || then[field] !== now[field])
        changed.add(`${section}.${field}`);
    }
  }
  return changed;
}

// A row is {key, data, touched, epoch, newer, older}: `touched` holds the ids of the fields that live frames have changed
// since a reader last emptied it; the rest belongs to the store.
export class EntityStore {
  #rows = new Map();
  #newest = null;
  #epoch = 0; // counts snapshots: a row of an older epoch is one that the present snapshot has not named
  #loading = false;

  changes = 0; // live frames applied, ever
  version = 0; // grows with everything that can be seen

  get size() {
    return this.#rows.size;
  }
  get loading() {
    return this.#loading;
  }
  get(key) {
    return this.#rows.get(key);
  }
  entities() {
    return Object.fromEntries([...this.#rows.values()].map((row) => [row.key, row.data]));
  }

  clear() {
    this.#rows.clear();
    this.#newest = null;
    this.#loading = false;
    this.version++;
  }

  // The first `limit` rows, most recently changed first, whose key contains `text` (in any case), and how many there are.
  newest(limit, text = '') {
    const wanted = text.trim().toLowerCase();
    const rows = [];
    let matches = wanted === '' ? this.size : 0;
    for (let row = this.#newest; row !== null; row = row.older) {
      if (wanted === '') {
        if (rows.length === limit) break;
        rows.push(row);
      } else if (row.key.toLowerCase().includes(wanted)) {
        matches++;
        if (rows.length < limit) rows.push(row);
      }
    }
    return { rows, matches };
  }

  // Takes a frame of this store's view; false when it is of no kind that changes rows.
  apply(frame) {
    switch (frame.op) {
      case 'subscribed':
        this.#beginSnapshot();
        break;
      case 'snapshot':
        if (!this.#loading) this.#beginSnapshot();
        for (const { key, data } of frame.data) this.#put(key, data);
        if (frame.complete === true) this.#endSnapshot();
        break;
      case 'patch':
        this.#change(frame.key, (before) => mergePatch(before, frame.data, new Set(frame.append)));
        break;
      case 'upsert':
        this.#change(frame.key, () => frame.data);
        break;
      case 'delete':
        this.changes++;
        this.#remove(frame.key);
        break;
      default:
        return false;
    }
    this.version++;
    return true;
  }

  #beginSnapshot() {
    this.#epoch++;
    this.#loading = true;
  }

  #endSnapshot() {
    this.#loading = false;
    const rows = [...this.#rows.values()].filter((row) => row.epoch === this.#epoch);
    rows.sort((a, b) => compareCursors(a.data?._seq, b.data?._seq));
    this.#rows.clear();
    this.#newest = null;
    for (const row of rows) {
      this.#rows.set(row.key, row);
      this.#link(row);
    }
  }

  // A row that the running snapshot has not named yet is of the time before: a patch must not be merged into it.
  #change(key, next) {
    const row = this.#rows.get(key);
    const before = row !== undefined && row.epoch === this.#epoch ? row.data : undefined;
    const after = next(before);
    this.changes++;
    const changed = this.#put(key, after);
    for (const id of changedFields(before, after)) changed.touched.add(id);
  }

  #put(key, data) {
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = { key, data, touched: new Set(), epoch: this.#epoch, newer: null, older: null };
      this.#rows.set(key, row);
    } else {
      row.data = data;
      row.epoch = this.#epoch;
      this.#unlink(row);
    }
    this.#link(row);
    return row;
  }

  #remove(key) {
    const row = this.#rows.get(key);
    if (row === undefined) return;
    this.#rows.delete(key);
    this.#unlink(row);
  }

  #link(row) {
    row.newer = null;
    row.older = this.#newest;
    if (this.#newest !== null) this.#newest.newer = row;
    this.#newest = row;
  }

  #unlink(row) {
    if (row.newer !== null) row.newer.older = row.older;
    else this.#newest = row.older;
    if (row.older !== null) row.older.newer = row.newer;
  }
}
