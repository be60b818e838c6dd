// The order and the counts of the open alerts.
import { expect, test } from 'vitest';
import { alertRecord, T0 } from '../testing/alerts';
import { AlertBook, KEEP_ENDED_MS } from './alerts';

function bookOf(...records: Parameters<typeof alertRecord>[0][]): AlertBook {
  const book = new AlertBook();
  for (const record of records) book.apply(alertRecord(record));
  return book;
}

test('worst first, then what nobody has taken, then the newest', () => {
  const book = bookOf(
    { id: 'low', severity: 4 },
    { id: 'taken', severity: 1, state: 'acknowledged' },
    { id: 'older', severity: 2, started_at: T0 - 1 },
    { id: 'newer', severity: 2, started_at: T0 },
    { id: 'over', severity: 1, state: 'returned_unacknowledged' },
    { id: 'worst', severity: 1 },
    { id: 'gone', severity: 1, state: 'normal' },
  );
  const order = book.open().map(({ id }) => id);
  expect(order).toEqual(['worst', 'over', 'taken', 'newer', 'older', 'low']);
});

test('counts are of open alerts, and of those that nobody has taken', () => {
  const counts = bookOf(
    { id: 'a' },
    { id: 'b', state: 'returned_unacknowledged' },
    { id: 'c', state: 'acknowledged' },
    { id: 'd', state: 'normal' },
    { id: 'e', severity: 3 },
  ).counts();
  expect(counts[1]).toEqual({ open: 3, unacknowledged: 2 });
  expect(counts[2]).toEqual({ open: 0, unacknowledged: 0 });
  expect(counts[3]).toEqual({ open: 1, unacknowledged: 1 });
});

test('what is put aside is off the list and counted apart', () => {
  const at = T0;
  const shelving = { by: 'Lan', at, reason: 'sửa', until: at, one_shot: false };
  const book = bookOf(
    { id: 'shown' },
    { id: 'shelved', shelving },
    { id: 'suppressed', suppression: { cause: 'level', alert: 'shown', at } },
    { id: 'out', out_of_service: 'out-1' },
    { id: 'both', shelving, out_of_service: 'out-1' },
    { id: 'over', shelving, state: 'normal' },
  );
  const ids = (alerts: { id: string }[]) => alerts.map(({ id }) => id).sort();
  expect(ids(book.open())).toEqual(['shown']);
  expect(ids(book.aside('shelved'))).toEqual(['both', 'shelved']);
  expect(ids(book.aside('suppressed'))).toEqual(['suppressed']);
  expect(ids(book.aside('out_of_service'))).toEqual(['both', 'out']);
  expect(book.counts()[1].open).toBe(1);
  book.apply(alertRecord({ id: 'shelved', rev: 2 }));
  expect(ids(book.open())).toEqual(['shelved', 'shown']);
});

test('the list is the same one until something changes', () => {
  const book = bookOf({ id: 'a' });
  const before = book.open();
  expect(book.apply(alertRecord({ id: 'a' }))).toBe('known');
  expect(book.open()).toBe(before);
  expect(book.apply(alertRecord({ id: 'a', rev: 2 }))).toBe('changed');
  expect(book.open()).not.toBe(before);
});

test('a snapshot does not take back a newer rev', () => {
  const book = bookOf({ id: 'a', rev: 3, state: 'acknowledged' });
  book.replace([alertRecord({ id: 'a', rev: 2 }), alertRecord({ id: 'b' })]);
  expect(book.get('a')).toMatchObject({ rev: 3, state: 'acknowledged' });
  book.replace([]);
  expect(book.open()).toEqual([]);
});

test('only what ended long ago is forgotten', () => {
  const recorded_at = T0 - KEEP_ENDED_MS - 1;
  const book = bookOf(
    { id: 'old', state: 'normal', recorded_at },
    { id: 'recent', state: 'normal' },
    { id: 'open', recorded_at },
  );
  book.prune(T0);
  expect(['old', 'recent', 'open'].map((id) => book.has(id))).toEqual([false, true, true]);
});
