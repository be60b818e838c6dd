// The alert list never scrolls: it turns pages, and what is most urgent is on every page. Pure.
import { isUnacknowledged } from './alerts';
import type { AlertRecord } from '../wire/nouns';

/** How long a page is shown, milliseconds. */
export const PAGE_MS = 15_000;

export interface Page {
  rows: AlertRecord[];
  /** From 0. */
  index: number;
  pages: number;
  all: number;
  /** The page that follows by itself. */
  next: number;
}

function isPinned(record: AlertRecord): boolean {
  return record.severity === 1 && isUnacknowledged(record);
}

/** Page number `turn` (any whole number; it wraps) of the sorted `alerts`, `size` rows a page. */
export function pageOf(alerts: AlertRecord[], size: number, turn: number): Page {
  const room = Math.max(1, size);
  const pinned = alerts.filter(isPinned);
  // With so many that no room is left for the rest, they take turns with one another; the rest is
  // reached by hand.
  const fixed = pinned.length < room ? pinned : [];
  const moving = fixed.length === pinned.length ? alerts.filter((each) => !isPinned(each)) : alerts;
  const step = room - fixed.length;
  const pages = Math.max(1, Math.ceil(moving.length / step));
  const index = ((turn % pages) + pages) % pages;
  const rows = [...fixed, ...moving.slice(index * step, (index + 1) * step)];
  const turning = fixed.length === pinned.length ? pages : Math.ceil(pinned.length / room);
  return { rows, index, pages, all: alerts.length, next: index + 1 < turning ? index + 1 : 0 };
}
