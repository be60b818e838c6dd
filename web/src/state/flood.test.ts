// What is rolled up in a flood, and what never is.
import { describe, expect, test } from 'vitest';
import { alertRecord, T0 } from '../testing/alerts';
import type { AlertRecord, Severity } from '../wire/nouns';
import { byUrgency } from './alerts';
import { alonesOf, groupsOf, rollUp } from './flood';

const flood = { desk: 'environment' as const, started_at: T0, first_out: 'first', raised: 20 };

function many(count: number, more: Partial<AlertRecord>): AlertRecord[] {
  return Array.from({ length: count }, (_, index) =>
    alertRecord({ ...more, id: `${more.group ?? more.rule}-${index}` }),
  );
}

/** A list as the desk has it. */
function sorted(...parts: AlertRecord[][]): AlertRecord[] {
  return parts.flat().sort(byUrgency);
}

test('without a flood every alert stands alone, in its order', () => {
  const alerts = sorted(many(3, { group: 'flood/28261', severity: 2 }));
  expect(alonesOf(rollUp(alerts, []))).toEqual(alerts);
});

describe('in a flood', () => {
  const alerts = sorted(
    [alertRecord({ id: 'first', severity: 3, group: 'flood/28261' })],
    many(5, { group: 'flood/28261', severity: 2 }),
    many(2, { group: 'rain/28261', severity: 3 }),
    many(1, { group: 'salt/28300', severity: 3 }),
    many(4, { group: 'flood/28261', rule: 'x', severity: 1 }).map((each) => ({ ...each, id: `critical-${each.id}` })),
    many(3, { group: '', rule: 'silent', severity: 4 }),
    many(3, { group: 'crowd/1', field: 'security', severity: 3 }),
  );
  const rows = rollUp(alerts, [flood]);

  test('alerts of one group are one row, which stands where its worst one stood', () => {
    const groups = groupsOf(rows).map(({ key, alerts: inner }) => [key, inner.length]);
    expect(groups).toEqual([
      ['environment flood/28261', 5],
      ['environment rain/28261', 2],
      ['environment silent', 3],
    ]);
    const place = rows.findIndex((row) => row.kind === 'group');
    expect(rows.slice(0, place).every((row) => row.kind === 'alert' && row.alert.severity === 1)).toBe(true);
  });

  test('the critical ones, the first, a group of one and other desks stand alone', () => {
    const ids = alonesOf(rows).map(({ id }) => id);
    expect(ids.filter((id) => id.startsWith('critical'))).toHaveLength(4);
    expect(ids).toContain('first');
    expect(ids).toContain('salt/28300-0');
    expect(ids.filter((id) => id.startsWith('crowd'))).toHaveLength(3);
  });

  test('nothing is lost and nothing is there twice', () => {
    const all = rows.flatMap((row) => (row.kind === 'alert' ? [row.alert] : row.group.alerts));
    expect(all.map(({ id }) => id).sort()).toEqual(alerts.map(({ id }) => id).sort());
  });

  test('a group tells how many nobody has taken', () => {
    const [group] = groupsOf(rollUp(sorted(many(2, { group: 'g', severity: 3 }), [
      alertRecord({ id: 'taken', group: 'g', severity: 3, state: 'acknowledged' }),
    ]), [flood]));
    expect([group?.alerts.length, group?.unacknowledged, group?.first.state]).toEqual([3, 2, 'unacknowledged']);
  });
});

test('no severity 1 alert is ever rolled up, whatever else there is', () => {
  let seed = 7;
  const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let round = 0; round < 200; round++) {
    const alerts = Array.from({ length: random(40) }, (_, index) =>
      alertRecord({
        id: `a${index}`,
        severity: (1 + random(4)) as Severity,
        field: random(2) === 0 ? 'environment' : 'security',
        group: ['', 'g1', 'g2'][random(3)]!,
        rule: `r${random(3)}`,
      }),
    ).sort(byUrgency);
    const rows = rollUp(alerts, [{ ...flood, first_out: 'a3' }]);
    const inner = groupsOf(rows).flatMap((group) => group.alerts);
    expect(inner.some(({ severity, id, field }) => severity === 1 || id === 'a3' || field === 'security')).toBe(false);
    expect(inner.length + alonesOf(rows).length).toBe(alerts.length);
  }
});
