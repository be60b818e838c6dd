// What the server tells the desk: read as it is, refused where it is wrong, unknown kinds left out.
import { describe, expect, test } from 'vitest';
import { alertRecord } from '../testing/alerts';
import { onWire } from '../testing/world';
import { backtestOf, mistakesIn } from './backtest';
import { queryOf, Refused } from './client';
import { deskRecordOf, draftOf } from './desk';
import { textIn } from './http';
import { rosterOf } from './on_call';
import { performanceOf } from './performance';
import { ruleTextOf } from './rules';
import { Malformed } from './shape';
import { storyOf, whyOf } from './why';

const at = '2026-11-23T14:02:05+07:00';
const ms = Date.parse(at);
const text = { vi: 'Mực nước', en: 'Level' };
const alert = onWire(alertRecord());
const RULE = {
  id: 'flood-2',
  name: text,
  field: 'environment',
  severity: 2,
  condition: { type: 'threshold', limit: { bound: { at_least: 1.6 }, clear: 1.5, for_ms: 60_000, clear_for_ms: 0 } },
  source: 'QĐ 05/2020',
  owner: text,
  response: { steps: [text], consequence: text, within_ms: 900_000 },
};

describe('rules', () => {
  test('tell what to do, and their limit', () => {
    expect(ruleTextOf(RULE)).toMatchObject({
      steps: [text],
      within_ms: 900_000,
      condition: { type: 'threshold', limits: [{ bound: 'at_least', at: 1.6, clear: 1.5 }], more: [] },
    });
  });

  test('of several levels, and of kinds that have no limit', () => {
    const limit = (level: number) => ({ bound: { above: level }, for_ms: 0, clear_for_ms: 0 });
    const levels = [{ severity: 3, limit: limit(1) }, { severity: 1, limit: limit(2) }];
    const { condition } = ruleTextOf({ ...RULE, condition: { type: 'levels', levels } });
    expect(condition.limits.map((each) => [each.severity, each.at])).toEqual([[3, 1], [1, 2]]);
    const cel = ruleTextOf({ ...RULE, condition: { type: 'expression', cel: 'value > 2.0', for_ms: 5 } });
    expect(cel.condition).toEqual({ type: 'expression', limits: [], more: [['cel', 'value > 2.0'], ['for_ms', '5']] });
  });

  test('of the first step, whose rules say little', () => {
    expect(ruleTextOf({ id: 'a', name: 'Cũ', field: 'security', severity: 4 })).toMatchObject({
      steps: [],
      within_ms: 0,
      condition: { type: '', limits: [] },
    });
  });
});

describe('one alert', () => {
  const delivery = { id: 'd', rev: 1, alert: 'a', step: 1, person: 'lan', channel: 'push', state: 'delivered', attempts: 1, at };

  test('its story', () => {
    const story = storyOf({ ...alert, history: [alert], deliveries: [{ ...delivery, detail: '' }] });
    expect([story.history.length, story.deliveries[0]?.state, story.alert.id]).toEqual([1, 'delivered', alertRecord().id]);
    expect(storyOf(alert)).toMatchObject({ history: [], deliveries: [] });
  });

  test('why it fired, or that nothing is known', () => {
    const why = whyOf({
      rule: { ...RULE, version: 'v1' },
      readings: { metric: 'water_level_m', unit: 'm', limit: 1.6, from: at, to: at, items: [
        { event_time: at, value: 1.5, quality: 0 },
        { event_time: at, value: 9, quality: 'bad' },
      ] },
      related: [alert],
      nearby: [{ device: 'b', name: text, metric: 'm', metric_name: text, unit: 'm', distance_m: 900, before: 1, after: 2, change: 1 }],
      events: [{ id: 'e', kind: 'citizen_report', event_time: at, attributes: { text: 'ngập' } }],
    });
    expect(why).toMatchObject({
      rule: { id: 'flood-2' },
      readings: { limit: 1.6, points: [{ at: ms, quality: 0 }, { quality: 2 }] },
      nearby: [{ change: 1 }],
      events: [{ kind: 'citizen_report', at: ms, attributes: { text: 'ngập' } }],
    });
    expect(whyOf({ rule: null, readings: null, related: [], nearby: [], events: [] })).toMatchObject({
      rule: undefined,
      readings: undefined,
    });
    expect(whyOf({ rule: { rule: RULE, version: 'v1' } }).rule?.id).toBe('flood-2');
  });
});

