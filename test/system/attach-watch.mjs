// SPDX-License-Identifier: Apache-2.0
// The watches of `npm run test:attach`, and what they must not leave behind.
import { readFileSync } from 'node:fs';
import { Agent, get, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { REPOSITORY } from '../support/apps.mjs';
import {
  attach,
  attacher,
  checked,
  equal,
  fail,
  holds,
  lineOf,
  livesOn,
  objects,
  ports,
  start,
  stop,
  target,
  temporary,
  until,
} from '../support/attaching.mjs';

const SERVER = join(REPOSITORY, 'test/system/attach-server.mjs');
const WEDGED = join(REPOSITORY, 'examples/stories/wedged-server');
/** The least of a core that the service burns for one request, to be told. Milliseconds. */
const BURN_MILLIS = 200;
const CLIENTS = 4;

const burnsAt = lineOf('burn', SERVER);

/** The service, once it listens. */
async function serve(node, ...kinds) {
  const child = start(node, ['--expose-gc', '--inspect-port=0', SERVER, ...kinds], { cwd: REPOSITORY });
  await until('it to listen', () => child.said.includes('"port"') || child.exitCode !== null);
  child.told = () =>
    objects(
      child.said
        .split('\n')
        .filter((line) => line.startsWith('{') && line.endsWith('}'))
        .join('\n'),
    );
  child.port = child.told().find(({ port }) => port).port;
  child.ask = async (command) => {
    const before = child.told().filter((it) => it[command]).length;
    child.stdin.write(`${command}\n`);
    return until(`its ${command}`, () => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`it has ended\n${child.said}`);
      return child.told().filter((it) => it[command])[before]?.[command];
    });
  };
  return child;
}

const fetchText = (port, path, agent) =>
  new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
      response.on('error', reject);
    }).on('error', reject);
  });

/** Requests, one after the other from each client, each of which has to be answered with what it asked for. */
function load(port, isStuttering) {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS + 1 });
  const state = { answered: 0, wrong: [], isOver: false };
  const client = async (pathOf, pauseMillis) => {
    for (let i = 0; !state.isOver; i++) {
      const [path, expected] = pathOf(i);
      try {
        const text = await fetchText(port, path, agent);
        if (text === expected) state.answered++;
        else state.wrong.push(text);
      } catch (error) {
        state.wrong.push(error.message);
      }
      await sleep(pauseMillis);
    }
  };
  const clients = Array.from({ length: CLIENTS }, (_, c) =>
    client((i) => [`/echo/${c}-${i}`, JSON.stringify({ id: `${c}-${i}` })], 5),
  );
  if (isStuttering) clients.push(client(() => [`/rank/${BURN_MILLIS}`, `{"millis":"${BURN_MILLIS}"}`], 300));
  return {
    state,
    async end() {
      state.isOver = true;
      await Promise.all(clients);
      agent.destroy();
      equal(state.wrong, [], 'what was answered wrong');
      if (state.answered === 0) fail('nothing was answered');
    },
  };
}

/** Nothing is left but what was there. What takes a moment to end has one. */
async function isAsBefore(child, before) {
  let differences;
  await until(
    'all to be undone',
    async () => {
      const after = await child.ask('state');
      const shapes = [...new Set([...Object.keys(before.shapes), ...Object.keys(after.shapes)])].filter(
        (key) => before.shapes[key] !== after.shapes[key],
      );
      differences = { shapes };
      for (const key of ['resources', 'threads', 'descriptors']) {
        if (JSON.stringify(before[key]) !== JSON.stringify(after[key])) differences[key] = [before[key], after[key]];
      }
      return shapes.length === 0 && Object.keys(differences).length === 1;
    },
    20_000,
  ).catch((error) => fail(`${error.message}\n${JSON.stringify(differences)}`));
  equal(ports(child.pid), [child.port], 'ports afterwards');
}

/** What it has started for good by now: the threads of the pool, and that of the inspector on its first time. */
async function settled(child) {
  await fetchText(child.port, '/echo/1', new Agent());
  let last;
  return until('it to settle', async () => {
    const state = await child.ask('state');
    const text = JSON.stringify(state);
    const isSettled = text === last;
    last = text;
    await sleep(100);
    return isSettled && state;
  });
}

