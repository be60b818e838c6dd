// What the desk lists, and how that stands in the address.
import { describe, expect, test } from 'vitest';
import { alertRecord } from '../testing/alerts';
import { addressOf, placeAt, SECTIONS } from './desk_place';
import { bare, filtered, filterOf, isNarrow, NO_FILTER, queryFor, type Filter } from './filter';

describe('search', () => {
  test.each([
    ['Đồng Tháp', 'dong thap'],
    ['Mực nước', 'muc nuoc'],
    ['Mực nước'.normalize('NFD'), 'muc nuoc'],
    ['ỄỘỮ', 'eou'],
  ])('%s is %s', (text, plain) => expect(bare(text)).toBe(plain));

  const alerts = ['Mực nước Mỹ Tho', 'Độ mặn Vàm Giồng', 'Mực nước Cái Bè'].map((vi, index) =>
    alertRecord({ id: `a${index}`, text: { vi, en: '' } }),
  );
  const found = (search: string) =>
    filtered(alerts, { ...NO_FILTER, search }, ({ text }) => text.vi, '').map(({ id }) => id);

  test.each([
    ['muc nuoc', ['a0', 'a2']],
    ['mực', ['a0', 'a2']],
    ['nuoc cai be', ['a2']],
    ['GIONG do', ['a1']],
    ['nuoc giong', []],
    ['  ', ['a0', 'a1', 'a2']],
  ])('“%s” finds %j', (search, ids) => expect(found(search)).toEqual(ids));
});

describe('filters', () => {
  const at = 0;
  const alerts = [
    alertRecord({ id: 'a', severity: 1, field: 'environment' }),
    alertRecord({ id: 'b', severity: 2, field: 'security', assignment: { to: 'Lan', by: 'Hùng', at } }),
    alertRecord({ id: 'c', severity: 2, field: 'environment', assignment: { to: 'Đội 2', by: 'Lan', at } }),
    alertRecord({ id: 'd', severity: 3, field: 'environment', assignment: { to: '', by: 'Lan', at } }),
  ];
  test.each<[Partial<Filter>, string]>([
    [{}, 'abcd'],
    [{ field: 'environment' }, 'acd'],
    [{ severity: 2 }, 'bc'],
    [{ field: 'environment', severity: 2 }, 'c'],
    [{ assigned: 'me' }, 'b'],
    [{ assigned: 'nobody' }, 'ad'],
  ])('%j leaves %s', (more, ids) => {
    const left = filtered(alerts, { ...NO_FILTER, ...more }, () => '', 'lan');
    expect(left.map(({ id }) => id).join('')).toBe(ids);
    expect(isNarrow({ ...NO_FILTER, ...more })).toBe(Object.keys(more).length > 0);
  });

  test('stand in the address, and nonsense there is no filter', () => {
    const filter: Filter = { list: 'shelved', field: 'transport', severity: 4, assigned: 'me', search: 'cầu Rạch Miễu' };
    expect(filterOf(queryFor(filter))).toEqual(filter);
    expect(queryFor(NO_FILTER).toString()).toBe('');
    expect(filterOf(new URLSearchParams('state=gone&severity=9&field=x&assigned=all'))).toEqual(NO_FILTER);
  });
});

describe('places', () => {
  test.each([
    ['/desk', '', { page: 'list', filter: NO_FILTER }],
    ['/desk/', '?state=shelved', { page: 'list', filter: { ...NO_FILTER, list: 'shelved' } }],
    ['/desk/alerts/a%2Fb', '', { page: 'alert', id: 'a/b' }],
    ['/desk/alerts/%', '', { page: 'alert', id: '%' }],
    ['/desk/alerts', '', { page: 'unknown' }],
    ['/desk/stage', '', { page: 'stage' }],
    ['/desk/stage/x', '', { page: 'unknown' }],
    ['/desk/nowhere', '', { page: 'unknown' }],
  ])('%s%s', (path, search, place) => expect(placeAt(path, search)).toEqual(place));

  test('every page has an address that leads back to it', () => {
    const places = [
      { page: 'list', filter: { ...NO_FILTER, search: 'mặn' } } as const,
      { page: 'alert', id: 'b5d4' } as const,
      ...SECTIONS.map((page) => ({ page })),
    ];
    for (const place of places) {
      const { pathname, search } = new URL(addressOf(place), 'http://sen');
      expect(placeAt(pathname, search)).toEqual(place);
    }
  });
});
