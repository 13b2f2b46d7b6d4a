// The real npm client, unmodified, as a program: it subscribes, merges with its own code, and dumps what it then holds.
//
//   node npm_client.mjs URL VIEW... --out FOLDER [--raw FILE] [--options JSON] [--until-seq SEQ] [--reconnects]
//
// VIEW is `Entity/list`, `Entity/state@KEY` or a derived view. `--options` are subscribe options for all of them (take,
// skip, after, ...). The dump is FOLDER/<view with / as .>.jsonl, a line {"key","data"} per entity, in key order. It is
// written on SIGTERM, when stdin ends, or, with --until-seq, once every view has shown a cursor that is not before SEQ.
// `--raw` gets every message of the server as it came, one a line, in order.
//
// On stdout, for a test to wait on: `state connected`, `subscribed VIEW`, `complete VIEW` (a snapshot's end),
// `issue {...}`, `dumped N`. The exit code is 0, 1 when the client's state was `error`, 2 for wrong arguments. With
// `--reconnects` the server may go and come back: then only a client that is not connected when it ends has failed, and
// the global WebSocket is that of the package `ws`. Node 22's own fires no `close` after a connection that was refused, as
// the standard and browsers do, and the client waits for it before it tries again.
//
// It needs a Node with a WebSocket of its own (22). TEST_NPM_ROOT names the folder whose node_modules holds the
// client, by default the one above this file's.

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

function usage(message) {
  const usageLine = 'npm_client.mjs URL VIEW... --out FOLDER [--raw FILE] [--options JSON] [--until-seq SEQ] [--reconnects]';
  process.stderr.write(`${message}\nusage: ${usageLine}\n`);
  process.exit(2);
}

function readArguments() {
  const text = { type: 'string' };
  const options = { out: text, raw: text, options: text, 'until-seq': text, reconnects: { type: 'boolean' } };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const [url, ...views] = positionals;
  if (!url || views.length === 0 || !values.out) usage('URL, at least one VIEW and --out are needed');
  if (typeof WebSocket === 'undefined') usage(`Node ${process.version} has no WebSocket of its own`);
  const subscriptions = views.map((name) => {
    const [view, key] = name.split('@');
    return { view, ...(key === undefined ? {} : { key }), ...JSON.parse(values.options ?? '{}') };
  });
  return { url, subscriptions, out: values.out, raw: values.raw, untilSeq: values['until-seq'], reconnects: values.reconnects };
}

// Writes down every message before the client sees it; the client gets it unchanged.
function recordMessages(file) {
  const descriptor = fs.openSync(file, 'w');
  globalThis.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      this.addEventListener('message', (event) => {
        if (typeof event.data !== 'string') throw new Error('a binary message: all messages must be text');
        fs.writeSync(descriptor, event.data + '\n');
      });
    }
  };
}

// Cursors order by slot, then index, both as numbers; BigInt because both have 64 bits.
function isAtLeast(seq, least) {
  const [a, b] = [seq, least].map((s) => s.split(':').map(BigInt));
  return a[0] > b[0] || (a[0] === b[0] && (a[1] ?? 0n) >= (b[1] ?? 0n));
}

// Knows for each view whether it has shown a cursor at or after `untilSeq`.
class Progress {
  constructor(views, untilSeq) {
    this.missing = new Set(views);
    this.untilSeq = untilSeq;
    this.looks = new Map(); // view -> cursor of the snapshot that is coming
  }

  take(frame) {
    if (frame.op === 'subscribed') {
      this.looks.set(frame.view, frame.seq);
      process.stdout.write(`subscribed ${frame.view}\n`);
    } else if (frame.op === 'snapshot' && frame.complete) {
      this.reach(frame.entity, this.looks.get(frame.entity));
      process.stdout.write(`complete ${frame.entity}\n`);
    } else if (frame.op !== 'snapshot') {
      this.reach(frame.entity, frame.seq);
    }
    return this.untilSeq !== undefined && this.missing.size === 0;
  }

  reach(view, seq) {
    if (this.untilSeq !== undefined && seq !== undefined && isAtLeast(seq, this.untilSeq)) this.missing.delete(view);
  }
}

function dump(client, views, folder) {
  let rows = 0;
  for (const view of views) {
    const keys = client.store.keys(view).sort();
    const lines = keys.map((key) => JSON.stringify({ key, data: client.store.get(view, key) }) + '\n');
    fs.writeFileSync(path.join(folder, view.replaceAll('/', '.') + '.jsonl'), lines.join(''));
    rows += keys.length;
  }
  process.stdout.write(`dumped ${rows}\n`);
}

async function main() {
  const { url, subscriptions, out, raw, untilSeq, reconnects } = readArguments();
  const here = path.dirname(fileURLToPath(import.meta.url));
  const root = process.env.TEST_NPM_ROOT ?? path.dirname(here);
  const entry = path.join(root, 'node_modules', 'hyperstack-typescript', 'dist', 'index.esm.js');
  const { HyperStack } = await import(pathToFileURL(entry));
  if (reconnects) {
    globalThis.WebSocket = (await import(pathToFileURL(path.join(root, 'node_modules', 'ws', 'wrapper.mjs')))).WebSocket;
  }
  if (raw) recordMessages(raw);

  const views = [...new Set(subscriptions.map((s) => s.view))];
  const progress = new Progress(views, untilSeq);
  const client = await HyperStack.connect({ name: 'oracle', url, views: {} }, { url, autoReconnect: false });
  let finished = false;
  let failed = false;

  const finish = () => {
    if (finished) return;
    finished = true;
    dump(client, views, out);
    client.disconnect();
    process.exit(failed ? 1 : 0);
  };
  client.onConnectionStateChange((state, error) => {
    if (finished) return;
    failed = reconnects ? state !== 'connected' : failed || state === 'error';
    process.stdout.write(`state ${state}${error ? ' ' + error : ''}\n`);
  });
  client.onSocketIssue((issue) => process.stdout.write(`issue ${JSON.stringify(issue)}\n`));
  // The client registered its own handler first: when ours runs, the frame is merged.
  client.onFrame((frame) => {
    if (progress.take(frame)) finish();
  });
  process.on('SIGTERM', finish);
  process.stdin.on('end', finish).resume();

  for (const subscription of subscriptions) client.getSubscriptionRegistry().subscribe(subscription);
  // A first attempt that fails is not the end: the client goes on trying by itself and says so as its state.
  await client.connect().catch((error) => process.stderr.write(`${error.message}\n`));
}

await main();