/** Attached to one process under load, again and again: half of the times for a look, half for a watch. */
export async function cycles(on, node, count) {
  await checked(
    `${on}: attached to and detached from ${count} times under load: no answer wrong, no leak`,
    async () => {
      const child = await serve(node, 'spans');
      // What is made once and kept is made by now.
      await attach(child.pid, '--seconds', '1', '--json');
      const before = await settled(child);
      const clients = load(child.port, true);
      const measured = [];
      let blocks = 0;
      for (let i = 0; i < count; i++) {
        // What closes the inspector behind a block is through, and closes not that of the next one.
        for (let k = 0; k < 3; k++) await child.ask('turn');
        const { code, text, error } = await attach(child.pid, '--json', ...(i % 2 === 0 ? ['--seconds', '1'] : []));
        if (code !== 0) fail(`time ${i}: ${code}\n${error}\n${child.said.slice(-2_000)}`);
        blocks += objects(text).filter(({ type }) => type === 'block').length;
        if (i % Math.ceil(count / 8) === 0) measured.push(await child.ask('memory'));
      }
      await clients.end();
      await isAsBefore(child, before);
      measured.push(await child.ask('memory'));
      const megabytes = measured.map(({ heap, rss }) => `${(heap / 1e6).toFixed(1)}/${(rss / 1e6).toFixed(0)}`);
      console.log(
        `        ${clients.state.answered} answers, ${blocks} blocks; heap/rss in MB: ${megabytes.join(' ')}`,
      );
      // The half at the start settles; from then on what is kept would grow with every time.
      const middle = measured[measured.length >> 1];
      const perTime = (measured.at(-1).heap - middle.heap) / (count / 2);
      if (perTime > 50_000) fail(`${Math.round(perTime)} bytes of heap are kept each time`);
    },
  );
}

