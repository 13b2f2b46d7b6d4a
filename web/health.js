// GET status once a second, shown as tiles, gaps and notices.

import { Rate, gapText, noticesOf, tilesOf } from './status.js';
import { ageText, counted, element, grouped, setText } from './text.js';

const POLL_MS = 1000;
const FETCH_TIMEOUT_MS = 5000;
const STALE_MS = 5000;
const GAPS_LISTED_MAX = 200;

export class Health {
  #root;
  #url;
  #onStatus;
  #tiles = new Map(); // field -> {node, value, unit, note}
  #updates = new Rate();
  #receivedAt;
  #failingSince;
  #gapsShown = '';

  status = {}; // the last one read; empty until then
  problem = ''; // why it could not be read just now

  // root holds #health, #gaps and #notices; the age of the reading is shown at #status-age.
  constructor(root, url, onStatus) {
    this.#root = root;
    this.#url = url;
    this.#onStatus = onStatus;
    for (const tile of this.#contents()) this.#addTile(tile);
  }

  failingMs() {
    return this.#failingSince === undefined ? 0 : performance.now() - this.#failingSince;
  }

  async run() {
    for (;;) {
      await this.#poll();
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async #poll() {
    try {
      // A server that is not ready says so with 503 and the same JSON.
      const response = await fetch(this.#url, { cache: 'no-store', signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
      if (!(response.headers.get('content-type') ?? '').includes('json')) throw new Error(`HTTP ${response.status}`);
      this.status = await response.json();
      this.#receivedAt = performance.now();
      this.#failingSince = undefined;
      this.problem = '';
      this.#updates.add(this.status.projector?.updates, this.#receivedAt);
    } catch (error) {
      this.#failingSince ??= performance.now();
      this.problem = `The server's status cannot be read (${error.message}).`;
    }
    this.#showValues();
    this.#showGaps();
    this.showAge();
    this.#onStatus();
  }

  // Ages are those of the reading: what the server says now is not known while it says nothing.
  #contents() {
    const age = this.#receivedAt === undefined ? 0 : performance.now() - this.#receivedAt;
    return tilesOf(this.status, {
      updates: this.#updates,
      now: Date.now() - age,
    });
  }

  #addTile({ field, label }) {
    const value = element('b', { textContent: '—' });
    value.dataset.field = field;
    value.dataset.value = '';
    const unit = element('span', { className: 'unit' });
    const note = element('dd', { className: 'note' });
    const node = element('div', {}, element('dt', { textContent: label }), element('dd', {}, value, ' ', unit), note);
    this.#root.querySelector('#health').append(node);
    this.#tiles.set(field, { node, value, unit, note });
  }

  #showValues() {
    for (const { field, value, unit = '', note, noteField, level = '', plain } of this.#contents()) {
      const tile = this.#tiles.get(field);
      const known = value !== undefined && value !== null && value !== '';
      setText(tile.value, !known ? '—' : typeof value === 'number' && !plain ? grouped.format(value) : String(value));
      tile.value.dataset.value = known ? value : '';
      setText(tile.unit, known ? unit : '');
      setText(tile.note, note);
      tile.node.dataset.level = known ? level : '';
      if (noteField !== undefined) {
        tile.note.dataset.field = noteField[0];
        tile.note.dataset.value = noteField[1] ?? '';
      }
    }
  }

  #showGaps() {
    const gaps = [...(this.status.gaps ?? [])].reverse();
    const shown = JSON.stringify(gaps.length > 0 ? [gaps.length, gaps[0]] : []);
    if (shown === this.#gapsShown) return;
    this.#gapsShown = shown;
    const details = this.#root.querySelector('#gaps');
    details.hidden = gaps.length === 0;
    if (gaps.length === 0) return;
    const [summary, list] = details.children;
    const which = gaps.length === 1 ? ':' : '; the newest:';
    setText(summary, `${counted(gaps.length, 'gap')} in this state${which} ${gapText(gaps[0])}`);
    list.replaceChildren(...gaps.slice(0, GAPS_LISTED_MAX).map((gap) => element('li', { textContent: gapText(gap) })));
    const more = gaps.length - GAPS_LISTED_MAX;
    if (more > 0) list.append(element('li', { textContent: `and ${counted(more, 'older gap')}` }));
  }

  showAge() {
    const age = this.#receivedAt === undefined ? undefined : performance.now() - this.#receivedAt;
    setText(
      document.getElementById('status-age'),
      age === undefined ? 'Status not read yet' : `Status read ${ageText(age)}`,
    );
    document.body.classList.toggle('stale', age > STALE_MS);
  }

  // Of this page first, then of the server.
  showNotices(ours) {
    const notices = [...ours, ...(this.problem ? [this.problem] : []), ...noticesOf(this.status)];
    const list = this.#root.querySelector('#notices');
    const shown = [...list.children].map((item) => item.textContent);
    if (shown.join('\n') !== notices.join('\n')) {
      list.replaceChildren(...notices.map((textContent) => element('li', { textContent })));
    }
  }
}
