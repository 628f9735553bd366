// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { JobEnd } from '../../src/recorder/job-end.js';

/** In a callback of its own: what `run` is given is called when its end is seen. @returns what happened, in order. */
async function follow(run: (jobEnd: JobEnd, note: (what: string) => void) => void): Promise<string[]> {
  const happened: string[] = [];
  const note = (what: string): void => {
    happened.push(what);
  };
  await new Promise<void>((resolve) => {
    setImmediate(() => run(new JobEnd(() => note('end')), note));
    setImmediate(resolve);
  });
  return happened;
}

it('comes once, behind the callback and the promise jobs of a promise job', async () => {
  const happened = await follow((jobEnd, note) => {
    Promise.resolve().then(() => {
      for (let i = 0; i < 3; i++) jobEnd.await();
      expect(jobEnd.isAwaited).toBe(true);
      Promise.resolve().then(() => note('job'));
    });
    note('callback');
  });
  expect(happened).toEqual(['callback', 'job', 'end']);
});

it('comes behind ticks that bring forth ticks', async () => {
  const happened = await follow((jobEnd, note) => {
    process.nextTick(() => {
      jobEnd.awaitBehindTicks();
      process.nextTick(() => {
        jobEnd.awaitBehindTicks();
        process.nextTick(() => note('tick'));
      });
    });
  });
  expect(happened).toEqual(['tick', 'end']);
});

it('comes again where it is awaited again', async () => {
  const happened = await follow((jobEnd) => {
    jobEnd.await();
    process.nextTick(() => {
      expect(jobEnd.isAwaited).toBe(false);
      jobEnd.await();
    });
  });
  expect(happened).toEqual(['end', 'end']);
});