export async function all(on, node) {
  await checked(`${on}: a healthy process, watched: nothing blocks it, and it goes on`, async () => {
    const child = await target(node, 'healthy');
    const result = await attach(child.pid, '--seconds', '1', '--threshold', '200', '--json');
    equal(result.code, 0, `exit code (${result.error})`);
    const all = objects(result.text);
    // A machine that does not run it blocks it as well.
    const blocks = all.slice(0, -1).filter(({ block }) => block.cause !== 'host');
    equal([blocks, all.at(-1).isUndone], [[], true], 'what blocked, and whether it is undone');
    await livesOn(child);
    equal(ports(child.pid), [], 'ports afterwards');
  });

  await checked(
    `${on}: one that blocks 200 ms twice a second, watched: function, line and length of each`,
    async () => {
      const child = await serve(node, 'stutter');
      const result = await attach(child.pid, '--seconds', '3', '--threshold', '150', '--json');
      const all = objects(result.text);
      const blocks = all.filter(({ type }) => type === 'block');
      const burnt = child.told().flatMap((it) => it.burnt ?? []);
      let found = 0;
      for (const { text, block } of blocks) {
        const { startTimeMillis, endTimeMillis, location } = block;
        const piece = burnt.find((it) => it.startedAt < endTimeMillis && it.endedAt > startTimeMillis);
        // A machine that does not run it blocks it as well.
        if (piece === undefined || (location === undefined && block.cause === 'host')) continue;
        equal([location?.frame.functionName, location?.frame.lineNumber], ['burn', burnsAt], `where ${text}`);
        if (startTimeMillis > piece.startedAt + 5 || endTimeMillis < piece.endedAt - 5) {
          fail(`it was blocked from ${piece.startedAt} to ${piece.endedAt}: ${JSON.stringify(block)}`);
        }
        found++;
      }
      if (found < 2) fail(`${found} blocks\n${result.text}${result.error}`);
      const { type, count, isUndone } = all.at(-1);
      equal([type, count, isUndone], ['summary', all.length - 1, true], 'the last line');
      equal(ports(child.pid), [child.port], 'ports afterwards');
    },
  );

  await checked(
    `${on}: express under load, watched: its span, no answer wrong, a whole trace, all undone`,
    async () => {
      const child = await serve(node, 'spans');
      const before = await settled(child);
      const clients = load(child.port, true);
      const traceFile = join(temporary, 'watch.json');
      const result = await attach(child.pid, '--seconds', '2', '--trace-file', traceFile, '--json');
      await clients.end();
      const blocks = objects(result.text).filter(({ type }) => type === 'block');
      const ranked = blocks.filter(({ text }) => text.includes('"rank" in GET /rank'));
      if (ranked.length === 0) fail(`${ranked.length} of ${blocks.length} blocks were the span's\n${result.text}`);
      const ranking = child.told().flatMap((it) => it.ranking ?? []);
      for (const { text, block } of ranked) {
        const { traceId, spanId } = block.blamed[0].span;
        if (!ranking.some((it) => it.traceId === traceId && it.spanId === spanId)) fail(`no such span: ${text}`);
        equal(block.location?.frame.lineNumber, burnsAt, `the line of: ${text}`);
      }
      const events = JSON.parse(readFileSync(traceFile, 'utf8'));
      if (!events.some(({ name, dur }) => name === 'rank' && dur > 100_000)) fail('no slice of the span in the trace');
      if (!events.some(({ name }) => /^probe: burn /.test(name))) fail('no stack in the trace');
      await isAsBefore(child, before);
    },
  );

  await checked(`${on}: a watch is undone where SIGINT, SIGTERM or SIGKILL ends it`, async () => {
    const child = await serve(node);
    const before = await settled(child);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL']) {
      const watch = attacher(child.pid, '--seconds', '600');
      await until('it to watch', () => watch.said.includes('watching process'));
      await fetchText(child.port, `/rank/${BURN_MILLIS}`, new Agent());
      if (signal !== 'SIGKILL') await until('a block', () => watch.said.includes('event loop blocked for'));
      watch.kill(signal);
      equal(await watch.ended, signal === 'SIGKILL' ? signal : 0, `what it ended with (${watch.said})`);
      if (signal !== 'SIGKILL') holds(watch.said, /^event loop blocked (?:once|\d+ times), \d+ ms in all$/m);
      await isAsBefore(child, before);
    }
  });

  await checked(`${on}: with the package in the process that one tells, and goes on afterwards`, async () => {
    const child = await serve(node, 'package');
    await settled(child);
    const watch = attacher(child.pid, '--seconds', '600', '--json');
    await until('it to watch', () => watch.said.includes('watching process'));
    holds(watch.said, /by the package that is in there already$/m);
    await fetchText(child.port, `/rank/${BURN_MILLIS}`, new Agent());
    const told = () =>
      watch.said
        .split('\n')
        .filter((line) => line.includes('"type":"block"'))
        .map((line) => JSON.parse(line))
        .find(({ text }) => text.includes('"rank"'));
    const { text, block } = await until('its block', told);
    watch.kill('SIGINT');
    equal(await watch.ended, 0, `what it ended with (${watch.said})`);
    equal(block.location?.frame.lineNumber, burnsAt, `the line of: ${text}`);
    const { published } = await child.ask('state');
    await fetchText(child.port, `/rank/${BURN_MILLIS}`, new Agent());
    await until('it to go on', async () => (await child.ask('state')).published > published);
  });

  await checked(`${on}: a loop that never turns is looked at, and not watched`, async () => {
    const child = await target(node, 'while');
    const result = await attach(child.pid, '--seconds', '1');
    holds(result.text, /^process \d+: event loop hangs: .* in spinForever \(/m);
    holds(result.error, /^process \d+ did not turn its loop: it was not watched$/m);
    equal(ports(child.pid), [], 'ports afterwards');
  });

  await checked(`${on}: a process that ends while it is watched is told`, async () => {
    const child = await target(node, 'healthy');
    const watch = attacher(child.pid, '--seconds', '600');
    await until('it to watch', () => watch.said.includes('watching process'));
    await stop(child);
    equal(await watch.ended, 0, 'exit code');
    holds(watch.said, /^process \d+ has ended$/m);
  });

  await checked(`${on}: blocked for ever under OpenTelemetry: the active span, and of which request`, async () => {
    const child = await serve(node, 'spans');
    get({ host: '127.0.0.1', port: child.port, path: '/rank/120000' }).on('error', () => {});
    const { traceId, spanId } = await until('it to block', () => child.told().find((it) => it.ranking)?.ranking);
    const [{ isBlocked, location, span, hasOpenTelemetry }] = objects((await attach(child.pid, '--json')).text);
    equal([isBlocked, hasOpenTelemetry], [true, true], 'whether it is blocked, and has OpenTelemetry');
    equal([location.frame.functionName, location.frame.lineNumber], ['burn', burnsAt], 'where');
    equal([span?.name, span?.traceId, span?.spanId], ['rank', traceId, spanId], 'the span');
    equal(span.entry?.name, 'GET /rank', 'the entry operation');
  });

  await checked(`${on}: looked at in the midst of a block: no inspector opens again behind it`, async () => {
    const child = await serve(node);
    for (let i = 0; i < 2; i++) {
      const answer = fetchText(child.port, '/rank/1500', new Agent());
      await sleep(100);
      const { text } = await attach(child.pid);
      holds(text, /event loop (?:hangs|turns)/);
      await answer;
      for (let i = 0; i < 3; i++) await fetchText(child.port, '/echo/1', new Agent());
      equal(ports(child.pid), [child.port], 'ports afterwards');
    }
  });

  await checked(`${on}: the wedged server without the package: the line of its culprit`, async () => {
    const child = start(node, ['--inspect-port=0', join(WEDGED, 'server.mjs')], {
      stdio: ['pipe', 'pipe', 'pipe', 'ipc'],
    });
    let url;
    child.on('message', (message) => {
      url = message.url;
    });
    await until('it to listen', () => url || child.exitCode !== null);
    const post = (body) =>
      new Promise((resolve) => {
        const options = { method: 'POST', headers: { 'content-type': 'application/json' } };
        const asked = request(`${url}/parcels`, options, (response) => response.resume().on('end', resolve));
        asked.on('error', resolve);
        asked.end(JSON.stringify(body));
      });
    const address = 'Ada Lovelace, 12 St James Square, London';
    await post({ address });
    await post({});
    await until('its thread to die', () => child.said.includes('label thread died'));
    await post({ address });
    void post({ address });
    await until('it to be stuck', async () => {
      const [snapshot] = objects((await attach(child.pid, '--json')).text);
      if (!snapshot.isBlocked) return false;
      const { frame, stack } = snapshot.location;
      const [file, line] = [frame.filePath, frame.lineNumber];
      equal(file, join(WEDGED, 'queue.mjs'), 'file');
      holds(readFileSync(file, 'utf8').split('\n')[line - 1], /Atomics\.wait\(state, 0, FULL\)/);
      if (!stack.some(({ functionName }) => functionName.includes('postParcel'))) fail('the route is not in its stack');
      return true;
    });
    equal(ports(child.pid), [Number(new URL(url).port)], 'ports afterwards');
  });

  await checked(`${on}: a cluster with --children: who of them is blocked, and all of them watched`, async () => {
    const child = await serve(node, 'cluster');
    const workers = await until('both workers', () => {
      const all = child.told().filter(({ port }) => port);
      return all.length === 2 && all;
    });
    try {
      // With its inspector, the primary has those of its workers opened.
      await attach(child.pid);
      for (const { pid } of workers) equal(ports(pid), [], 'ports of a worker, of which nothing was said');
      const watched = await attach(child.pid, '--children', '--seconds', '1', '--threshold', '500');
      equal(watched.code, 0, `exit code (${watched.error})`);
      for (const pid of [child.pid, ...workers.map((it) => it.pid)]) {
        holds(
          `${watched.text}${watched.error}`,
          new RegExp(`^process ${pid}: (?:nothing blocked for 500 ms$|event loop blocked )`, 'm'),
        );
      }
      get({ host: '127.0.0.1', port: child.port, path: '/rank/120000' }).on('error', () => {});
      await until('one of them to be blocked', async () => {
        const result = await attach(child.pid, '--children', '--json');
        const seen = objects(result.text);
        equal(
          seen.map(({ pid }) => pid).sort(),
          [child.pid, ...workers.map(({ pid }) => pid)].sort(),
          `whom it saw (${result.error})`,
        );
        const blocked = seen.filter(({ isBlocked }) => isBlocked);
        if (blocked.length === 0) return false;
        equal(
          blocked.map(({ location }) => location.frame.functionName),
          ['burn'],
          'what blocks',
        );
        return true;
      });
    } finally {
      // One that is blocked does not notice that its primary has gone.
      for (const { pid } of workers) process.kill(pid, 'SIGKILL');
    }
  });
}
