// SPDX-License-Identifier: Apache-2.0
import { patchMethod } from '../system/patch.js';

interface ExitingProcess {
  emit(name: string, ...args: unknown[]): boolean;
  reallyExit(code?: number | string): void;
}

/**
 * Calls `run` once, when the last `exit` listener is through; the process ends with what it returns where it would have
 * ended with 0. A listener of our own would not do: test runners set their exit code in one as well (mocha), or call
 * `process.exit()` there, and ours, being registered first, would be overruled.
 *
 * @param onDisconnect called where the parent process hangs up.
 */
export function whenExiting(run: () => number, onDisconnect: () => void): void {
  const target = process as unknown as ExitingProcess;
  const { emit, reallyExit } = target;
  let code: number | undefined;
  const exitCode = (): number => {
    if (code === undefined) {
      code = 0;
      code = run();
    }
    return code;
  };
  patchMethod(
    target,
    'emit',
    {
      emit(this: ExitingProcess, name: string) {
        // No listener, which would keep the process alive. A runner that hangs up may kill next.
        if (name === 'disconnect') onDisconnect();
        // biome-ignore lint/complexity/noArguments: passes on whatever is emitted, without an array
        const result = Reflect.apply(emit, this, arguments);
        if (name === 'exit' && exitCode() !== 0 && !isFailure(process.exitCode)) process.exitCode = exitCode();
        return result;
      },
    }.emit,
  );
  patchMethod(
    target,
    'reallyExit',
    {
      reallyExit(this: ExitingProcess, given?: number | string) {
        Reflect.apply(reallyExit, this, [isFailure(given) ? given : exitCode()]);
      },
    }.reallyExit,
  );
}

function isFailure(code: unknown): boolean {
  return Number(code ?? 0) !== 0;
}
