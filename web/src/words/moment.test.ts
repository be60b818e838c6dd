// Days, spans and date fields, in the time of Vietnam wherever the screen stands.
import { expect, test } from 'vitest';
import { exactly, fieldOf, moment, momentOf, rfc3339, span } from './moment';

const late = Date.parse('2026-11-23T18:30:05Z'); // half past one on the 24th in Vietnam

test('a date field holds the time of Vietnam, and gives it back', () => {
  expect(fieldOf(late)).toBe('2026-11-24T01:30');
  expect(momentOf('2026-11-24T01:30')).toBe(Date.parse('2026-11-23T18:30:00Z'));
  expect([momentOf(''), momentOf('soon')]).toEqual([undefined, undefined]);
  expect(rfc3339(late)).toBe('2026-11-24T01:30:05+07:00');
});

test('the day is said where it is another one', () => {
  expect(moment(late, late + 60_000)).toBe('01:30');
  expect(moment(late, late - 2 * 3_600_000)).toBe('01:30 24/11');
  expect(exactly(late)).toBe('01:30:05 24/11');
});

test.each([
  [-1, '0 giây'],
  [59_000, '59 giây'],
  [60_000, '1 phút'],
  [252_000, '4 phút 12 giây'],
  [3_600_000, '1 giờ'],
  [3_900_000, '1 giờ 05 phút'],
  [50 * 3_600_000, '2 ngày 2 giờ'],
])('a span of %d ms is %s', (ms, written) => expect(span(ms)).toBe(written));
