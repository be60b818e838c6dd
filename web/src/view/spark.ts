// The line of a sparkline as an SVG path. Pure.
import { hoursOf, type Columns } from '../state/trail';

/** The hours before `now` in a box; a flat line stands in the middle. */
export function sparkPath(columns: Columns, now: number, width: number, height: number): string {
  const known = columns.value.filter((value) => value !== null);
  if (known.length === 0) return '';
  const least = known.reduce((a, b) => Math.min(a, b));
  const most = known.reduce((a, b) => Math.max(a, b));
  const span_ms = hoursOf(columns, now) * 3_600_000;
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
