// SPDX-License-Identifier: Apache-2.0
// What a story prints: what it does on stderr, what it found on stdout.
import { styleText } from 'node:util';

const colour = (stream, style, text) => (stream.isTTY && !process.env.NO_COLOR ? styleText(style, text) : text);

export class Report {
  #failures = 0;
  #checks = 0;

  heading(text) {
    console.log(`\n${colour(process.stdout, 'bold', text)}\n`);
  }

  step(text) {
    console.error(colour(process.stderr, 'dim', `  … ${text}`));
  }

  say(text) {
    console.log(text);
  }

  /** Rows of cells under their titles; numbers to the right. */
  table(head, rows) {
    const cells = [head, ...rows].map((row) => row.map(String));
    const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
    const isNumber = head.map((_, column) =>
      rows.every((row) => /^(–|[\d.,]+( (ms|s|%))?|)$/.test(String(row[column]))),
    );
    const line = (row) =>
      row
        .map((cell, i) => (isNumber[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
        .join('  ')
        .trimEnd();
    const [titles, ...rest] = cells;
    console.log(`\n  ${colour(process.stdout, 'bold', line(titles))}`);
    for (const row of rest) console.log(`  ${line(row)}`);
    console.log();
  }

  /** What has to be so. A story in which something is not ends with code 1. */
  check(what, isSo) {
    this.#checks++;
    if (!isSo) this.#failures++;
    console.log(isSo ? colour(process.stdout, 'green', `✔ ${what}`) : colour(process.stdout, 'red', `✖ ${what}`));
    return isSo;
  }

  /** Ends the process: what still runs would never come to its end. */
  fail(what) {
    this.check(what, false);
    process.exit(1);
  }

  end(seconds) {
    console.log(`\n${this.#checks - this.#failures} of ${this.#checks} checks hold, in ${seconds.toFixed(0)} s`);
    process.exitCode = this.#failures > 0 || this.#checks === 0 ? 1 : 0;
  }
}

export function millis(value) {
  if (value === undefined || Number.isNaN(value)) return '–';
  return value < 10
    ? `${value.toFixed(1)} ms`
    : value < 10_000
      ? `${Math.round(value)} ms`
      : `${(value / 1000).toFixed(1)} s`;
}

/** The value that so large a share of them does not exceed; undefined where there is none. */
export function quantile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}
