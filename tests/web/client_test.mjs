import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client, backoffMs } from '../../web/client.js';

class FakeClock {
  time = 0;
  #timers = new Map();
  #next = 1;

  now = () => this.time;
  setTimeout = (callback, ms) => {
    this.#timers.set(this.#next, { callback, at: this.time + ms });
    return this.#next++;
  };
  clearTimeout = (timer) => this.#timers.delete(timer);

  advance(ms) {
    this.time += ms;
    for (const [timer, { callback, at }] of [...this.#timers]) {
      if (at <= this.time && this.#timers.delete(timer)) callback();
    }
  }
}

class FakeSocket {
  readyState = 0;
  sent = [];
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
  }
  open() {
    this.readyState = 1;
    this.onopen();
  }
  say(message) {
    this.onmessage({ data: typeof message === 'string' ? message : JSON.stringify(message) });
  }
  end(code = 1012, reason = '') {
    this.readyState = 3;
    this.onclose({ code, reason });
  }
}

function make() {
  const clock = new FakeClock();
  const sockets = [];
  const frames = [];
  const openSocket = () => {
    sockets.push(new FakeSocket());
    return sockets.at(-1);
  };
  const client = new Client(
    'ws://x/',
    { onFrame: (frame) => frames.push(frame), onChange: () => {} },
    { openSocket, clock },
  );
  return { clock, sockets, frames, client, last: () => sockets.at(-1) };
}

const subscribed = (view) => ({ op: 'subscribed', view, mode: 'list' });
const snapshot = (view, complete = true) => ({ mode: 'list', entity: view, op: 'snapshot', data: [], complete });

test('the waits are 1, 2, 4, 8, 16 and then always 16 s', () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 50].map(backoffMs), [1000, 2000, 4000, 8000, 16000, 16000, 16000]);
});

test('subscribes when open and is live after the complete snapshot', () => {
  const { client, frames, last } = make();
  client.follow('A/list');
  assert.equal(client.state, 'connecting');
  last().open();
  assert.deepEqual(last().sent, [{ type: 'subscribe', view: 'A/list' }]);
  last().say(subscribed('A/list'));
  last().say(snapshot('A/list', false));
  assert.equal(client.state, 'connecting');
  last().say(snapshot('A/list'));
  assert.equal(client.state, 'live');
  last().say({ mode: 'list', entity: 'B/list', op: 'patch', key: 'k', data: {} });
  assert.equal(frames.length, 3);
});

test('comes back for ever; the waits begin anew only after an answer', () => {
  const { client, clock, sockets, last } = make();
  client.follow('A/list');
  for (const seconds of [1, 2, 4, 8, 16, 16, 16]) {
    const count = sockets.length;
    last().end(1006);
    assert.equal(client.state, 'waiting');
    clock.advance(seconds * 1000 - 1);
    assert.equal(sockets.length, count);
    clock.advance(1);
    assert.equal(sockets.length, count + 1);
    assert.equal(client.state, 'connecting');
    last().open(); // opening alone is no answer
  }
  last().say(subscribed('A/list'));
  last().end(1012, 'shutdown');
  assert.equal(client.problem, 'closed by the server, code 1012: shutdown');
  assert.equal(client.retryAt - clock.now(), 1000);
});

test('why a connection ended: with code and reason, or that nobody answers', () => {
  const { client, clock, last } = make();
  client.follow('A/list');
  last().open();
  last().end(1013, 'too slow');
  assert.equal(client.problem, 'closed by the server, code 1013: too slow');
  clock.advance(1000);
  last().end(1009);
  assert.equal(client.problem, 'closed by the server, code 1009');
  clock.advance(2000);
  last().end(1006);
  assert.equal(client.problem, 'the connection broke off, or nobody answers');
});

test('why a connection ended stands until the next try, whatever is chosen meanwhile', () => {
  const { client, clock, last } = make();
  client.follow('A/list');
  last().open();
  last().end(1013, 'too slow');
  client.follow('B/list');
  assert.equal(client.problem, 'closed by the server, code 1013: too slow');
  clock.advance(1000);
  assert.equal(client.state, 'connecting');
  assert.equal(client.problem, '');
});

