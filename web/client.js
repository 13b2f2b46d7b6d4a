// One WebSocket that follows one view and comes back for ever. No DOM; socket and clock can be given by a test.
//
// State: `connecting` (socket or snapshot on its way), `live` (snapshot complete), `waiting` (no server; a timer runs).

const BACKOFF_SECONDS = [1, 2, 4, 8, 16];
const OPEN_TIMEOUT_MS = 10_000;

export function backoffMs(attempt) {
  return 1000 * BACKOFF_SECONDS[Math.min(attempt, BACKOFF_SECONDS.length - 1)];
}

const browserClock = {
  now: () => performance.now(),
  setTimeout: (callback, ms) => globalThis.setTimeout(callback, ms),
  clearTimeout: (timer) => globalThis.clearTimeout(timer),
};

export class Client {
  #url;
  #hooks;
  #openSocket;
  #clock;
  #socket = null;
  #timer = null; // of the wait, or of the opening socket
  #view = null;
  #key; // of a view that is watched by key
  #joined = false; // the server has answered our last subscribe; frames before that are of an earlier one

  state = 'connecting';
  attempt = 0; // waits since the last answer of a server
  retryAt = 0; // clock time, while waiting
  heardAt = 0; // clock time of the last message
  problem = ''; // what the server, or the end of the connection, said last

  // hooks: onFrame(frame) for frames of the followed view, onChange() when one of the fields above changed.
  constructor(url, hooks, { openSocket = (to) => new WebSocket(to), clock = browserClock } = {}) {
    this.#url = url;
    this.#hooks = hooks;
    this.#openSocket = openSocket;
    this.#clock = clock;
  }

  // Leaves what was followed so far. The first call opens the connection. Without a key: the whole view.
  follow(view, key) {
    const left = { view: this.#view, key: this.#key };
    this.#view = view;
    this.#key = key;
    this.#joined = false;
    if (this.state !== 'waiting') this.problem = '';
    if (this.#socket === null) {
      if (this.state !== 'waiting') this.#connect();
    } else if (this.#socket.readyState === 1) {
      this.#send({ type: 'unsubscribe', ...left });
      this.#subscribe();
      this.#become('connecting');
    }
  }

  retryNow() {
    if (this.state === 'waiting') this.#connect();
  }

  // Gives up the present connection, of which nothing is heard any more.
  giveUp(problem) {
    if (this.#socket !== null) this.#lose(problem);
  }

  #connect() {
    this.#clock.clearTimeout(this.#timer);
    const socket = this.#openSocket(this.#url);
    this.#socket = socket;
    this.#joined = false;
    this.problem = '';
    this.heardAt = this.#clock.now();
    this.#timer = this.#clock.setTimeout(
      () => this.#lose('the connection could not be opened in time'),
      OPEN_TIMEOUT_MS,
    );
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      this.#clock.clearTimeout(this.#timer);
      this.#subscribe();
    };
    socket.onmessage = (event) => {
      if (socket === this.#socket) this.#take(event.data);
    };
    socket.onclose = (event) => {
      if (socket === this.#socket) this.#lose(closeText(event));
    };
    this.#become('connecting');
  }

  #lose(problem) {
    const socket = this.#socket;
    this.#socket = null;
    socket.close();
    this.#clock.clearTimeout(this.#timer);
    const wait = backoffMs(this.attempt++);
    this.retryAt = this.#clock.now() + wait;
    this.#timer = this.#clock.setTimeout(() => this.#connect(), wait);
    this.problem = problem;
    this.#become('waiting');
  }

  #take(text) {
    this.heardAt = this.#clock.now();
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return this.#lose('the server sent a message that is no JSON');
    }
    if (frame.type === 'error') return this.#takeError(frame);
    if (frame.op === 'subscribed') {
      if (frame.view !== this.#view) return;
      this.#joined = true;
      this.attempt = 0;
      this.problem = '';
    } else if (!this.#joined || frame.entity !== this.#view) {
      return;
    }
    this.#hooks.onFrame(frame);
    if (frame.op === 'subscribed') this.#become('connecting');
    // After a rewind the server begins a snapshot by itself.
    if (frame.op === 'snapshot') this.#become(frame.complete === true ? 'live' : 'connecting');
  }

  // An answer that may be better next time is asked for again; any other stands, and is shown.
  #takeError(frame) {
    if (frame.view !== undefined && frame.view !== this.#view) return;
    const problem = frame.message ?? frame.code ?? 'the server refused the subscription';
    if (frame.retryable === true) return this.#lose(problem);
    this.problem = problem;
    this.#hooks.onChange();
  }

  #subscribe() {
    this.#send({ type: 'subscribe', view: this.#view, key: this.#key });
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #become(state) {
    this.state = state;
    this.#hooks.onChange();
  }
}

// 1006 is the browser's word for an end without a close frame (RFC 6455 §7.4.1).
function closeText({ code, reason }) {
  if (code === 1006) return 'the connection broke off, or nobody answers';
  return `closed by the server, code ${code}${reason ? `: ${reason}` : ''}`;
}
