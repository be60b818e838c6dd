// The last 24 hours of one series: a ring of equal steps, each with its smallest, largest and last
// value. Of constant size, and adding a reading twice or late changes nothing it should not.

export const TRAIL_MS = 24 * 3_600_000;
/** 3 minutes: about one pixel of a sparkline, three of the chart. */
export const STEP_MS = 180_000;
export const STEPS = TRAIL_MS / STEP_MS;
/** Neighbours further apart than this many expected intervals are not joined. */
const GAP_INTERVALS = 5;

/** Points in the order of time; a null value is a gap. Times in milliseconds UTC. */
export interface Columns {
  at: number[];
  value: (number | null)[];
}

/** How many hours back the points reach, as one of a few whole spans: what a chart shows. */
export function hoursOf(columns: Columns, now: number): number {
  const first = columns.at[0] ?? now - TRAIL_MS;
  const covered = (now - first) / 3_600_000;
  return [1, 3, 6, 12].find((hours) => covered <= hours) ?? 24;
}

export class Trail {
  /** Which step since 1970 each cell holds; -1 where it holds none. */
  private readonly step = new Int32Array(STEPS).fill(-1);
  private readonly least = new Float32Array(STEPS);
  private readonly most = new Float32Array(STEPS);
  private readonly last = new Float32Array(STEPS);
  private readonly last_at = new Float64Array(STEPS);

  add(at: number, value: number): void {
    const step = Math.floor(at / STEP_MS);
    const cell = step % STEPS;
    const held = this.step[cell] ?? -1;
    if (cell < 0 || step < held) return;
    if (step > held) {
      this.step[cell] = step;
      this.least[cell] = this.most[cell] = this.last[cell] = value;
      this.last_at[cell] = at;
      return;
    }
    this.least[cell] = Math.min(this.least[cell] ?? value, value);
    this.most[cell] = Math.max(this.most[cell] ?? value, value);
    if (at >= (this.last_at[cell] ?? 0)) {
      this.last[cell] = value;
      this.last_at[cell] = at;
    }
  }

  /** The last value of a step, if there was any. */
  lastOf(step: number): number | undefined {
    const cell = step % STEPS;
    return this.step[cell] === step ? this.last[cell] : undefined;
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
    const end = this.last_at[cell]!;
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
