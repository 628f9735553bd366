// SPDX-License-Identifier: Apache-2.0
// `npm run test:attach`: `attach PID` against programs that know nothing of the package: does it name what blocks them, does
// it refuse where it would do harm, and is everything as it was afterwards? Narrowed down: `npm run test:attach -- 20 24 --only json`.
// `--cycles 200`, not in CI: attached to one process under load so many times.
import { once } from 'node:events';
import { copyFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { NODE_MAJORS, nodeBinaries, versionOf } from '../support/apps.mjs';
import {
  attach,
  BINARY,
  checked,
  equal,
  FIXTURE,
  given,
  holds,
  lineOf,
  livesOn,
  objects,
  ports,
  positionals,
  running,
  start,
  target,
  temporary,
  until,
} from '../support/attaching.mjs';
import { sumUp } from '../support/checks.mjs';
import * as watches from './attach-watch.mjs';

const majors = positionals.length > 0 ? positionals.map(Number) : NODE_MAJORS;
const nodes = nodeBinaries(majors);

/** Function and line that a snapshot has to name. */
const BLOCKED = {
  while: 'spinForever',
  regex: 'matchForever',
  sort: 'compareSlowly',
  storm: 'countUp',
  atomics: 'waitForever',
  exec: 'callOutForever',
  json: 'parseOnce',
};

for (const [major, node] of nodes) {
  const on = versionOf(node);
  if (Number(given.cycles) > 0) {
    await watches.cycles(on, node, Number(given.cycles));
    continue;
  }
  for (const [kind, name] of Object.entries(BLOCKED)) {
    await checked(`${on}: ${kind}, blocked for ever: the function, the line, and no port left open`, async () => {
      const child = await target(node, kind);
      const result = await attach(child.pid, '--json');
      equal(result.code, 0, `exit code (${result.error})`);
      const [{ type, isBlocked, location }] = objects(result.text);
      equal([type, location?.frame.functionName.split('.').pop()], ['snapshot', name], 'what blocks');
      equal([location.frame.filePath, location.frame.lineNumber], [FIXTURE, lineOf(kind)], 'where');
      equal(isBlocked, true, 'whether it is blocked');
      // In a native call of a second it is the guard that closes it.
      await until('its port to be closed', () => ports(child.pid).length === 0);
    });
  }

  await checked(`${on}: a healthy process: nothing blocks it, and it goes on`, async () => {
    const child = await target(node, 'healthy');
    const result = await attach(child.pid);
    holds(result.text, /^process \d+: the event loop turns, \d+ % busy; nothing blocks it now$/m);
    await livesOn(child);
    equal(ports(child.pid), [], 'ports afterwards');
  });

  await checked(`${on}: a native call: its state, and the inspector that opens behind it is closed again`, async () => {
    const child = await target(node, 'native');
    const result = await attach(child.pid, '--timeout', '1');
    holds(result.text, /^process \d+: event loop hangs in native code, asleep.* child process \d+: sleep 600$/m);
    equal(ports(child.pid), [], 'ports as long as it lasts');
    process.kill(Number(/child process (\d+)/.exec(result.text)[1]));
    await until('the inspector to have opened', () => child.said.includes('Debugger listening'));
    await until('it to be closed', () => ports(child.pid).length === 0);
    await livesOn(child);
  });

  for (const signal of ['SIGTERM', 'SIGKILL']) {
    await checked(`${on}: the inspector is closed also where ${signal} ends us in the midst`, async () => {
      const child = await target(node, 'while');
      const attacher = start(process.execPath, [BINARY, 'attach', `${child.pid}`]);
      await until('the inspector to open', () => child.said.includes('Debugger attached'));
      attacher.kill(signal);
      await attacher.ended;
      await until('it to be closed', () => ports(child.pid).length === 0);
    });
  }

  await checked(`${on}: an inspector that is open already is used, and stays open`, async () => {
    const child = await target(node, 'healthy', ['--inspect=127.0.0.1:0']);
    const open = ports(child.pid);
    equal(open.length, 1, 'ports before');
    holds((await attach(child.pid)).text, /the event loop turns/);
    equal(ports(child.pid), open, 'ports afterwards');
    await livesOn(child);
  });

  await watches.all(on, node);
  await ending(on, node);
  await refusals(on, major, node);
}

/** Before, while or after it is looked at, as the machine will have it. */
async function ending(on, node) {
  await checked(`${on}: says that the process ends`, async () => {
    const child = await target(node, 'end');
    const { code, text, error } = await attach(child.pid);
    equal(code, 2, `exit code (${text}${error})`);
    holds(error, /^refused: (?:the process ends just now|process \d+ has ended|there is no process \d+).*\n$/);
    equal(await child.ended, 0, 'its own exit code');
  });
}

/** What has to be refused, with the reason; and the process goes on as if nothing had been. */
async function refusals(on, major, node) {
  const refused = (title, kind, flags, reason, around = async (body) => body()) =>
    checked(`${on}: refuses ${title}, which lives on`, () =>
      around(async (more = []) => {
        const child = await target(node, kind, [...flags, ...more]);
        const result = await attach(child.pid);
        equal(result.code, 2, `exit code (${result.text}${result.error})`);
        holds(result.error, reason);
        await livesOn(child);
        equal(ports(child.pid), [], 'ports afterwards');
      }),
    );
  if (major >= 22) {
    await refused('a process that SIGUSR1 would end', 'healthy', ['--disable-sigusr1'], /does not catch SIGUSR1/);
  }
  await refused(
    'a process with a handler of its own',
    'handler',
    ['--inspect-port=0'],
    /opened no inspector within 1 s: it has a handler of its own/,
  );
  await refused(
    'a process without the right to an inspector',
    'healthy',
    [major < 24 ? '--experimental-permission' : '--permission', '--allow-fs-read=*'],
    /runs with --permission and without --allow-inspector/,
  );
  await refused('a process whose port another one has', 'healthy', [], /is taken by another process/, async (body) => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      await body([`--inspect-port=${server.address().port}`]);
    } finally {
      server.close();
    }
  });
}

