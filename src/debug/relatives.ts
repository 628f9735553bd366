// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMainThread, threadId } from 'node:worker_threads';

/** Where what is found is left for the head of the family; inherited by children and threads, and of no use to anybody else. */
const FOLDER = 'OTEL_EVENT_LOOP_DEBUG_FOUND';
/** Of each process or thread. */
const MAX_TOLD = 1_000;

/** What is told of a block that was longer than allowed. */
export interface Told {
  readonly millis: number;
  readonly text: string;
}

/**
 * The processes and threads that are guarded together. The first is the head of them, whose exit code tells of all; the
 * others leave what they find in a folder, at once: runners kill their children.
 */
export class Relatives {
  readonly isHead: boolean;
  private readonly _folder: string;
  private _told = 0;

  constructor(environment: NodeJS.ProcessEnv) {
    const inherited = environment[FOLDER];
    // A thread whose environment is not its creator's has no head.
    this.isHead = isMainThread && !inherited;
    this._folder = inherited || join(tmpdir(), `event-loop-guard-${randomUUID()}`);
    if (this.isHead) environment[FOLDER] = this._folder;
  }

  /** Leaves it for the head. @returns whether that can be. */
  tell(told: Told): boolean {
    if (this._told++ >= MAX_TOLD) return true;
    try {
      mkdirSync(this._folder, { recursive: true });
      const where = `${isMainThread ? 'process' : `thread ${threadId} of process`} ${process.pid}`;
      const line = { ...told, text: `${told.text} [${where}]` };
      appendFileSync(join(this._folder, `${process.pid}-${threadId}.jsonl`), `${JSON.stringify(line)}\n`);
      return true;
    } catch {
      return false;
    }
  }

  get hasTold(): boolean {
    return this._told > 0;
  }

  /** What the others have left until now; for the head, at its end. */
  take(): Told[] {
    if (!existsSync(this._folder)) return [];
    const told = readdirSync(this._folder).flatMap((file) => linesOf(join(this._folder, file)));
    rmSync(this._folder, { recursive: true, force: true });
    return told;
  }
}

/** One that was killed may have written half a line. */
function linesOf(file: string): Told[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        const told = JSON.parse(line) as Told;
        return typeof told.millis === 'number' ? [told] : [];
      } catch {
        return [];
      }
    });
}
