// SPDX-License-Identifier: Apache-2.0
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Run, type RunOptions, runFixture } from './run-fixture.js';

/** A fixture that serves, prints its port as its first line of JSON, and is talked to while it runs. */
export class Service {
  private _stdout = '';
  private _stderr = '';

  private constructor(
    readonly child: ChildProcess,
    /** Resolves with how it ended. */
    readonly ended: Promise<Run>,
  ) {
    child.stdout?.on('data', (text) => {
      this._stdout += text;
    });
    child.stderr?.on('data', (text) => {
      this._stderr += text;
    });
  }

  static async start(file: string, options: RunOptions = {}): Promise<Service> {
    let child: ChildProcess | undefined;
    const ended = runFixture(file, { ...options, onSpawn: (spawned) => (child = spawned) });
    const service = new Service(child as ChildProcess, ended);
    await service.line(0);
    return service;
  }

  get stderr(): string {
    return this._stderr;
  }

  private get _lines(): string[] {
    return this._stdout.split('\n').slice(0, -1);
  }

  /** The n-th line of JSON that it printed, once it has. */
  async line(n: number): Promise<Record<string, never>> {
    return JSON.parse(await waitFor(() => this._lines[n]));
  }

  url(path: string): string {
    return `http://127.0.0.1:${JSON.parse(this._lines[0] as string).port}${path}`;
  }

  /** Sends a request and does not wait for its answer, which may never come. */
  async send(path: string): Promise<void> {
    fetch(this.url(path)).catch(() => {});
  }

  async kill(): Promise<Run> {
    this.child.kill('SIGKILL');
    return this.ended;
  }
}

/** Waits until `look` finds something. */
export async function waitFor<T>(look: () => T | undefined, timeoutMillis = 15_000): Promise<T> {
  const startedAt = performance.now();
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    if (performance.now() - startedAt > timeoutMillis) throw new Error(`waited ${timeoutMillis} ms for ${look}`);
    await sleep(5);
  }
}