if (Number(given.cycles) > 0) {
  await Promise.all(running);
  sumUp();
  process.exit();
}

await checked('refuses a process that is not there', async () => {
  const child = start(process.execPath, ['-e', '']);
  await child.ended;
  const { code, error } = await attach(child.pid);
  equal(code, 2, 'exit code');
  holds(error, /^refused: there is no process \d+$/m);
});

for (const name of ['sleep', 'bun', 'deno']) {
  await checked(`refuses ${name}, which lives on`, async () => {
    const program = join(temporary, name);
    copyFileSync('/bin/sleep', program);
    const child = start(program, ['1000']);
    const { code, error } = await attach(child.pid);
    equal(code, 2, 'exit code');
    holds(error, name === 'sleep' ? /is no Node\.js: it runs .*sleep$/m : /not Node\.js: it has no inspector/);
    equal([child.exitCode, child.signalCode], [null, null], 'what it ended with');
  });
}

if (process.getuid() === 0) {
  await checked("refuses another user's process, which lives on", async () => {
    const child = await target(process.execPath, 'healthy');
    const user = start('setpriv', [
      '--reuid=65534',
      '--clear-groups',
      process.execPath,
      '-e',
      `process.argv = ['node', 'attach', 'attach', '${child.pid}']; eval(require('node:fs').readFileSync(0, 'utf8'))`,
    ]);
    user.stdin.end(readFileSync(BINARY, 'utf8').replace(/^#!.*/, ''));
    equal(await user.ended, 2, `exit code (${user.said})`);
    holds(user.said, /is another user's \(uid 0, not 65534\)/);
    await livesOn(child);
  });
  await checked('refuses a process in another network, which lives on', async () => {
    const child = start('unshare', ['--net', process.execPath, FIXTURE, 'healthy']);
    await until('it to be ready', () => /^ready$/m.test(child.said) || child.exitCode !== null);
    const { code, error } = await attach(child.pid);
    equal(code, 2, `exit code (${child.said})`);
    holds(error, /is in a container: run this inside of it/);
    await livesOn(child);
  });
} else {
  console.log("skipped: another user's process, another network: only root can start them");
}

await Promise.all(running);
sumUp();
