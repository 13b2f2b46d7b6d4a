// Small helpers for text in the document.

export const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

// Leaves the node alone when it says this already: a write costs a layout, and a selection.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

export function counted(count, one, many = `${one}s`) {
  return `${grouped.format(count)} ${count === 1 ? one : many}`;
}

export function durationText(ms) {
  const seconds = ms / 1000;
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

export function ageText(ms) {
  return ms < 2000 ? 'just now' : `${durationText(Math.floor(ms / 1000) * 1000).replace('.0', '')} ago`;
}

// Data and messages may be of any size; the rest of them is said to be there.
export function clip(text, charactersMax = 200) {
  return text.length > charactersMax ? `${text.slice(0, charactersMax - 1)}…` : text;
}

const publicKey = /^[1-9A-HJ-NP-Za-km-z]{32,88}$/; // and signatures

export function shortKey(key) {
  return publicKey.test(key) ? `${key.slice(0, 6)}…${key.slice(-6)}` : key;
}

// A value on one line: what is long is cut here, and whole in the entity's JSON.
export function valueText(value) {
  if (value === undefined) return '';
  if (value === null) return 'null';
  if (Array.isArray(value)) return counted(value.length, 'item');
  if (typeof value === 'object') return objectText(value);
  return typeof value === 'string' ? clip(shortKey(value)) : String(value);
}

// An element of a list of events is {data: {fields}, slot, …}: what it says on one line are its fields and the slot.
export function flat(value) {
  const isEvent = typeof value?.data === 'object' && value.data !== null && value.slot !== undefined;
  return isEvent ? { ...value.data, slot: value.slot } : value;
}

function objectText(object) {
  const parts = [];
  for (const [name, value] of Object.entries(object)) {
    if (parts.length === 6) {
      parts.push('…');
      break;
    }
    const nested = value !== null && typeof value === 'object' && !Array.isArray(value);
    parts.push(`${name} ${nested ? '{…}' : valueText(value)}`);
  }
  return clip(parts.join(', '));
}
