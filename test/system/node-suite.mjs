// SPDX-License-Identifier: Apache-2.0
// `npm run test:node -- CHECKOUT [PATTERN …]`: Node.js's own tests of what we hook into, each with us on (see
// node-suite-preload.cjs). What passes without us has to pass with us. They cannot be vendored and no package has them:
// CHECKOUT (or NODE_CHECKOUT) is a source tree of nodejs/node, best of the version that runs them:
//
//   git clone --depth 1 --branch v24.21.0 https://github.com/nodejs/node
//
// or what `apt-get source nodejs` of a Debian release unpacks; only its folder `test` is needed. One of another version
// will do as well: what fails without us is left out. TEST_NODE chooses the Node.js, TEST_JOBS how many run at a time
// (2), TEST_ATTRIBUTION the attribution ('exact'), PATTERNs (parts of file names) which tests. Some ten minutes on two cores.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const PRELOAD = fileURLToPath(new URL('./node-suite-preload.cjs', import.meta.url));
const NODE = process.env.TEST_NODE || process.execPath;
const JOBS = Number(process.env.TEST_JOBS || 2);
/** Per test. Those that a loaded machine makes miss their own deadlines get a second chance. */
const TIMEOUT_MILLIS = 40_000;

const AREAS = [
  /^async-hooks\/test-/,
  /^parallel\/test-(?:async-hooks|async-local-storage|asyncresource|async-wrap|als)/,
  /^parallel\/test-(?:promise|microtask|next-tick|process-next-tick|queue-microtask|unhandled|domain)/,
  /^parallel\/test-(?:timers|set-(?:timeout|immediate|interval))/,
  /^parallel\/test-(?:worker|process-(?:before)?-?exit|process-really-exit|process-uncaught|uncaught)/,
  /^parallel\/test-(?:net|http|http2|https|cluster|stream|stream2|stream3|readable|writable)-/,
  /^parallel\/test-(?:diagnostics-channel|event)/,
  /^parallel\/test-(?:child-process|dgram|tls|zlib|broadcastchannel|signal)-/,
];

/**
 * Tests that look at every callback there is, through hooks of their own, would see the empty ticks that we set behind the
 * last callback of a span: for them none is active.
 */
const COUNTS_CALLBACKS = /init-hooks|createHook|initHooks/;

const EVERYTHING = 'counts every activity of the process';
const WORKER_TICKS = 'takes every tick of the process for its own (three that new Worker sets, for the watchdog)';

/** What cannot hold with us on, though nothing is wrong, and why. */
const EXPECTED = {
  'async-hooks/test-disable-in-init.js': 'counts every activity of the process (the immediate of the GC observer)',
  'async-hooks/test-emit-init.js': 'expects the next activity to be its own (the immediate of the GC observer)',
  // With attribution 'on-demand', where the beat changes its pace.
  'async-hooks/test-graph.intervals.js': EVERYTHING,
  'async-hooks/test-graph.timeouts.js': EVERYTHING,
  'async-hooks/test-timers.setTimeout.js': EVERYTHING,
  'parallel/test-async-hooks-correctly-switch-promise-hook.js': EVERYTHING,
  'parallel/test-async-hooks-enable-during-promise.js': EVERYTHING,
  'parallel/test-async-hooks-promise.js': EVERYTHING,
  'async-hooks/test-enable-in-init.js': 'expects no activity but its own (the immediate of the GC observer)',
  'async-hooks/test-enable-disable.js': EVERYTHING,
  'async-hooks/test-late-hook-enable.js': 'takes every callback of the process for its own',
  'async-hooks/test-promise.chain-promise-before-init-hooks.js': EVERYTHING,
  'parallel/test-async-local-storage-exit-does-not-leak.js':
    'expects no activity but its own (the immediate of the GC observer)',
  'parallel/test-async-hooks-disable-during-promise.js': WORKER_TICKS,
  'parallel/test-async-hooks-enable-before-promise-resolve.js': EVERYTHING,
  'parallel/test-async-hooks-promise-triggerid.js': WORKER_TICKS,
  'parallel/test-async-hooks-top-level-clearimmediate.js': WORKER_TICKS,
  'parallel/test-async-wrap-promise-after-enabled.js': WORKER_TICKS,
  'parallel/test-domain-multi.js': "a GC observer of Node.js's own brings forth a warning (DEP0097) inside a domain",
  'parallel/test-timers-immediate-unref-simple.js': 'the loop turns once for the start of the watchdog',
  'parallel/test-worker-debug.js': 'counts worker threads',
  'parallel/test-worker-event.js': 'counts worker threads',
  'parallel/test-worker-messaging.js': 'expects thread ids to begin with 1, which is the watchdog',
  'parallel/test-worker-name.js': 'expects thread ids to begin with 1, which is the watchdog',
  'parallel/test-worker-terminate-source-map.js': 'counts calls of built-in methods that it has replaced, ours as well',
};

