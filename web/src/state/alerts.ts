// The alert book: the fold of the alert log. Pure: what it holds follows from the records alone.
import { SEVERITIES, type AlertRecord, type Severity } from '../wire/nouns';

/** How long an ended alert is remembered, so that a late repeat of it is still known. */
export const KEEP_ENDED_MS = 3_600_000;

export type Effect = 'new' | 'changed' | 'known';

export function isOpen(record: AlertRecord): boolean {
  return record.state !== 'normal';
}

/** How an alert may be kept off the list that people work from. */
export const ASIDE = ['shelved', 'suppressed', 'out_of_service'] as const;
export type Aside = (typeof ASIDE)[number];

const ASIDE_FIELD = {
  shelved: 'shelving',
  suppressed: 'suppression',
  out_of_service: 'out_of_service',
} as const;

export function isAside(record: AlertRecord, how: Aside): boolean {
  return record[ASIDE_FIELD[how]] !== undefined;
}

export function isPutAside(record: AlertRecord): boolean {
  return ASIDE.some((how) => isAside(record, how));
}

/** Whether it is on the list that people work from (ISA-18.2; OPC UA: not SuppressedOrShelved). */
export function isShown(record: AlertRecord): boolean {
  return isOpen(record) && !isPutAside(record);
}

/** Whether nobody has taken it yet. */
export function isUnacknowledged(record: AlertRecord): boolean {
  return record.state === 'unacknowledged' || record.state === 'returned_unacknowledged';
}

/** Whether its condition is over, whatever people have done about it. */
export function hasEnded(record: AlertRecord): boolean {
  return record.state !== 'unacknowledged' && record.state !== 'acknowledged';
}

const STATE_ORDER = {
  unacknowledged: 0,
  returned_unacknowledged: 1,
  acknowledged: 2,
  latched: 3,
  normal: 4,
};

/** Worst first; of the same severity what nobody has taken, then the newest. */
export function byUrgency(a: AlertRecord, b: AlertRecord): number {
  return (
    a.severity - b.severity ||
    STATE_ORDER[a.state] - STATE_ORDER[b.state] ||
    b.started_at - a.started_at ||
    (a.id < b.id ? -1 : 1)
  );
}

export interface Count {
  open: number;
  unacknowledged: number;
}

export class AlertBook {
  private records = new Map<string, AlertRecord>();
  private shown: AlertRecord[] | null = null;

  /** Takes a record; one of a rev already held (or passed) changes nothing. */
  apply(record: AlertRecord): Effect {
    const held = this.records.get(record.id);
    if (held && held.rev >= record.rev) return 'known';
    this.records.set(record.id, record);
    this.shown = null;
    return held ? 'changed' : 'new';
  }

  /** Puts a snapshot in place of everything. A newer rev that is held already stays. */
  replace(items: AlertRecord[]): void {
    const before = this.records;
    this.records = new Map();
    this.shown = null;
    for (const item of items) {
      const held = before.get(item.id);
      this.records.set(item.id, held && held.rev > item.rev ? held : item);
    }
  }

  get(id: string): AlertRecord | undefined {
    return this.records.get(id);
  }

  has(id: string): boolean {
    return this.records.has(id);
  }

  /** The alerts that people work from, most urgent first. The same array until something
   *  changes. */
  open(): AlertRecord[] {
    this.shown ??= this.sorted(isShown);
    return this.shown;
  }

  /** The open alerts that are put aside so, most urgent first. */
  aside(how: Aside): AlertRecord[] {
    return this.sorted((record) => isOpen(record) && isAside(record, how));
  }

  private sorted(fits: (record: AlertRecord) => boolean): AlertRecord[] {
    return [...this.records.values()].filter(fits).sort(byUrgency);
  }

  counts(): Record<Severity, Count> {
    const counts = Object.fromEntries(
      SEVERITIES.map((severity) => [severity, { open: 0, unacknowledged: 0 }]),
    ) as Record<Severity, Count>;
    for (const record of this.open()) {
      const count = counts[record.severity];
      count.open += 1;
      if (isUnacknowledged(record)) count.unacknowledged += 1;
    }
    return counts;
  }

  /** Forgets alerts that ended long before `now`. */
  prune(now: number): void {
    for (const [id, record] of this.records) {
      if (!isOpen(record) && record.recorded_at < now - KEEP_ENDED_MS) this.records.delete(id);
    }
  }
}
