// Values on the glass: the latest of each series, how far to believe it, and the trail behind it.
import { describe, expect, test } from 'vitest';
import { T0 } from '../testing/alerts';
import { freshness } from './freshness';
import { LatestValues, STRANGERS_MAX } from './latest';
import { spanOf, STEP_MS, STEPS, thin, Trail, TRAIL_MS } from './trail';

describe('latest values', () => {
  const row = { device: 'd', metric: 'm', value: 1, at: T0, quality: 0 as const };

  test('an older row never takes the place of a newer one', () => {
    const latest = new LatestValues();
    expect(latest.apply(row)).toBe(true);
    expect(latest.apply({ ...row, value: 9, at: T0 - 1 })).toBe(false);
    expect(latest.get('d', 'm')?.value).toBe(1);
    latest.apply({ ...row, metric: 'n', at: T0 - 5_000 });
    expect(latest.heardAt('d')).toBe(T0);
  });

  test('made-up devices fill it only so far; those of the registry always have room', () => {
    const latest = new LatestValues();
    for (let index = 0; index < STRANGERS_MAX; index++) latest.apply({ ...row, device: `d${index}` });
    expect(latest.apply({ ...row, device: 'one-more' })).toBe(false);
    expect(latest.heardAt('one-more')).toBeUndefined();
    expect(latest.apply({ ...row, device: 'd0', value: 2, at: T0 + 1 })).toBe(true);
    latest.know(new Set(['d0', 'gauge']));
    expect(latest.apply({ ...row, device: 'gauge' })).toBe(true);
    expect(latest.apply({ ...row, device: 'one-more' }), 'd0 is no stranger any more').toBe(true);
    expect(latest.apply({ ...row, device: 'two-more' })).toBe(false);
    expect(latest.size).toBe(STRANGERS_MAX + 2);
  });

  test('a million rows of one series are one value', () => {
    const latest = new LatestValues();
    for (let at = 0; at < 10_000; at++) latest.apply({ ...row, at });
    expect(latest.size).toBe(1);
  });
});

describe('freshness', () => {
  const minute = 60_000;
  const at = (age_ms: number, quality: 0 | 1 | 2 = 0) => ({ value: 1, at: T0 - age_ms, quality });

  test.each([
    ['never heard', undefined, 0, 'none'],
    ['just now', at(0), 0, 'fresh'],
    ['two intervals old', at(2 * minute), 0, 'fresh'],
    ['a little older', at(2 * minute + 1), 0, 'stale'],
    ['more than five intervals old', at(5 * minute + 1), 0, 'lost'],
    ['measured by a clock that runs ahead', at(-minute), 0, 'fresh'],
    ['suspect', at(0, 1), 0, 'suspect'],
    ['bad', at(0, 2), 0, 'suspect'],
    ['suspect and old', at(3 * minute, 1), 0, 'stale'],
    ['behind a silent link', at(0), 10_001, 'stale'],
    ['lost behind a silent link', at(6 * minute), 10_001, 'lost'],
  ] as const)('%s', (_, latest, link_silence_ms, expected) => {
    expect(freshness(latest, minute, T0, link_silence_ms)).toBe(expected);
  });

  test('a very short interval does not make a value flicker', () => {
    expect(freshness(at(9_000), 100, T0)).toBe('fresh');
  });
});

describe('the trail', () => {
  const now = Math.floor(T0 / STEP_MS) * STEP_MS + STEP_MS / 2;

  test('readings again and in any order make the same line', () => {
    const readings = Array.from({ length: 60 }, (_, index) => ({
      at: now - index * 61_000,
      value: Math.sin(index) * 3,
    }));
    const [once, again] = [new Trail(), new Trail()];
    for (const { at, value } of readings) once.add(at, value);
    for (const { at, value } of [...readings].reverse()) again.add(at, value);
    for (const { at, value } of readings) again.add(at, value);
    expect(again.columns(now, 60_000)).toEqual(once.columns(now, 60_000));
  });

  test('what the server kept and what was heard meet without a seam', () => {
    const start = now - STEP_MS / 2;
    const [told, heard] = [new Trail(), new Trail()];
    const before = { start: start - STEP_MS, min: 1, value: 3, max: 9 };
    for (const trail of [told, heard]) trail.fill(before, now);
    // Live it has heard 2 just now; the answer still knows 5 as the last value, and its peak.
    heard.add(now - 1, 2);
    heard.fill({ start, min: 2, value: 5, max: 7 }, now);
    heard.fill({ start, min: 2, value: 5, max: 7 }, now);
    expect(told.columns(now, 0)).toEqual({
      at: [before.start + (STEP_MS - 1) / 2, start - 1],
      value: [9, 1],
    });
    expect(heard.columns(now, 0).value.slice(-2)).toEqual([7, 2]);
  });

  test('peaks stay', () => {
    const trail = new Trail();
    for (let half = -50; half < 50; half++) trail.add(now + half * 500, half === -7 ? 9 : 1);
    expect(Math.max(...trail.columns(now, 1_000).value.map((value) => value ?? 0))).toBe(9);
  });

  test('times only grow, and a long silence is a gap', () => {
    const trail = new Trail();
    for (const hours of [9, 8.996, 5, 4.98, 4.95, 0]) trail.add(now - hours * 3_600_000, hours);
    const { at, value } = trail.columns(now, 60_000);
    expect(at).toEqual([...at].sort((a, b) => a - b));
    expect(value.filter((each) => each === null)).toHaveLength(2);
  });

  test('what is older than a day is gone, and the size is constant', () => {
    const trail = new Trail();
    for (let at = now - 3 * TRAIL_MS; at <= now; at += 60_000) trail.add(at, at % 7);
    const { at } = trail.columns(now, 60_000);
    expect(at[0]).toBeGreaterThan(now - TRAIL_MS - STEP_MS);
    expect(at.length).toBeLessThanOrEqual(2 * STEPS);
    trail.add(now - 2 * TRAIL_MS, 1_000);
    expect(trail.columns(now, 60_000).value).not.toContain(1_000);
  });

  test.each([
    [1, 15],
    [15, 15],
    [16, 60],
    [150, 180],
    [13 * 60, 24 * 60],
  ])('%d minutes are shown as %d', (covered, shown) => {
    const columns = { at: [now - covered * 60_000], value: [1] };
    expect(spanOf(columns, now)).toBe(shown * 60_000);
  });

  test('thinned, it keeps its peaks, its gaps and its order', () => {
    const at = Array.from({ length: 1_000 }, (_, index) => index);
    const value = at.map((index) => (index === 500 ? null : index === 333 ? 99 : index === 777 ? -99 : index % 3));
    const thinned = thin({ at, value }, 20);
    expect(thinned.at.length).toBeLessThanOrEqual(41);
    for (const kept of [99, -99, null]) expect(thinned.value).toContain(kept);
    expect(thinned.at).toEqual([...thinned.at].sort((a, b) => a - b));
    expect(thin(thinned, 100)).toBe(thinned);
  });
});
