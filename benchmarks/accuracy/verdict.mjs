// SPDX-License-Identifier: Apache-2.0
// What service.cjs did, beside what its spans say. Milliseconds.

const THRESHOLD = 50;
/** Nearer to a limit than this, either verdict is right. */
const MARGIN = 2;
/** The clock of the spans and that of the pieces differ by less. */
const CLOCKS = 3;
const NO_SPAN = '(no span)';
const BLOCK_SPAN = 'event loop blocked';

/**
 * @param run what service.cjs has sent.
 * @returns `rows`: of each block that was planned, what it was and what became of it. `accused`: spans that are to blame for
 *   blocks that nobody planned, and that the machine did not make either. `ofTheMachine`: how many blocks it made.
 */
export function judge(run) {
  const spans = new Map(run.spans.map((span) => [span.spanId, span]));
  const reports = run.spans.filter(({ name }) => name === BLOCK_SPAN).map((span) => reportOf(span, spans, run));
  const parents = new Map(run.spans.map(({ name, parentSpanId }) => [name, spans.get(parentSpanId)?.name]));
  const known = new Set();
  const rows = [];
  for (const iteration of iterationsOf(run.pieces)) {
    const plan = run.plans.find(({ from, to }) => from <= iteration.start && iteration.start <= to);
    // Nothing was planned; or what was asked of the background is all there is.
    if (iteration.wall < THRESHOLD - CLOCKS || plan === undefined) continue;
    if (!iteration.pieces.some(({ label }) => isOf(label, plan.kind))) continue;
    const found = reports.filter((report) => overlap(report, iteration) > 0);
    for (const report of found) known.add(report);
    rows.push({ ...plan, ...verdict(iteration, found, parents, plan) });
  }
  const further = reports.filter((report) => !known.has(report));
  const own = further.filter((report) => report.duration - withheldIn(report, run.pieces) >= THRESHOLD - MARGIN);
  return {
    rows,
    accused: own.flatMap(({ blamed }) => blamed).filter((name) => name !== NO_SPAN),
    ofTheMachine: further.length - own.length,
  };
}

function isOf(label, kind) {
  return label.startsWith(kind) || label === NO_SPAN;
}

/** A block span, on the clock of the pieces. */
function reportOf(span, spans, { wallClockOffset }) {
  const blamed = [span.parentSpanId, ...span.links].flatMap((id) => spans.get(id) ?? []);
  return {
    start: span.startTime - wallClockOffset,
    end: span.endTime - wallClockOffset,
    duration: span.attributes['eventloop.block.duration'] * 1e3,
    isShared: span.attributes['eventloop.block.shared'],
    isApproximate: span.attributes['eventloop.block.approximate'] === true,
    // What counts is what is written on the spans themselves; where one had ended, the block's span stands for it.
    blamed:
      blamed.length > 0 ? blamed.filter((one) => isMarked(one) || isMarked(span)).map(({ name }) => name) : [NO_SPAN],
  };
}

function isMarked({ attributes }) {
  return attributes['eventloop.blocked'] === true;
}

function iterationsOf(pieces) {
  const byTurn = new Map();
  for (const piece of pieces) {
    if (byTurn.has(piece.turn)) byTurn.get(piece.turn).push(piece);
    else byTurn.set(piece.turn, [piece]);
  }
  return [...byTurn.values()].map((own) => {
    const start = Math.min(...own.map((piece) => piece.start));
    const end = Math.max(...own.map((piece) => piece.end));
    const shares = new Map();
    for (const piece of own) shares.set(piece.label, (shares.get(piece.label) ?? 0) + piece.end - piece.start);
    return { pieces: own, start, end, wall: end - start, shares };
  });
}

function overlap(one, other) {
  return Math.min(one.end, other.end) - Math.max(one.start, other.start);
}

/** How long the thread stood ready without a core, from the last piece before `report` to the first one behind it. */
function withheldIn(report, pieces) {
  const before = pieces.findLast(({ end }) => end < report.start)?.queuedAfter ?? 0;
  const after = pieces.find(({ start }) => start > report.end)?.queuedBefore ?? pieces.at(-1)?.queuedAfter ?? 0;
  return Math.max(after - before, 0);
}

function verdict(iteration, found, parents, { queuedBefore, queuedAfter }) {
  const inside = iteration.pieces.reduce((sum, piece) => sum + piece.queuedAfter - piece.queuedBefore, 0);
  const withheld = Math.max(queuedAfter - queuedBefore - inside, 0);
  const truth = truthOf(iteration, parents, withheld);
  if (found.length === 0) return { ...truth, isRight: false, isFalse: false, isSingledOut: false };
  // Where somebody who waited for it ended meanwhile, there are parts; the longest is the whole.
  const whole = found.reduce((longest, report) => (report.duration > longest.duration ? report : longest));
  const blamed = new Set(found.flatMap((report) => report.blamed));
  const names = [...blamed];
  const isExactly = names.length === truth.names.length && truth.names.every((name) => blamed.has(name));
  const off = whole.duration - iteration.wall;
  // Without a core right before its pieces or behind them, the loop was busy as well.
  const excused = Math.min(Math.max(off, 0), withheld);
  return {
    ...truth,
    isRight: isExactly && (!truth.isShared || whole.isShared),
    // Nobody is falsely blamed where the block is nobody's.
    isFalse: names.some((name) => name !== NO_SPAN && !truth.names.includes(name)),
    isSingledOut: truth.isShared && !whole.isShared,
    isApproximate: found.some((report) => report.isApproximate),
    durationMillis: whole.duration,
    errorMillis: Math.abs(off) - excused,
    blamed: names,
  };
}

/** Who is to blame, by the rules of the package; what lies around and between the pieces may be anybody's. */
function truthOf({ shares: byLabel, wall }, parents, withheld) {
  const shares = [...byLabel].map(([name, millis]) => ({ name, millis })).sort((a, b) => b.millis - a.millis);
  const slack = MARGIN + withheld + shares.reduce((rest, { millis }) => rest - millis, wall);
  const isNear = (millis) => millis < THRESHOLD && millis + slack > THRESHOLD;
  const alone = shares.filter(({ millis }) => millis >= THRESHOLD);
  const truth = { wall, isShared: alone.length === 0, isUnclear: shares.some(({ millis }) => isNear(millis)) };
  if (alone.length > 0) return { ...truth, names: alone.map(({ name }) => name) };
  const families = new Map();
  for (const { name, millis } of shares) {
    for (let one = name; one !== undefined; one = parents.get(one))
      families.set(one, (families.get(one) ?? 0) + millis);
  }
  const together = [...families].filter(([, millis]) => millis >= THRESHOLD).map(([name]) => name);
  const above = new Set();
  for (const name of together) for (let one = parents.get(name); one; one = parents.get(one)) above.add(one);
  if (together.length > 0) return { ...truth, names: together.filter((name) => !above.has(name)) };
  const [first, second] = shares;
  const isTie = second !== undefined && first.millis - second.millis < slack;
  return { ...truth, isUnclear: truth.isUnclear || isTie || wall < THRESHOLD, names: [first.name] };
}
