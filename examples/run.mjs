// SPDX-License-Identifier: Apache-2.0
// `npm run example -- NAME`: one of the stories, from the trouble to the repair; `-- --list` has their names. `--quick`
// shortens it, `--step N` runs one of those that a story has, `--engine` takes the real engine in place of what is embedded,
// `--otlp URL` sends its traces there as well, over HTTP.
import { existsSync, readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { MissingEngine } from './stories/support/engines.mjs';
import { install } from './stories/support/install.mjs';
import { endAll } from './stories/support/process.mjs';
import { sendTracesTo } from './stories/support/receiver.mjs';
import { Report } from './stories/support/report.mjs';

const LIMIT_SECONDS = 120;
const USAGE = 'npm run example -- NAME [--engine] [--quick] [--step N] [--otlp URL] | --list';

const STORIES = new URL('./stories/', import.meta.url);
const names = readdirSync(STORIES).filter((name) => existsSync(new URL(`${name}/story.mjs`, STORIES)));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    engine: { type: 'boolean' },
    list: { type: 'boolean' },
    otlp: { type: 'string' },
    quick: { type: 'boolean' },
    step: { type: 'string' },
  },
});
const [name] = positionals;
if (values.list) await list();
else if (names.includes(name) && positionals.length === 1) await run();
else {
  console.error(`${name === undefined ? '' : `There is no story ${positionals.join(' ')}. `}${USAGE}`);
  console.error(`Stories: ${names.join(', ')}`);
  process.exitCode = 2;
}

async function list() {
  install(new Report());
  const width = Math.max(...names.map(({ length }) => length));
  for (const story of names) console.log(`${story.padEnd(width)}  ${(await load(story)).summary}`);
}

async function run() {
  const startedAt = performance.now();
  const report = new Report();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
  // What the stories need is installed once; that is not their time.
  install(report);
  const story = await load(name);
  if (values.engine && !(await prepare(story, report))) process.exit(1);
  sendTracesTo(values.otlp?.replace(/\/$/, ''));
  report.heading(`${name}: ${story.summary}`);
  // A quick one is a test, and a starved machine may take its time; what is shown to people ends by itself.
  const limit = setTimeout(() => report.fail(`not through after ${LIMIT_SECONDS} s`), LIMIT_SECONDS * 1000);
  if (values.quick) clearTimeout(limit);
  try {
    await story.run({
      report,
      quick: values.quick ?? false,
      engine: values.engine ?? false,
      step: values.step && Number(values.step),
    });
  } catch (error) {
    report.check(`it came to its end: ${error.stack}`, false);
  } finally {
    clearTimeout(limit);
    endAll();
  }
  report.end((performance.now() - startedAt) / 1000);
  // Connections to services that were killed keep nobody here.
  process.exit();
}

/** Whether its engine is there; where it is not, a line has said how to get it. What it takes to build one is not its time. */
async function prepare({ engine }, report) {
  try {
    if (engine === undefined) throw new MissingEngine(`${name} runs without one: leave out --engine`);
    await engine.prepare(report);
    return true;
  } catch (error) {
    if (!(error instanceof MissingEngine)) throw error;
    console.error(`npm run example -- ${name} --engine: ${error.message}`);
    return false;
  }
}

function load(story) {
  return import(`./stories/${story}/story.mjs`);
}