describe('entries of the desk', () => {
  const record = (entry: object) => ({ id: 'x-1', rev: 2, open: true, by: 'Lan', at, entry });

  test('of the asked kind only', () => {
    const work = record({ kind: 'work', reach: { area: '28261' }, from: at, until: at, reason: 'bảo trì' });
    expect(deskRecordOf(work, 'work')).toMatchObject({ id: 'x-1', at: ms, entry: { reach: { area: '28261' }, until: ms } });
    expect(deskRecordOf(work, 'flood')).toBeUndefined();
    expect(deskRecordOf(record({ kind: 'edition', rule: {}, version: 'v' }), 'work')).toBeUndefined();
    expect(() => deskRecordOf(record({ kind: 'work' }), 'work')).toThrow(Malformed);
  });

  test('a flood, a shift, a hint', () => {
    const flood = record({ kind: 'flood', desk: 'security', started_at: at, first_out: 'a', raised: 20, peak: 12, by_rule: [{ of: 'r', count: 9 }], by_area: [] });
    expect(deskRecordOf(flood, 'flood')?.entry).toMatchObject({ ended_at: undefined, by_rule: [{ of: 'r', count: 9 }] });
    const shift = record({ kind: 'shift', from: at, until: at, to: 'Hùng', text: '', open: ['a'], shelved: [], suppressed: [], out_of_service: ['out-1'], raised: 1, acknowledged: 0 });
    expect(deskRecordOf(shift, 'shift')?.entry).toMatchObject({ desk: undefined, open: ['a'], out_of_service: ['out-1'] });
    const hint = record({ kind: 'hint', rule: 'r', device: 'd', raises: 4, clear: 1.5, text });
    expect(deskRecordOf(hint, 'hint')?.entry).toMatchObject({ clear: 1.5, for_ms: undefined, text });
  });

  test('the draft of a shift, with whole records or ids', () => {
    const draft = draftOf({ from: at, open: [alert], shelved: ['b'], suppressed: [], out_of_service: [record({})], works: [], notes: [{ by: 'Lan', at, text: 'x', alert: 'a' }] });
    expect(draft).toMatchObject({ from: ms, open: [alertRecord().id], shelved: ['b'], out_of_service: ['x-1'], notes: [{ alert: 'a', at: ms }] });
  });
});

test('the roster, without entries of other kinds', () => {
  const entry = (kind: string) => ({ id: kind, rev: 1, open: true, by: 'Lan', at, entry: { kind, person: 'lan', team: 't', from: at, until: at } });
  const roster = rosterOf({
    at,
    people: [{ id: 'lan', name: 'Lan', channels: ['push'] }],
    teams: [{ id: 't', name: text, turns: [{ person: 'lan', from: at, until: at, stands_in: true }] }],
    entries: [entry('override'), entry('push')],
  });
  expect(roster.entries.map(({ id }) => id)).toEqual(['override']);
  expect(roster.teams[0]?.turns[0]).toEqual({ person: 'lan', from: ms, until: ms, stands_in: true });
});

test('alarm performance, with figures that have neither value nor target', () => {
  const report = {
    of: 'all', shown: 3, by_severity: [0, 1, 1, 1], never_shown: 0, shelved: 0, suppressed: 0, out_of_service: 0, drill: 0,
    figures: [
      { name: 'per_hour_mean', value: 7, unit: '1', target: { bound: 'at_most', value: 6, source: 'ISA-18.2' }, met: false },
      { name: 'clear_p90', value: null, unit: 's', target: null, met: null },
    ],
    top: [{ rule: 'r', device: 'd', metric: null, level: 0, count: 2, share: 0.5 }],
  };
  const read = performanceOf({ from: at, to: at, covered_from: at, enough: true, total: report, desks: [], rules: [report] });
  expect(read.total.figures.map(({ value, met }) => [value, met])).toEqual([[7, false], [undefined, undefined]]);
  expect(read.rules[0]?.top[0]?.metric).toBeUndefined();
});

test('a backtest, or the mistakes in its rules', () => {
  const trial = { id: 'a', rule: 'r', severity: 2, device: 'd', started_at: at, chatter: true };
  const rule = { rule: 'r', raised: 1, chatter: 1, median_ms: null, longest_ms: null, in_force: null, added: 1, removed: 0 };
  const report = backtestOf({ from: at, to: at, readings: 9, series: 1, took_ms: 4, trials: [trial], raised: 1, chatter: 1, rules: [rule] });
  expect([report.trials[0]?.ended_at, report.rules[0]?.in_force]).toEqual([undefined, undefined]);
  expect(mistakesIn({ problems: [{ at: 'dòng 3', what: 'sai' }] })).toEqual([{ at: 'dòng 3', what: 'sai' }]);
  for (const other of [undefined, 'x', { title: 'x' }, { problems: [{}] }]) expect(mistakesIn(other)).toEqual([]);
});

test('why something was refused: in both languages, or in the only one there is', () => {
  const told = (problem: unknown) => textIn(new Refused(409, problem));
  expect(told({ text, detail: 'level' })).toEqual(text);
  expect(told({ detail: 'no such entry' })).toEqual({ vi: 'no such entry', en: 'no such entry' });
  expect(told({ detail: 'stale', current: alert })).toBeUndefined();
  expect(told('gone')).toBeUndefined();
});

test('a query holds what is given', () => {
  expect(queryOf({ a: '1', b: undefined, c: '', d: 'ô' }).toString()).toBe('a=1&d=%C3%B4');
});
