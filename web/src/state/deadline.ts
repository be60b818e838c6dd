// How long there is still to answer an alert. Pure.
import type { AlertRecord } from '../wire/nouns';
import { isUnacknowledged } from './alerts';

export interface Deadline {
  /** When somebody must have acknowledged, milliseconds UTC. */
  due: number;
  /** What is left, milliseconds; below 0 when it is over. */
  left_ms: number;
  /** Of the whole time, how much has gone, 0 to 1. */
  gone: number;
}

/** None where nothing is expected any more, or where the rule says no time. */
export function deadlineOf(alert: AlertRecord, within_ms: number, now: number): Deadline | undefined {
  if (within_ms <= 0 || !isUnacknowledged(alert)) return undefined;
  // Late data tells of what was long ago: nobody could have answered before it came.
  const begun = alert.late ? Math.max(alert.started_at, alert.recorded_at) : alert.started_at;
  const due = begun + within_ms;
  const gone = Math.min(1, Math.max(0, (now - begun) / within_ms));
  return { due, left_ms: due - now, gone };
}