const [folder = process.env.NODE_CHECKOUT, ...patterns] = process.argv.slice(2);
if (!folder) {
  console.error('Give the path of a checkout of nodejs/node, or set NODE_CHECKOUT:');
  console.error('  git clone --depth 1 --branch v24.21.0 https://github.com/nodejs/node');
  process.exit(2);
}
const root = resolve(folder);
const tests = join(root, 'test');
const temporary = mkdtempSync(join(tmpdir(), 'node-suite-'));
process.on('exit', () => rmSync(temporary, { recursive: true, force: true }));

const queue = ['async-hooks', 'parallel']
  .flatMap((suite) => readdirSync(join(tests, suite)).map((file) => `${suite}/${file}`))
  .filter((name) => /\.m?js$/.test(name) && AREAS.some((area) => area.test(name)))
  .filter((name) => patterns.length === 0 || patterns.some((pattern) => name.includes(pattern)));
const total = queue.length;
const found = { passed: [], 'left out, fails without us': [], 'left out, forbids us': [], expected: [], harmed: [] };

const began = Date.now();
await Promise.all(Array.from({ length: JOBS }, (_, slot) => work(slot)));
report();

async function work(slot) {
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    const { verdict, output } = await judge(name, slot);
    found[verdict].push(name);
    if (verdict === 'harmed') console.log(`--- ${name}\n${output}\n`);
    const done = total - queue.length;
    if (done % 100 === 0) console.log(`${done} of ${total}, ${Math.round((Date.now() - began) / 1000)} s`);
  }
}

async function judge(name, slot) {
  const source = readFileSync(join(tests, name), 'utf8');
  const flags = header(source, 'Flags');
  // Files of ours must not be read, or there is no inspector, no worker.
  if (flags.some((flag) => /^--(?:experimental-)?permission$/.test(flag))) return { verdict: 'left out, forbids us' };
  const withUs = ['--require', PRELOAD, ...flags];
  const first = await run(name, source, withUs, slot);
  if (first.passed) return { verdict: 'passed' };
  if (Object.hasOwn(EXPECTED, name)) return { verdict: 'expected' };
  if (!(await run(name, source, flags, slot)).passed) return { verdict: 'left out, fails without us' };
  const second = await run(name, source, withUs, slot);
  return second.passed ? { verdict: 'passed' } : { verdict: 'harmed', output: second.output };
}

/** What `// Flags: …` at the head of a test asks for. */
function header(source, key) {
  const line = source.match(new RegExp(`^// ${key}: (.*)$`, 'm'));
  return line ? line[1].trim().split(/\s+/) : [];
}

function run(name, source, flags, slot) {
  return new Promise((resolve) => {
    const variables = Object.fromEntries(header(source, 'Env').map((pair) => pair.split('=')));
    const child = spawn(NODE, [...flags, join(tests, name)], {
      cwd: root,
      // Leads a group of its own, so that its children end with it.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        ...variables,
        NODE_SUITE_INIT_HOOKS: name.startsWith('async-hooks/') ? join(tests, 'async-hooks/init-hooks.js') : '',
        NODE_SUITE_SPAN: COUNTS_CALLBACKS.test(source) ? 'none' : '',
        NODE_TEST_DIR: temporary,
        NODE_TEST_KNOWN_GLOBALS: '0',
        TEST_THREAD_ID: String(slot),
        TEST_SERIAL_ID: String(slot),
        TEST_PARALLEL: '1',
        NODE_COMMON_PORT: String(12_346 + 100 * slot),
      },
    });
    let output = '';
    const keep = (chunk) => {
      if (output.length < 4_000) output += chunk;
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const end = () => {
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // Nobody is left.
      }
    };
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      end();
    }, TIMEOUT_MILLIS);
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      end();
      const how = late ? `not over after ${TIMEOUT_MILLIS / 1000} s` : (signal ?? `exit code ${code}`);
      resolve({ passed: code === 0, output: `${how}\n${output.slice(0, 4_000)}` });
    });
  });
}

function report() {
  const { harmed } = found;
  console.log(`\nNode.js's own tests, ${total} of ${folder}, on ${NODE}:`);
  for (const [verdict, names] of Object.entries(found)) console.log(`  ${verdict}: ${names.length}`);
  for (const name of found.expected) console.log(`    ${name}: ${EXPECTED[name]}`);
  for (const name of harmed) console.log(`  HARMED ${name}`);
  if (found.passed.length === 0) console.log('no test has passed: is this a source tree of Node.js?');
  process.exitCode = harmed.length === 0 && found.passed.length > 0 ? 0 : 1;
}
