// What the map marks: the worst open alert of each device and of each area. Pure.
import type { AlertRecord, Severity } from '../wire/nouns';
import { isUnacknowledged } from './alerts';

export interface Mark {
  severity: Severity;
  unacknowledged: boolean;
}

/** The worst open alert of each device. `open` is sorted, most urgent first. */
export function marksOf(open: AlertRecord[]): Map<string, Mark> {
  const marks = new Map<string, Mark>();
  for (const record of open) {
    if (marks.has(record.device)) continue;
    marks.set(record.device, {
      severity: record.severity,
      unacknowledged: isUnacknowledged(record),
    });
  }
  return marks;
}

/** The worst severity of each area with an open alert. */
export function areasOf(open: AlertRecord[]): Map<string, Severity> {
  const areas = new Map<string, Severity>();
  for (const record of open) {
    if (record.area !== undefined && !areas.has(record.area)) areas.set(record.area, record.severity);
  }
  return areas;
}
