// The entities of one view, merged from the server's frames. No DOM, no clock, no network.
//
// Rows are kept in the order of their last change. Data is never changed in place: a patch makes new objects along its
// path and shares the rest, so "did this field change" is a comparison of references.
//
// At most `rowsMax` rows are kept: of a larger view those with the newest cursors, then those that changed last. A patch for a
// row that was let go makes a *partial* row: it has only what has changed since.

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

// A row is {key, data, touched, interval, partial, …}: `touched` holds the ids of the fields that live frames have changed in
// the store's interval number `interval`, `partial` says that fields may be missing; the rest belongs to the store.
export class EntityStore {
  #rows = new Map();
  #newest = null;
  #oldest = null;
  #epoch = 0; // counts snapshots: a row of an older epoch is one that the present snapshot has not named
  #loading = false;
  #resetting = false; // the running snapshot is one that another generation began
  #rowsMax;
  #onChange;

  changes = 0; // live frames applied, ever
  leftOut = 0; // rows let go since the snapshot began
  interval = 0;

  // onChange(key, before, after): a live frame has changed a row; undefined stands for no row.
  constructor({ rowsMax = 20_000, onChange = () => {} } = {}) {
    this.#rowsMax = rowsMax;
    this.#onChange = onChange;
  }

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
    this.#newest = this.#oldest = null;
    this.#loading = this.#resetting = false;
    this.leftOut = 0;
  }

  // All rows, most recently changed first.
  newest() {
    const rows = [];
    for (let row = this.#newest; row !== null; row = row.older) rows.push(row);
    return rows;
  }

  // Ends the present interval and answers its number: rows that say it have changed in it.
  closeInterval() {
    return this.interval++;
  }

  // Takes a frame of this store's view; false when it is of no kind that changes rows.
  apply(frame) {
    switch (frame.op) {
      case 'subscribed':
        this.#beginSnapshot(false);
        return true;
      case 'snapshot':
        this.#takeSnapshot(frame);
        return true;
      case 'patch':
        this.#change(frame.key, (before) => mergePatch(before, frame.data, new Set(frame.append)), this.leftOut > 0);
        return true;
      case 'upsert':
        this.#change(frame.key, () => frame.data, false);
        return true;
      case 'delete':
        this.changes++;
        this.#remove(frame.key);
        return true;
      default:
        return false;
    }
  }

  // "reset" begins a snapshot of another generation, of whatever was held or on its way before.
  #takeSnapshot({ data, complete, reset = false }) {
    if (!this.#loading || reset !== this.#resetting) this.#beginSnapshot(reset);
    for (const row of data) this.#put(row.key, row.data, false);
    if (complete === true) this.#endSnapshot();
    else if (this.size > 1.5 * this.#rowsMax) this.#keep([...this.#rows.values()]);
  }

  #beginSnapshot(reset) {
    this.#epoch++;
    this.#loading = true;
    this.#resetting = reset;
    this.leftOut = 0;
  }

  #endSnapshot() {
    this.#loading = this.#resetting = false;
    this.#keep([...this.#rows.values()].filter((row) => row.epoch === this.#epoch));
  }

  // Keeps the newest of these rows, and none beside them.
  #keep(rows) {
    rows.sort((a, b) => a.epoch - b.epoch || compareCursors(a.data?._seq, b.data?._seq));
    const kept = rows.slice(-this.#rowsMax);
    this.leftOut += rows.length - kept.length;
    this.#rows.clear();
    this.#newest = this.#oldest = null;
    for (const row of kept) {
      this.#rows.set(row.key, row);
      this.#link(row);
    }
  }

  // A row that the running snapshot has not named yet is of the time before: a patch must not be merged into it.
  #change(key, next, partial) {
    const held = this.#rows.get(key);
    const current = held !== undefined && held.epoch === this.#epoch;
    const before = current ? held.data : undefined;
    const after = next(before);
    this.changes++;
    const row = this.#put(key, after, current ? held.partial && partial : partial);
    if (row.interval !== this.interval) {
      row.interval = this.interval;
      row.touched.clear();
    }
    for (const id of changedFields(before, after)) row.touched.add(id);
    this.#onChange(key, before, after);
    while (!this.#loading && this.size > this.#rowsMax) {
      this.leftOut++;
      this.#drop(this.#oldest);
    }
  }

  #put(key, data, partial) {
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = { key, data, touched: new Set(), interval: -1, partial, epoch: this.#epoch, newer: null, older: null };
      this.#rows.set(key, row);
    } else {
      row.data = data;
      row.partial = partial;
      row.epoch = this.#epoch;
      this.#unlink(row);
    }
    this.#link(row);
    return row;
  }

  #remove(key) {
    const row = this.#rows.get(key);
    if (row === undefined) return;
    this.#drop(row);
    this.#onChange(key, row.data, undefined);
  }

  #drop(row) {
    this.#rows.delete(row.key);
    this.#unlink(row);
  }

  #link(row) {
    row.newer = null;
    row.older = this.#newest;
    if (this.#newest !== null) this.#newest.newer = row;
    else this.#oldest = row;
    this.#newest = row;
  }

  #unlink(row) {
    if (row.newer !== null) row.newer.older = row.older;
    else this.#newest = row.older;
    if (row.older !== null) row.older.newer = row.newer;
    else this.#oldest = row.newer;
  }
}
