// A page under somebody's hand.
import { expect, test } from 'vitest';
import { alertRecord } from '../testing/alerts';
import { AlertBook } from './alerts';
import { holdPage, rowsOf, waitingOf } from './held';
import { pageOf } from './pages';

const low = (id: string) => alertRecord({ id, severity: 3 });

test('rows keep their places and tell their news; what is new waits, the worst first', () => {
  const book = new AlertBook();
  ['a', 'b', 'c'].forEach((id) => book.apply(low(id)));
  const held = holdPage(pageOf(book.open(), 2, 0), book.open());
  book.apply(low('d'));
  book.apply(alertRecord({ id: 'worst', severity: 1 }));
  book.apply(alertRecord({ ...low('a'), rev: 2, state: 'normal' }));
  book.apply(alertRecord({ ...low('b'), rev: 2, state: 'acknowledged' }));
  const rows = rowsOf(held, (id) => book.get(id));
  expect(rows.map(({ id, state }) => [id, state])).toEqual([
    ['a', 'normal'],
    ['b', 'acknowledged'],
  ]);
  expect(waitingOf(held, book.open()).map(({ id }) => id)).toEqual(['worst', 'd']);
});

test('a row that the book has forgotten stays as it was', () => {
  const held = holdPage(pageOf([low('a')], 2, 0), [low('a')]);
  expect(rowsOf(held, () => undefined)).toEqual([low('a')]);
});
