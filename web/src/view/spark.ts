// The line of a sparkline as an SVG path. Pure.
import { spanOf, STEP_MS, thin, type Columns } from '../state/trail';

/** A shorter line than this says nothing yet. */
const LEAST_MS = 3 * STEP_MS;
/** About one point for each pixel at 1080 lines. */
const PARTS = 150;

/** The span before `now` in a box; a flat line stands in the middle. */
export function sparkPath(trail: Columns, now: number, width: number, height: number): string {
  const columns = thin(trail, PARTS);
  if ((columns.at.at(-1) ?? 0) - (columns.at[0] ?? 0) < LEAST_MS) return '';
  const known = columns.value.filter((value) => value !== null);
  if (known.length === 0) return '';
  const least = known.reduce((a, b) => Math.min(a, b));
  const most = known.reduce((a, b) => Math.max(a, b));
  const span_ms = spanOf(columns, now);
  const x = (at: number) => round(width - ((now - at) / span_ms) * width);
  const y = (value: number) =>
    round(most === least ? height / 2 : height - ((value - least) / (most - least)) * height);
  let path = '';
  let pen_down = false;
  columns.value.forEach((value, index) => {
    const at = columns.at[index] ?? now;
    if (value !== null) path += `${pen_down ? 'L' : 'M'}${x(at)} ${y(value)}`;
    pen_down = value !== null;
  });
  return path;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
