// SPDX-License-Identifier: Apache-2.0
// `npm run demo`: a service in a process of its own, load on it, and a report made from nothing but the telemetry that
// the service sent over OTLP.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import ora from 'ora';
import colors from 'picocolors';
import { runLoad } from './load.mjs';
import { startReceiver } from './receiver.mjs';
import { printReport } from './report.mjs';

const LOAD_SECONDS = 9;
const START_TIMEOUT_MILLIS = 15_000;
/** The service has nothing to do when it is asked to end but to send its last batch. */
const END_TIMEOUT_MILLIS = 5_000;

const endpoint = process.env.OTEL_EXPORTER_OTLP_ENDPOINT;

const spinner = ora({
  // Otherwise ora reads stdin in raw mode, and Ctrl-C would be ours to interpret.
  discardStdin: false,
  // In a terminal that claims to have no columns, as in some containers, ora 9 clears lines for ever.
  isEnabled: process.stderr.columns > 0 ? undefined : false,
});
const receiver = await startReceiver(endpoint);
const service = startService();

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    spinner.stop();
    service.kill('SIGKILL');
    process.exit(signal === 'SIGINT' ? 130 : 143);
  });
}

try {
  spinner.start('Starting the service');
  const url = await listening();
  done(`Service listens on ${url}`);

  spinner.start(`Sending requests for ${LOAD_SECONDS} s`);
  const started = performance.now();
  const ticking = setInterval(() => {
    const left = Math.max(0, LOAD_SECONDS - Math.floor((performance.now() - started) / 1000));
    spinner.text = `Sending requests, ${left} s left`;
  }, 250);
  const load = await runLoad(url, LOAD_SECONDS).finally(() => clearInterval(ticking));
  done(`Sent requests for ${((performance.now() - started) / 1000).toFixed(1)} s`);

  spinner.start('Waiting for the last telemetry');
  await endService();
  const telemetry = receiver.read();
  const forwarded = endpoint && { endpoint, ...(await receiver.forwarded()) };
  const { spans, metrics, logs } = telemetry;
  if (spans.length === 0) throw new Error('no span arrived over OTLP, so there is nothing to report');
  done(`Received ${spans.length} spans, ${metrics.size} metrics and ${logs.length} log events over OTLP`);

  const found = printReport({ ...telemetry, load, forwarded });
  if (!found) throw new Error('no `event loop blocked` span arrived');
} catch (error) {
  spinner.stopAndPersist({ symbol: colors.red('✖'), text: `Demo failed: ${error.message}` });
  process.exitCode = 1;
} finally {
  service.kill('SIGKILL');
  await receiver.close();
}

function startService() {
  // The demo's own settings must win over those in the user's shell: what is no matter of the demo is left out.
  const inherited = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('OTEL_') || /^OTEL_(EVENT_LOOP_|EXPORTER_OTLP_HEADERS$|LOG_LEVEL$)/.test(name),
  );
  return fork(fileURLToPath(new URL('./service.mjs', import.meta.url)), {
    execArgv: ['--import', new URL('./tracing.mjs', import.meta.url).href],
    env: {
      ...Object.fromEntries(inherited),
      OTEL_SERVICE_NAME: 'event-loop-demo',
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_METRICS_EXPORTER: 'otlp',
      OTEL_LOGS_EXPORTER: 'otlp',
      // Shorter than the defaults, since the demo is, and room for what piles up while the loop is blocked.
      OTEL_METRIC_EXPORT_INTERVAL: '2000',
      OTEL_METRIC_EXPORT_TIMEOUT: '2000',
      OTEL_BSP_SCHEDULE_DELAY: '500',
      OTEL_BSP_MAX_QUEUE_SIZE: '20000',
    },
  });
}

/** The symbols of ora itself are coloured also where stderr is a file. */
function done(text) {
  spinner.stopAndPersist({ symbol: colors.green('✔'), text });
}

async function listening() {
  const signal = AbortSignal.timeout(START_TIMEOUT_MILLIS);
  const exit = once(service, 'exit', { signal }).then(([code]) => {
    throw new Error(`the service ended with code ${code} before it listened`);
  });
  try {
    const [message] = await Promise.race([once(service, 'message', { signal }), exit]);
    return message.url;
  } catch (error) {
    throw signal.aborted ? new Error(`the service did not listen within ${START_TIMEOUT_MILLIS / 1000} s`) : error;
  }
}

async function endService() {
  if (!service.connected) throw new Error('the service died under the load');
  const ended = once(service, 'exit', { signal: AbortSignal.timeout(END_TIMEOUT_MILLIS) });
  service.disconnect();
  // What has arrived by then is reported all the same.
  await ended.catch(() => console.error(`The service did not end within ${END_TIMEOUT_MILLIS / 1000} s.`));
}
