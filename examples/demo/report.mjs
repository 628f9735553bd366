// SPDX-License-Identifier: Apache-2.0
// The findings as text for a terminal, or for a file: without colours nothing is lost.
import Table from 'cli-table3';
import colors from 'picocolors';
import { findings } from './findings.mjs';
import { formatMillis, LEGEND, shorten, waterfall } from './waterfall.mjs';

const WIDTH = Math.min(Math.max(process.stdout.columns || Number(process.env.COLUMNS) || 100, 72), 120);
const MAX_TRACES = 4;
/** What the table needs beside its two columns of names: three numbers and the frame. */
const NUMBERS_WIDTH = 39;

/** Prints the report; tells whether any block was found in the telemetry. */
export function printReport({ load, forwarded, ...telemetry }) {
  const found = findings(telemetry);
  heading('Event loop report');
  printFacts(found, load);
  if (found.blamed.length === 0) return false;

  heading('Which spans blocked the event loop');
  print(blamedTable(found.blamed));
  print(colors.dim('Times: what these spans themselves ran on the loop while it was blocked.'));
  if (found.blamed.some(({ name }) => name === '(no span)')) {
    print(colors.dim('(no span): code that ran under no span, such as a timer of the application or of a library.'));
  }

  heading('The longest block of each, as a trace');
  print(colors.dim(LEGEND));
  for (const { root, spans, message } of found.examples.slice(0, MAX_TRACES)) {
    printTrace(root, message, waterfall(spans, [], WIDTH));
  }
  if (found.bystander) {
    const { root, millis, spans, meanwhile } = found.bystander;
    heading('The request that waited longest for others');
    printTrace(
      root,
      root.attributes['eventloop.stall.upper_bound']
        ? `waited up to ${formatMillis(millis)} before its own span began`
        : `waited ${formatMillis(millis)}`,
      waterfall(spans, meanwhile, WIDTH),
    );
  }
  printWhereElse(found, forwarded);
  return true;
}

function printFacts({ requests, blocks, stalled, delay, startUp }, load) {
  const facts = [
    ['Requests', `${requests} traced${load.failures > 0 ? colors.red(`, ${load.failures} failed`) : ''}`],
    [
      load.route,
      `p50 ${formatMillis(load.p50)}, p99 ${formatMillis(load.p99)}, max ${formatMillis(load.max)} (as clients saw it)`,
    ],
    [
      'Blocks',
      `${blocks.count}, together ${formatMillis(blocks.totalMillis)}, longest ${formatMillis(blocks.maxMillis)}`,
    ],
  ];
  if (stalled > 0) facts.push(['Stalled', `${stalled} requests had to wait for them`]);
  if (delay) {
    const { p50, p99, maxMillis } = delay;
    facts.push([
      'Loop delay',
      `p50 ≤ ${formatMillis(p50)}, p99 ≤ ${formatMillis(p99)}, max ${formatMillis(maxMillis)}`,
    ]);
  }
  if (startUp) facts.push(['Start-up', startUp.replace(/^start-up /, '').replace(/; not counted$/, '; no block')]);
  const width = Math.max(...facts.map(([name]) => name.length));
  for (const [name, text] of facts) print(`${name.padEnd(width)}  ${colors.bold(text)}`);
}

function blamedTable(rows) {
  const table = new Table({
    head: ['Span', 'In request', 'Blocks', 'Total', 'Longest'],
    colAligns: ['left', 'left', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  });
  const nameWidth = Math.floor((WIDTH - NUMBERS_WIDTH) / 2);
  for (const { name, request, count, totalMillis, maxMillis } of rows) {
    const times = [formatMillis(totalMillis), formatMillis(maxMillis)];
    table.push([colors.bold(shorten(name, nameWidth)), shorten(request, nameWidth), count, ...times]);
  }
  return table.toString();
}

function printTrace(root, message, lines) {
  print('');
  print(`${colors.bold(root.name)}  ${colors.dim(`trace ${root.traceId}`)}`);
  if (message) print(colors.yellow(message));
  for (const line of lines) print(line);
}

function printWhereElse(found, forwarded) {
  heading('In a tracing backend');
  if (!forwarded) {
    print('Start one (examples/compose.yaml), then send it the same telemetry:');
    print('  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 npm run demo');
    return;
  }
  const { endpoint, traces, ...others } = forwarded;
  print(`Sent to ${endpoint} as well: ${outcome('traces', traces)}`);
  for (const [signal, results] of Object.entries(others)) {
    // Not every backend takes all three: Jaeger, for one, takes only traces.
    if (results.some((result) => result !== 'ok')) print(colors.yellow(`  ${outcome(signal, results)}`));
  }
  if (!traces.includes('ok')) {
    print('Nothing arrived there. Is it an OTLP endpoint for HTTP, usually port 4318?');
    return;
  }
  print('Find what blocked with');
  print('  TraceQL (Tempo)  { span.eventloop.blocked = true }');
  print('  Jaeger           tag eventloop.blocked=true');
  print('or look these up by trace id:');
  for (const { root } of found.examples.slice(0, MAX_TRACES)) print(`  ${root.traceId}  ${root.name}`);
  if (found.bystander) print(`  ${found.bystander.root.traceId}  ${found.bystander.root.name} (had to wait)`);
}

function outcome(signal, results) {
  const bad = results.filter((result) => result !== 'ok');
  const text = `${signal}: ${results.length - bad.length} of ${results.length} requests accepted`;
  return bad.length > 0 ? colors.yellow(`${text} (${[...new Set(bad)].join(', ')})`) : text;
}

function heading(text) {
  print('');
  print(colors.bold(`── ${text} ${'─'.repeat(Math.max(0, WIDTH - text.length - 4))}`));
}

const print = (line) => console.log(line);
