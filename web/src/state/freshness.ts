// How far a value on the glass may be believed. Pure.
import type { Latest } from './latest';

export type Freshness = 'fresh' | 'stale' | 'lost' | 'suspect' | 'none';

/** Older than this many expected intervals is "cũ", and "mất tín hiệu". */
export const STALE_INTERVALS = 2;
export const LOST_INTERVALS = 5;
/** Shorter intervals count as this: ticks are conflated and travel, milliseconds. */
export const INTERVAL_FLOOR_MS = 5_000;
/** A silent link makes every value at least "cũ" after this, milliseconds. */
export const LINK_SILENCE_MS = 10_000;

export function freshness(
  latest: Latest | undefined,
  interval_ms: number,
  now: number,
  link_silence_ms = 0,
): Freshness {
  if (!latest) return 'none';
  const interval = Math.max(interval_ms, INTERVAL_FLOOR_MS);
  const age = now - latest.at;
  if (age > LOST_INTERVALS * interval) return 'lost';
  if (age > STALE_INTERVALS * interval || link_silence_ms > LINK_SILENCE_MS) return 'stale';
  return latest.quality === 0 ? 'fresh' : 'suspect';
}
