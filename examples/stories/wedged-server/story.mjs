// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from 'node:url';
import { send, steadily } from '../support/client.mjs';
import { blocksIn, describePlace, hangIn, isAt, lineAt } from '../support/culprits.mjs';
import { end, freePort, kill, start, until } from '../support/process.mjs';
import { startReceiver } from '../support/receiver.mjs';
import { millis, quantile } from '../support/report.mjs';

export const summary = 'a handler waits for ever for a thread that has died, and every health check with it';

const SERVER = fileURLToPath(new URL('./server.mjs', import.meta.url));
const SUPERVISOR = fileURLToPath(new URL('./supervisor.mjs', import.meta.url));
const CULPRIT = { functionName: 'put', file: 'queue.mjs' };
const PARCEL = { address: 'Rue Lepic 12, Paris' };
const NO_ADDRESS = {};
/** As an orchestrator has it. The repaired one is waited for: how soon it answers depends on the machine as well. */
const HEALTH_LIMIT_MILLIS = 1000;
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';

export async function run({ report, quick }) {
  const stuck = await asItIs(report);
  const restarted = await supervised(report);
  const repaired = await withTheFix(report, quick);
  report.table(
    ['variant', 'parcels sent', 'answered', 'of these 503', 'longest answer', 'health checks', 'answered', 'slowest'],
    [stuck, restarted, repaired].map(({ variant, parcels, health }) => [
      variant,
      parcels.length,
      answered(parcels).length,
      parcels.filter(({ status }) => status === 503).length,
      slowest(parcels),
      health.length,
      answered(health).length,
      slowest(health),
    ]),
  );
  report.say(`  Supervised, it served again ${millis(restarted.awayMillis)} after it got stuck.\n`);
  report.check(
    'repaired, every parcel and every health check was answered, with 503 where the queue was full',
    [repaired.parcels, repaired.health].every((sent) => answered(sent).length === sent.length) &&
      repaired.parcels.some(({ status }) => status === 503) &&
      repaired.parcels.every(({ status }) => status === 202 || status === 503),
  );
}

const answered = (sent) => sent.filter(({ status }) => status > 0);
const slowest = (sent) =>
  millis(
    quantile(
      answered(sent).map((it) => it.millis),
      1,
    ),
  );

/** Until the thread is dead and the place is full: the next one to put waits for ever. */
async function fill(service) {
  const died = (service.stderr.match(/label thread died/g) ?? []).length;
  const parcels = [await post(service, PARCEL), await post(service, NO_ADDRESS)];
  await until(() => (service.stderr.match(/label thread died/g) ?? []).length > died, 'the label thread to die');
  parcels.push(await post(service, PARCEL));
  return parcels;
}

const post = (service, body, more) => send(`${service.url}/parcels`, { method: 'POST', body, ...more });
const checkHealth = (service, limitMillis) => send(`${service.url}/health`, { limitMillis });
const heartbeats = ({ stdout }) => stdout.match(/heartbeat/g)?.length ?? 0;

