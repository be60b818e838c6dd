// Flood mode: what is rolled up while more alerts come than a person can read. Pure.
import type { Flood } from '../wire/centre';
import type { AlertRecord } from '../wire/nouns';
import { isUnacknowledged } from './alerts';

/** Alerts of one cause in one area. */
export interface Group {
  key: string;
  /** Most urgent first; at least two. */
  alerts: AlertRecord[];
  /** Its most urgent one. */
  first: AlertRecord;
  unacknowledged: number;
}

export type Row = { kind: 'alert'; alert: AlertRecord } | { kind: 'group'; group: Group };

/** Whether an alert may not be rolled up: a critical one, the first of its flood, and every one of a
 *  desk that is not in flood. */
function standsAlone(alert: AlertRecord, floods: readonly Flood[]): boolean {
  const flood = floods.find(({ desk }) => desk === alert.field);
  return !flood || alert.severity === 1 || alert.id === flood.first_out;
}

/** What an alert is rolled up by; a rule stands for itself where no group is given. */
function groupKey(alert: AlertRecord): string {
  return `${alert.field} ${alert.group || alert.rule}`;
}

/** The list as it is shown during floods, in the order of `alerts` (most urgent first): a group
 *  stands where its most urgent alert stood. One alert alone is no group. */
export function rollUp(alerts: readonly AlertRecord[], floods: readonly Flood[]): Row[] {
  if (floods.length === 0) return alerts.map((alert) => ({ kind: 'alert', alert }));
  const members = new Map<string, AlertRecord[]>();
  for (const alert of alerts) {
    if (standsAlone(alert, floods)) continue;
    const key = groupKey(alert);
    const held = members.get(key);
    if (held) held.push(alert);
    else members.set(key, [alert]);
  }
  return alerts.flatMap((alert): Row[] => {
    const of_group = members.get(groupKey(alert)) ?? [];
    if (standsAlone(alert, floods) || of_group.length < 2) return [{ kind: 'alert', alert }];
    if (of_group[0] !== alert) return [];
    const unacknowledged = of_group.filter(isUnacknowledged).length;
    const group = { key: groupKey(alert), alerts: of_group, first: alert, unacknowledged };
    return [{ kind: 'group', group }];
  });
}

/** Rows that are single alerts. */
export function alonesOf(rows: readonly Row[]): AlertRecord[] {
  return rows.flatMap((row) => (row.kind === 'alert' ? [row.alert] : []));
}

export function groupsOf(rows: readonly Row[]): Group[] {
  return rows.flatMap((row) => (row.kind === 'group' ? [row.group] : []));
}
