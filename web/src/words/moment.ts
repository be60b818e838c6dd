// Days and spans as people write them, and the values of date fields. Always the time of Vietnam,
// seven hours ahead of UTC all year.
import { clock, clockShort } from './format';
import { say } from './language.svelte';

const OFFSET_MS = 7 * 3_600_000;
const DAY_MS = 86_400_000;

/** The parts of a moment in Vietnam: `2026-11-23T14:02`. */
export function fieldOf(ms: number): string {
  return new Date(ms + OFFSET_MS).toISOString().slice(0, 16);
}

/** What a date field says, as milliseconds UTC; undefined if it is not filled in. */
export function momentOf(field: string): number | undefined {
  const ms = Date.parse(`${field}:00+07:00`);
  return Number.isNaN(ms) ? undefined : ms;
}

/** As the API takes times. */
export function rfc3339(ms: number): string {
  return `${new Date(ms + OFFSET_MS).toISOString().slice(0, 19)}+07:00`;
}

function day(ms: number): number {
  return Math.floor((ms + OFFSET_MS) / DAY_MS);
}

/** `23/11`. */
function dayMonth(ms: number): string {
  const [, month, date] = fieldOf(ms).slice(0, 10).split('-');
  return `${date}/${month}`;
}

/** `14:02` today, `14:02 23/11` on another day. */
export function moment(ms: number, now: number): string {
  return day(ms) === day(now) ? clockShort(ms) : `${clockShort(ms)} ${dayMonth(ms)}`;
}

/** `14:02:05 23/11`. */
export function exactly(ms: number): string {
  return `${clock(ms)} ${dayMonth(ms)}`;
}

/** The two largest units of a span: `1 giờ 05 phút`, `4 phút 12 giây`, `12 giây`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  const two = (n: number) => String(n).padStart(2, '0');
  if (seconds < 60) return say('age.seconds', { n: seconds });
  if (seconds < 3_600) {
    const rest = seconds % 60;
    const minutes = say('age.minutes', { n: Math.floor(seconds / 60) });
    return rest === 0 ? minutes : `${minutes} ${say('age.seconds', { n: two(rest) })}`;
  }
  if (seconds < 48 * 3_600) {
    const rest = Math.floor((seconds % 3_600) / 60);
    const hours = say('age.hours', { n: Math.floor(seconds / 3_600) });
    return rest === 0 ? hours : `${hours} ${say('age.minutes', { n: two(rest) })}`;
  }
  const hours = Math.floor((seconds % 86_400) / 3_600);
  const days = say('age.days', { n: Math.floor(seconds / 86_400) });
  return hours === 0 ? days : `${days} ${say('age.hours', { n: hours })}`;
}
