// Which alerts the desk lists, as it stands in the address. Pure.
import { FIELDS, SEVERITIES, type AlertRecord, type Field, type Severity } from '../wire/nouns';
import { ASIDE, type Aside } from './alerts';

/** The lists of open alerts: those that people work from, and those that are put aside. */
export const LISTS = ['open', ...ASIDE] as const;
export type List = 'open' | Aside;

export interface Filter {
  list: List;
  field: Field | undefined;
  severity: Severity | undefined;
  /** Assigned to me, or to nobody. */
  assigned: 'me' | 'nobody' | undefined;
  search: string;
}

export const NO_FILTER: Filter = {
  list: 'open',
  field: undefined,
  severity: undefined,
  assigned: undefined,
  search: '',
};

/** Letters without their marks, in lower case: who searches need not type them. */
export function bare(text: string): string {
  return text
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .replace(/[đĐ]/g, 'd')
    .toLowerCase();
}

/** Whether every word of the search is somewhere in what is said of the alert. */
function mentions(said: string, search: string): boolean {
  const text = bare(said);
  return bare(search)
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** `said`: what the row of an alert says, in words; `me`: who looks. */
export function filtered(
  alerts: readonly AlertRecord[],
  filter: Filter,
  said: (alert: AlertRecord) => string,
  me: string,
): AlertRecord[] {
  return alerts.filter((alert) => {
    const to = alert.assignment?.to ?? '';
    if (filter.field !== undefined && alert.field !== filter.field) return false;
    if (filter.severity !== undefined && alert.severity !== filter.severity) return false;
    if (filter.assigned === 'nobody' && to !== '') return false;
    if (filter.assigned === 'me' && (to === '' || bare(to) !== bare(me))) return false;
    return filter.search.trim() === '' || mentions(said(alert), filter.search.trim());
  });
}

/** Whether anything is left out beyond the choice of the list. */
export function isNarrow({ field, severity, assigned, search }: Filter): boolean {
  return field !== undefined || severity !== undefined || assigned !== undefined || search.trim() !== '';
}

export function filterOf(query: URLSearchParams): Filter {
  const one = <T>(of: readonly T[], name: string) => of.find((each) => String(each) === query.get(name));
  return {
    list: one(LISTS, 'state') ?? 'open',
    field: one(FIELDS, 'field'),
    severity: one(SEVERITIES, 'severity'),
    assigned: one(['me', 'nobody'] as const, 'assigned'),
    search: query.get('q') ?? '',
  };
}

export function queryFor(filter: Filter): URLSearchParams {
  const query = new URLSearchParams();
  if (filter.list !== 'open') query.set('state', filter.list);
  if (filter.field) query.set('field', filter.field);
  if (filter.severity) query.set('severity', String(filter.severity));
  if (filter.assigned) query.set('assigned', filter.assigned);
  if (filter.search) query.set('q', filter.search);
  return query;
}
