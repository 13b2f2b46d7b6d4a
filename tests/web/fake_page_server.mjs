// A small server for working on the page: the files of web/, /status, and a WebSocket that serves the List, State and Append
// views of two recorded entities. It changes its entities by plain code, so that what it holds is no work of the page's merging.
//
//   node fake_page_server.mjs [--port N] [--rate CHANGES_PER_SECOND]
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { WebSocketServer, here } from './modules.mjs';

const webFolder = path.join(here, '..', '..', 'web');
const entitiesFile = path.join(here, '..', 'recordings', 'spl-small.entities.json');
const contentTypes = { html: 'text/html', css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' };
const csp =
  "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const firstSlot = 398_210_030;
const snapshotChunk = 50;
const modes = ['list', 'state', 'append'];

const entityOf = (view) => view.split('/')[0];
const modeOf = (view) => view.split('/')[1];

export class FakePageServer {
  #port = 0;
  #http = null;
  #sockets = new Set(); // {socket, views: Map of view -> key or undefined}
  #slot = firstSlot;
  #heardAt; // clock time of the newest slot
  #index = 0;
  #updates = 0;
  #noise = 1;

  entities = {}; // list view -> {key: data}; the entity's other views have the same rows
  statusExtra = {};
  notAttached = false;

  constructor() {
    const recorded = JSON.parse(fs.readFileSync(entitiesFile, 'utf8'));
    for (const [entity, rows] of Object.entries(recorded)) {
      for (const row of Object.values(rows)) row._seq = this.#nextSeq();
      this.entities[`${entity}/list`] = rows;
    }
  }

  get url() {
    return `http://127.0.0.1:${this.#port}/`;
  }
  get sessions() {
    return this.#sockets.size;
  }

  // Comes back at the port that it had.
  async start(port = this.#port) {
    this.#http = http.createServer((request, response) => this.#answer(request, response));
    await this.#listen(port);
    const sockets = new WebSocketServer({ server: this.#http });
    sockets.on('connection', (socket) => this.#accept(socket));
    this.#port = this.#http.address().port;
  }

  // With 0 at a port that the kernel gives to nobody who asks for any: nobody comes to sit on it while this server is away.
  async #listen(port) {
    const [low] = fs.readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s/).map(Number);
    const chosen = port || Math.floor((low * (1 + Math.random())) / 2);
    try {
      await new Promise((resolve, reject) => {
        this.#http.once('error', reject).listen(chosen, '127.0.0.1', () => {
          this.#http.off('error', reject);
          resolve();
        });
      });
    } catch (error) {
      if (port || error.code !== 'EADDRINUSE') throw error;
      await this.#listen(0);
    }
  }

  async goAway(code = 1012, reason = 'shutdown') {
    for (const { socket } of this.#sockets) socket.close(code, reason);
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
    for (const { socket } of this.#sockets) socket.terminate();
  }

  // A pseudo-random whole number below n, the same in every run.
  random(n) {
    this.#noise = (Math.imul(this.#noise, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#noise / 2 ** 32) * n);
  }

  randomKey(view) {
    const keys = Object.keys(this.entities[view]);
    return keys[this.random(keys.length)];
  }

  send(view, op, key, data, append = []) {
    const seq = this.#nextSeq();
    if (data !== null) data._seq = seq;
    this.#updates++;
    const frame = { op, key, data, ...(append.length > 0 ? { append } : {}), seq };
    this.#toListeners(view, key, (socket, heading) => socket.send(JSON.stringify({ ...heading, ...frame })));
    return seq;
  }

  // key: undefined for what concerns every key.
  #toListeners(view, key, send) {
    for (const { socket, views } of this.#sockets) {
      for (const [listened, only] of views) {
        if (entityOf(listened) !== entityOf(view) || ![undefined, key].includes(only)) continue;
        send(socket, { mode: modeOf(listened), entity: listened }, listened);
      }
    }
  }

  // Serves these rows from now on, as after a rewind: deletes first, then the whole view again.
  rewind(view, rows) {
    const gone = Object.keys(this.entities[view]).filter((key) => !Object.hasOwn(rows, key));
    this.entities[view] = rows;
    this.#toListeners(view, undefined, (socket, heading, listened) => {
      for (const key of gone) socket.send(JSON.stringify({ ...heading, op: 'delete', key, data: null }));
      this.#sendSnapshot(socket, listened, undefined, { reset: true });
    });
  }

  // A transfer of a token account: numbers that move, and an element that is appended.
  transfer(view = 'TokenAccount/list', key = this.randomKey(view)) {
    const row = this.entities[view][key];
    const amount = 1 + this.random(1_000_000);
    const element = { data: { amount }, slot: this.#slot };
    row.activity = { ...row.activity, sent_count: (row.activity?.sent_count ?? 0) + 1, last_sent_slot: this.#slot };
    row.transfers = [...(row.transfers ?? []), element];
    row.transfers_total = (row.transfers_total ?? 0) + 1;
    let append = ['transfers'];
    let sent = [element];
    if (row.transfers.length >= 200) {
      sent = row.transfers = row.transfers.slice(-100);
      append = [];
    }
    const { sent_count, last_sent_slot } = row.activity;
    const patch = { activity: { sent_count, last_sent_slot }, transfers: sent, transfers_total: row.transfers_total };
    row._seq = this.send(view, 'patch', key, patch, append);
  }

  upsert(view, key, data) {
    this.entities[view][key] = data;
    this.send(view, 'upsert', key, data);
  }

  delete(view, key) {
    delete this.entities[view][key];
    this.send(view, 'delete', key, null);
  }

  nextSlot() {
    this.#slot++;
    this.#heardAt = Date.now();
    this.#index = 0;
  }

  #nextSeq() {
    return `${this.#slot}:${String(++this.#index).padStart(12, '0')}`;
  }

  #accept(socket) {
    const session = { socket, views: new Map() };
    this.#sockets.add(session);
    socket.on('close', () => this.#sockets.delete(session));
    socket.on('message', (text) => {
      const { type, view, key } = JSON.parse(text);
      if (type === 'unsubscribe') session.views.delete(view);
      else if (type === 'subscribe') this.#subscribe(session, view, key);
    });
  }

  #subscribe({ socket, views }, view, key) {
    if (!this.#views().some(({ id }) => id === view)) {
      const code = 'unknown-view';
      const message = `There is no view "${view}".`;
      socket.send(JSON.stringify({ type: 'error', error: code, message, code, retryable: false, fatal: false, view }));
      return;
    }
    const mode = modeOf(view);
    const only = mode === 'state' ? (key ?? '') : key;
    views.set(view, only);
    const sort = mode === 'list' ? { sort: { field: ['_seq'], order: 'desc' } } : {};
    socket.send(JSON.stringify({ op: 'subscribed', view, mode, ...sort }));
    this.#sendSnapshot(socket, view, only, {});
  }

  #sendSnapshot(socket, view, only, extra) {
    const rows = this.entities[`${entityOf(view)}/list`];
    const keys = Object.keys(rows)
      .filter((key) => only === undefined || key === only)
      .sort();
    for (let from = 0; from === 0 || from < keys.length; from += snapshotChunk) {
      const data = keys.slice(from, from + snapshotChunk).map((key) => ({ key, data: rows[key] }));
      const complete = from + snapshotChunk >= keys.length;
      socket.send(JSON.stringify({ mode: modeOf(view), entity: view, op: 'snapshot', data, complete, ...extra }));
    }
  }

  #views() {
    return Object.keys(this.entities).flatMap((id) => {
      const entity = entityOf(id);
      return modes.map((mode) => ({ id: `${entity}/${mode}`, entity, mode }));
    });
  }

  #answer(request, response) {
    const name = new URL(request.url, this.url).pathname;
    if (name === '/status') {
      response.writeHead(this.notAttached ? 503 : 200, {
        'Content-Type': 'application/json',
        'Cache-Control': 'no-store',
      });
      response.end(JSON.stringify(this.#status()));
      return;
    }
    const file = path.join(webFolder, name === '/' ? 'index.html' : path.basename(name));
    if (!fs.existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    const type = contentTypes[path.extname(file).slice(1)];
    response.writeHead(200, {
      'Content-Type': `${type}; charset=utf-8`,
      'Content-Security-Policy': csp,
      'Cache-Control': 'no-cache',
    });
    response.end(fs.readFileSync(file));
  }

  #status() {
    if (this.notAttached) return { status: 'Disconnected', healthy: false, error_count: 0 };
    const count = Object.values(this.entities).reduce((sum, rows) => sum + Object.keys(rows).length, 0);
    return {
      status: 'Connected',
      healthy: true,
      error_count: 0,
      stack: { name: 'SplStream', hash: '00' },
      generation: 1,
      watermark: {
        number: 30,
        slot: this.#slot,
        blockhash: '11111111111111111111111111111111',
        block_time: Math.floor(Date.now() / 1000) - 1,
      },
      newest_slot: this.#slot + 1,
      lag_slots: 1,
      stream: {
        state: 'live',
        proven: true,
        error: '',
        from_slot: null,
        reconnects: 0,
        heard_ms_ago: this.#heardAt === undefined ? null : Date.now() - this.#heardAt,
      },
      gaps: [],
      faults: [],
      views: this.#views(),
      unsupported_views: [],
      projector: { updates: this.#updates },
      fanout: { sessions: this.#sockets.size, subscriptions: this.#sockets.size },
      rewind: null,
      store: { entities_estimate: count },
      ...this.statusExtra,
    };
  }
}

async function main() {
  const { values } = parseArgs({
    options: { port: { type: 'string', default: '0' }, rate: { type: 'string', default: '20' } },
  });
  const server = new FakePageServer();
  await server.start(Number(values.port));
  process.stdout.write(`${server.url}\n`);
  const rate = Number(values.rate);
  let due = 0;
  setInterval(() => {
    for (due += rate / 20; due >= 1; due--) server.transfer();
  }, 50);
  setInterval(() => server.nextSlot(), 400);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main();
