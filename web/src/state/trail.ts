// The last 24 hours of one series: a ring of equal steps, each with its smallest, largest and last
// value. Of constant size, and adding a reading twice or late changes nothing it should not.

export const TRAIL_MS = 24 * 3_600_000;
/** Fine enough that a trend can be seen minutes after the start. */
export const STEP_MS = 60_000;
export const STEPS = TRAIL_MS / STEP_MS;
/** Neighbours further apart than this many expected intervals are not joined. */
const GAP_INTERVALS = 5;

/** Points in the order of time; a null value is a gap. Times in milliseconds UTC. */
export interface Columns {
  at: number[];
  value: (number | null)[];
}

/** What was said in one step: the smallest, the last and the largest value. */
export interface Said {
  /** Start of the step, milliseconds UTC. */
  start: number;
  min: number;
  value: number;
  max: number;
}

const MINUTE_MS = 60_000;
const SPANS_MS = [15, 60, 180, 360, 720].map((minutes) => minutes * MINUTE_MS);

/** How far back the points reach, as one of a few whole spans: what a chart shows. */
export function spanOf(columns: Columns, now: number): number {
  const first = columns.at[0] ?? now - TRAIL_MS;
  return SPANS_MS.find((span_ms) => now - first <= span_ms) ?? TRAIL_MS;
}

/** The same line with at most `2 * parts` points: the smallest and the largest of each part, and
 *  every gap. */
export function thin(columns: Columns, parts: number): Columns {
  if (columns.at.length <= 2 * parts) return columns;
  const thinned: Columns = { at: [], value: [] };
  const size = Math.ceil(columns.at.length / parts);
  for (let start = 0; start < columns.at.length; start += size) {
    const indices = Array.from({ length: Math.min(size, columns.at.length - start) }, (_, i) => start + i);
    for (const index of telling(columns.value, indices)) {
      push(thinned, columns.at[index]!, columns.value[index]!);
    }
  }
  return thinned;
}

/** Of these points the smallest, the largest and the first gap, in the order of time. */
function telling(values: (number | null)[], indices: number[]): number[] {
  const known = indices.filter((index) => values[index] !== null);
  const gap = indices.find((index) => values[index] === null);
  const pick = (better: (a: number, b: number) => boolean) =>
    known.reduce((best, index) => (better(values[index]!, values[best]!) ? index : best), known[0]!);
  const picked = new Set(known.length === 0 ? [] : [pick((a, b) => a < b), pick((a, b) => a > b)]);
  if (gap !== undefined) picked.add(gap);
  return [...picked].sort((a, b) => a - b);
}

export class Trail {
  /** Which step since 1970 each cell holds; -1 where it holds none. */
  private readonly step = new Int32Array(STEPS).fill(-1);
  private readonly least = new Float32Array(STEPS);
  private readonly most = new Float32Array(STEPS);
  private readonly last = new Float32Array(STEPS);
  /** When the last value was, milliseconds after the start of its step. */
  private readonly last_ms = new Uint16Array(STEPS);

  add(at: number, value: number): void {
    const step = Math.floor(at / STEP_MS);
    const cell = step % STEPS;
    const held = this.step[cell] ?? -1;
    if (cell < 0 || step < held) return;
    if (step > held) {
      this.step[cell] = step;
      this.least[cell] = this.most[cell] = this.last[cell] = value;
      this.last_ms[cell] = at - step * STEP_MS;
      return;
    }
    this.least[cell] = Math.min(this.least[cell] ?? value, value);
    this.most[cell] = Math.max(this.most[cell] ?? value, value);
    const ms = at - step * STEP_MS;
    if (ms >= (this.last_ms[cell] ?? 0)) {
      this.last[cell] = value;
      this.last_ms[cell] = ms;
    }
  }

  /** Takes a step that somebody else kept, as of `now`. Of the step that is not over yet it knows
   *  the last value less well than whoever hears it live. */
  fill(step: Said, now: number): void {
    const end = step.start + STEP_MS;
    this.add(step.start, step.min);
    this.add(step.start, step.max);
    this.add(end <= now ? end - 1 : step.start, step.value);
  }

  /** Everything of the 24 hours before `now`, gaps as gaps, peaks kept. */
  columns(now: number, interval_ms: number): Columns {
    const columns: Columns = { at: [], value: [] };
    const newest = Math.floor(now / STEP_MS);
    const longest = Math.max(GAP_INTERVALS * interval_ms, 2 * STEP_MS);
    let before = -Infinity;
    for (let step = newest - STEPS + 1; step <= newest; step++) {
      const cell = step % STEPS;
      if (this.step[cell] !== step) continue;
      const start = step * STEP_MS;
      if (before !== -Infinity && start - before > longest) push(columns, before + STEP_MS, null);
      this.emit(columns, cell, start);
      before = start;
    }
    return columns;
  }

  private emit(columns: Columns, cell: number, start: number): void {
    const [least, most, last] = [this.least[cell]!, this.most[cell]!, this.last[cell]!];
    const end = start + this.last_ms[cell]!;
    if (least === most) return push(columns, end, last);
    // The two ends of the step, so that the one nearer to the last value comes second.
    const rising = most - last < last - least;
    push(columns, start + (end - start) / 2, rising ? least : most);
    push(columns, end, rising ? most : least);
  }
}

function push(columns: Columns, at: number, value: number | null): void {
  columns.at.push(at);
  columns.value.push(value);
}