async function asItIs(report) {
  report.step('The service as it is: a parcel without an address kills the label thread');
  const receiver = await startReceiver();
  const service = await start(SERVER, { receiver, name: 'parcels' });
  const parcels = await fill(service);
  const before = heartbeats(service);
  report.step('Two parcels later nobody is answered any more; waiting for the report that leaves all the same');
  const wedging = post(service, PARCEL, {
    headers: { traceparent: `00-${TRACE_ID}-b7ad6b7169203331-01` },
    limitMillis: 600_000,
  });
  const hang = await until(() => hangIn(receiver), 'a hang report');
  const event = await until(
    () => receiver.logs.find(({ eventName }) => eventName === 'eventloop.hang'),
    'its log event',
  );
  await until(() => heartbeats(service) > before + 3, 'heartbeats');
  const health = [];
  for (let i = 0; i < 3; i++) health.push(await checkHealth(service, HEALTH_LIMIT_MILLIS));
  const line = service.stderr.split('\n').find((text) => text.includes('event loop hangs'));
  await kill(service);
  parcels.push(await wedging);
  receiver.close();

  report.say(
    `While it was stuck its heartbeat said ${heartbeats(service) - before} times that all is well. The hang report:\n`,
  );
  report.say(`  ${event.severityText}  ${event.body}`);
  report.say(`  trace ${hang.traceId}, ${describePlace(hang)}:  ${lineAt(hang)}\n`);
  const [, span] = /by "(.+?)"/.exec(event.body) ?? [];
  report.check(
    'the hang report named the span, the function and the line while it was stuck',
    span?.includes('postParcel') && isAt(hang, CULPRIT) && lineAt(hang).includes('Atomics.wait('),
  );
  report.check('it is in the trace of the very request that got stuck', hang.traceId === TRACE_ID);
  report.check('so does a line on stderr', line?.includes('queue.mjs') ?? false);
  report.check('no health check was answered while it was stuck', answered(health).length === 0);
  return { variant: 'as it is', parcels, health };
}

async function supervised(report) {
  report.step("The same under a supervisor, with hangAction: 'abort'");
  const receiver = await startReceiver();
  const env = { OTEL_EVENT_LOOP_HANG_ACTION: 'abort', PORT: String(await freePort()) };
  const otel = { receiver, imports: [], name: 'parcels-supervised' };
  const supervisor = await start(SUPERVISOR, { ...otel, env });
  const parcels = await fill(supervisor);
  const wedging = post(supervisor, PARCEL, { limitMillis: 600_000 });
  const stuckAt = performance.now();
  const checking = steadily(100, () => checkHealth(supervisor, HEALTH_LIMIT_MILLIS));
  const { ended } = await until(() => supervisor.messages.find((message) => message.ended), 'the server to be ended');
  const again = await until(
    async () => (await post(supervisor, PARCEL, { limitMillis: 10_000 })).status === 202 && performance.now(),
    'the server to serve again',
  );
  const health = await checking.stop();
  parcels.push(await wedging);
  const hang = await until(() => hangIn(receiver), 'the hang report ahead of the abort');
  await end(supervisor);
  receiver.close();
  report.check('the hang report left before the process ended by SIGABRT', isAt(hang, CULPRIT) && ended === 'SIGABRT');
  report.check('its supervisor had it serve again', again > stuckAt);
  return { variant: 'supervised', parcels, health, awayMillis: again - stuckAt };
}

async function withTheFix(report, quick) {
  report.step('The repaired queue: it awaits, for a time and no longer, and watches the thread');
  const receiver = await startReceiver();
  const service = await start(SERVER, { receiver, name: 'parcels-repaired', env: { REPAIRED: 'true' } });
  const checking = steadily(100, () => checkHealth(service));
  const parcels = [await post(service, PARCEL), await post(service, NO_ADDRESS)];
  await until(() => service.stderr.includes('label thread died'), 'the label thread to die');
  // More than the printer can take.
  await until(async () => {
    const burst = await Promise.all(Array.from({ length: quick ? 40 : 100 }, () => post(service, PARCEL)));
    parcels.push(...burst);
    return burst.some(({ status }) => status === 503);
  }, 'the queue to be full');
  const last = await until(async () => {
    const sent = await post(service, PARCEL);
    parcels.push(sent);
    return sent.status === 202;
  }, 'the label thread to work again');
  const health = await checking.stop();
  await end(service);
  receiver.close();
  report.check('the thread was started again and took parcels', last);
  report.check(
    'no hang was reported, and no waiting in the queue',
    hangIn(receiver) === undefined &&
      !blocksIn(receiver).some(({ file, cause }) => file === 'queue-repaired.mjs' && cause === 'wait'),
  );
  return { variant: 'repaired', parcels, health };
}
