// Small helpers for text in the document.

// Leaves the node alone when it says this already: a write costs a layout, and a selection.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function ageText(ms) {
  if (ms < 2000) return 'just now';
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return `${seconds} s ago`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min ago` : `${Math.floor(seconds / 3600)} h ago`;
}

// Objects with their names in order, as the server writes them; merging puts new names last.
export function prettyJson(value) {
  const ordered = (_, part) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort())
      : part;
  return JSON.stringify(value, ordered, 2);
}