test('a view that is watched by key: the key goes with subscribe and unsubscribe, and along into the next connection', () => {
  const { client, clock, last } = make();
  client.follow('A/state', 'k1');
  last().open();
  client.follow('A/state', 'k2');
  client.follow('B/list');
  client.follow('A/state', 'k3');
  assert.deepEqual(last().sent, [
    { type: 'subscribe', view: 'A/state', key: 'k1' },
    { type: 'unsubscribe', view: 'A/state', key: 'k1' },
    { type: 'subscribe', view: 'A/state', key: 'k2' },
    { type: 'unsubscribe', view: 'A/state', key: 'k2' },
    { type: 'subscribe', view: 'B/list' },
    { type: 'unsubscribe', view: 'B/list' },
    { type: 'subscribe', view: 'A/state', key: 'k3' },
  ]);
  last().end(1012, 'shutdown');
  clock.advance(1000);
  last().open();
  assert.deepEqual(last().sent, [{ type: 'subscribe', view: 'A/state', key: 'k3' }]);
});

test('a snapshot that the server begins by itself', () => {
  const { client, last } = make();
  client.follow('A/list');
  last().open();
  last().say(subscribed('A/list'));
  last().say(snapshot('A/list'));
  last().say({ ...snapshot('A/list', false), reset: true });
  assert.equal(client.state, 'connecting');
  last().say({ ...snapshot('A/list'), reset: true });
  assert.equal(client.state, 'live');
});

test('a retry by hand, and a socket that does not open in time', () => {
  const { client, clock, sockets, last } = make();
  client.follow('A/list');
  clock.advance(10_000);
  assert.equal(client.state, 'waiting');
  const late = sockets[0];
  client.retryNow();
  assert.equal(sockets.length, 2);
  clock.advance(1000);
  assert.equal(sockets.length, 2, 'the timer of the wait is gone');
  late.end(); // says nothing about the new one
  assert.equal(client.state, 'connecting');
  last().open();
  clock.advance(60_000);
  assert.equal(sockets.length, 2, 'an open socket has no deadline');
  client.giveUp('silent');
  assert.equal(client.state, 'waiting');
  assert.equal(client.problem, 'silent');
});

test('another view: frames of an earlier subscription are not taken', () => {
  const { client, frames, last } = make();
  client.follow('A/list');
  last().open();
  last().say(subscribed('A/list'));
  last().say(snapshot('A/list'));
  client.follow('B/list');
  client.follow('A/list');
  assert.equal(client.state, 'connecting');
  assert.deepEqual(
    last()
      .sent.slice(1)
      .map(({ type, view }) => `${type} ${view}`),
    ['unsubscribe A/list', 'subscribe B/list', 'unsubscribe B/list', 'subscribe A/list'],
  );
  frames.length = 0;
  last().say({ mode: 'list', entity: 'A/list', op: 'patch', key: 'k', data: {} });
  last().say(subscribed('B/list'));
  last().say(snapshot('B/list'));
  assert.equal(frames.length, 0);
  last().say(subscribed('A/list'));
  last().say(snapshot('A/list'));
  assert.equal(frames.length, 2);
  assert.equal(client.state, 'live');
});

test('errors: a final one stands, a passing one is tried again, text that is no JSON ends the connection', () => {
  const { client, clock, sockets, last } = make();
  client.follow('A/list');
  last().open();
  last().say({ type: 'error', code: 'unknown-view', message: 'There is no view.', retryable: false, view: 'A/list' });
  assert.equal(client.state, 'connecting');
  assert.equal(client.problem, 'There is no view.');
  last().say({ type: 'error', code: 'x', message: 'of another', retryable: true, view: 'B/list' });
  assert.equal(client.state, 'connecting');
  last().say({ type: 'error', code: 'internal-error', message: 'unreadable', retryable: true, view: 'A/list' });
  assert.equal(client.state, 'waiting');
  clock.advance(1000);
  last().open();
  last().say('{');
  assert.equal(client.state, 'waiting');
  assert.equal(sockets.length, 2);
});
