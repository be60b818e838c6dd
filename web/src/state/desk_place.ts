// Where at the desk a person is, as an address that can be opened again. Pure.
import { filterOf, queryFor, type Filter } from './filter';

/** The desk's pages beside the list and one alert, in the order of the menu. */
export const SECTIONS = [
  'stage',
  'out-of-service',
  'works',
  'hand-over',
  'performance',
  'floods',
  'hints',
  'on-call',
  'backtest',
] as const;
export type Section = (typeof SECTIONS)[number];

export type Place =
  | { page: 'list'; filter: Filter }
  | { page: 'alert'; id: string }
  | { page: Section }
  | { page: 'unknown' };

export function placeAt(path: string, search: string): Place {
  const [, , first = '', second = '', ...rest] = path.replace(/\/+$/, '').split('/');
  if (first === '') return { page: 'list', filter: filterOf(new URLSearchParams(search)) };
  if (first === 'alerts' && second !== '' && rest.length === 0) {
    return { page: 'alert', id: decoded(second) };
  }
  const section = SECTIONS.find((each) => each === first);
  return section && second === '' ? { page: section } : { page: 'unknown' };
}

export function addressOf(place: Exclude<Place, { page: 'unknown' }>): string {
  if (place.page === 'alert') return `/desk/alerts/${encodeURIComponent(place.id)}`;
  if (place.page !== 'list') return `/desk/${place.page}`;
  const query = queryFor(place.filter).toString();
  return query === '' ? '/desk' : `/desk?${query}`;
}

/** As the browser wrote it into the address; what is not of that form names no alert. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
