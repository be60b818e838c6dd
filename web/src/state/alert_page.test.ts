// What the page of one alert works out: what can be done, how long there is, what became of it.
import { describe, expect, test } from 'vitest';
import { alertRecord, T0 } from '../testing/alerts';
import type { AlertRecord } from '../wire/nouns';
import { actsOn, needsRevision } from './acts';
import { deadlineOf } from './deadline';
import { stepsOf } from './timeline';

const at = T0;
const shelving = { by: 'Lan', at, reason: 'Đang sửa trạm', until: T0 + 60_000, one_shot: false };

describe('acts', () => {
  test.each<[Partial<AlertRecord>, string[]]>([
    [{}, ['acknowledge', 'assign', 'note', 'shelve', 'suppress', 'close']],
    [{ state: 'acknowledged' }, ['assign', 'note', 'shelve', 'suppress', 'close']],
    [{ state: 'latched' }, ['assign', 'note', 'shelve', 'suppress', 'reset', 'close']],
    [{ shelving }, ['acknowledge', 'assign', 'note', 'unshelve', 'suppress', 'close']],
    [{ suppression: { cause: 'person', at } }, ['acknowledge', 'assign', 'note', 'shelve', 'unsuppress', 'close']],
    [{ suppression: { cause: 'dependency', at } }, ['acknowledge', 'assign', 'note', 'shelve', 'close']],
    [{ state: 'normal' }, []],
  ])('on %j', (more, acts) => expect(actsOn(alertRecord(more))).toEqual(acts));

  test('a note depends on nothing; whatever else somebody may have done first', () => {
    expect([needsRevision('note'), needsRevision('close'), needsRevision('acknowledge')]).toEqual([false, true, true]);
  });
});

describe('time to answer', () => {
  const within = 900_000;
  test('runs from the start of the condition, and goes below nothing', () => {
    const alert = alertRecord({ started_at: T0 });
    expect(deadlineOf(alert, within, T0 + 300_000)).toEqual({ due: T0 + within, left_ms: 600_000, gone: 1 / 3 });
    expect(deadlineOf(alert, within, T0 + 1_000_000)).toMatchObject({ left_ms: -100_000, gone: 1 });
  });
  test('of what was found late, from when it was found', () => {
    const alert = alertRecord({ late: true, started_at: T0 - 10_000_000, recorded_at: T0 });
    expect(deadlineOf(alert, within, T0)?.left_ms).toBe(within);
  });
  test('there is none once somebody has it, or where no rule says one', () => {
    expect(deadlineOf(alertRecord({ state: 'acknowledged' }), within, T0)).toBeUndefined();
    expect(deadlineOf(alertRecord(), 0, T0)).toBeUndefined();
  });
});

test('the timeline tells who, when and why, in the order of the revisions', () => {
  const one = alertRecord({ rev: 1 });
  const assignment = { to: 'Đội 2', by: 'Hùng', at };
  const notes = [{ by: 'Mai', at, text: 'cũ' }, { by: 'Lan', at, text: 'Đã gọi trạm' }];
  const history: AlertRecord[] = [
    { ...one, rev: 5, kind: 'unshelved', notes },
    { ...one, rev: 4, kind: 'shelved', shelving },
    { ...one, rev: 2, kind: 'assigned', assignment },
    one,
    { ...one, rev: 3, kind: 'noted', notes },
    { ...one, rev: 6, kind: 'acknowledged', acknowledgement: { by: 'Lan', at, note: '' } },
    { ...one, rev: 7, kind: 'closed', closing: { by: 'Lan', at, cause: 'planned', note: 'xong' } },
  ];
  const told = stepsOf(history).map(({ change, by, words, to }) => [change, by, words, to]);
  expect(told).toEqual([
    ['raised', undefined, undefined, undefined],
    ['assigned', 'Hùng', undefined, 'Đội 2'],
    ['noted', 'Lan', 'Đã gọi trạm', undefined],
    ['shelved', 'Lan', 'Đang sửa trạm', undefined],
    ['unshelved', undefined, undefined, undefined],
    ['acknowledged', 'Lan', undefined, undefined],
    ['closed', 'Lan', 'xong', undefined],
  ]);
});
