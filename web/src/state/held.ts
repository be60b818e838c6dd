// The page of alerts under somebody's hand: it keeps its rows where they are, so that what is
// clicked is what was aimed at. Pure.
import type { AlertRecord } from '../wire/nouns';
import type { Page } from './pages';

export interface Held {
  rows: AlertRecord[];
  /** Every alert that was open when the hand came. */
  known: ReadonlySet<string>;
}

export function holdPage(page: Page, open: AlertRecord[]): Held {
  return { rows: page.rows, known: new Set(open.map(({ id }) => id)) };
}

/** The same rows in the same order, each as it is now: one that is over stays until the hand goes. */
export function rowsOf(held: Held, find: (id: string) => AlertRecord | undefined): AlertRecord[] {
  return held.rows.map((row) => find(row.id) ?? row);
}

/** What came up since, most urgent first; it takes its place when the hand goes. */
export function waitingOf(held: Held, open: AlertRecord[]): AlertRecord[] {
  return open.filter(({ id }) => !held.known.has(id));
}
