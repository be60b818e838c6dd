// What is drawn: sparklines, the range of the chart, the shapes and names of the map.
import { describe, expect, test } from 'vitest';
import { alertRecord, device, T0 } from '../testing/alerts';
import { marksOf, areasOf } from '../state/marks';
import { mapOf, type MapFeature, type ProvinceMap } from '../wire/http';
import { boundsOf, labelPoint, pathOf, projectionOf } from './map/geometry';
import { mapMarks, stationState } from './marks';
import { areaNames, placeOf, shortName } from './place';
import { sparkPath } from './spark';
import { rangeOf } from './trend';

const HOUR = 3_600_000;

describe('sparkline', () => {
  test('spans its box, the newest at the right', () => {
    const columns = { at: [T0 - 24 * HOUR, T0 - 12 * HOUR, T0], value: [0, 10, 5] };
    expect(sparkPath(columns, T0, 100, 30)).toBe('M0 30L50 0L100 15');
  });

  test('a gap lifts the pen, a flat line stands in the middle, nothing is nothing', () => {
    const gap = { at: [T0 - 2 * HOUR, T0 - HOUR, T0], value: [1, null, 1] };
    expect(sparkPath(gap, T0, 100, 30)).toBe('M33.3 15M100 15');
    expect(sparkPath({ at: [], value: [] }, T0, 100, 30)).toBe('');
  });
});

describe('range of the chart', () => {
  const columns = { at: [1, 2], value: [1, 2] };

  test('takes in the next level when it is near, not when it would flatten the trend', () => {
    expect(rangeOf(columns, [{ at: 2.5, severity: 3 }])[1]).toBeGreaterThan(2.5);
    expect(rangeOf(columns, [{ at: 50, severity: 3 }])[1]).toBeLessThan(3);
  });

  test('is never empty', () => {
    for (const value of [[], [null], [0, 0], [7]]) {
      const [least, most] = rangeOf({ at: value.map((_, index) => index), value }, []);
      expect(most).toBeGreaterThan(least);
    }
  });
});

const square = (west: number, size: number, code: string, name: string): MapFeature => ({
  type: 'Feature',
  properties: { layer: 'area', code, name, kind: 'ward' },
  geometry: {
    type: 'Polygon',
    coordinates: [[[west, 10], [west + size, 10], [west + size, 10 + size], [west, 10 + size], [west, 10]]],
  },
});
const province: ProvinceMap = {
  type: 'FeatureCollection',
  features: [
    square(105, 1, '28261', 'Phường Mỹ Tho'),
    square(106, 0.5, '28435', 'Phường Mỹ Phước Tây'),
    {
      type: 'Feature',
      properties: { layer: 'river' },
      geometry: { type: 'LineString', coordinates: [[100, 5], [110, 15]] },
    },
  ],
};

describe('map', () => {
  test('the province fills the picture; the river may reach beyond', () => {
    expect(boundsOf(province)).toEqual({ west: 105, south: 10, east: 106.5, north: 11 });
    expect(boundsOf({ type: 'FeatureCollection', features: [] })).toBeNull();
  });

  test('a name stands in the middle of the largest part', () => {
    const [lon, lat] = labelPoint(square(105, 1, '1', 'a'))!;
    expect([lon.toFixed(6), lat.toFixed(6)]).toEqual(['105.500000', '10.500000']);
    const small = square(105, 1, '1', 'a').geometry.coordinates;
    const large = square(107, 2, '1', 'a').geometry.coordinates;
    const both = { ...square(0, 1, '1', 'a'), geometry: { type: 'MultiPolygon', coordinates: [small, large] } };
    expect(labelPoint(both)?.[0]).toBeCloseTo(108);
  });

  test('the plain map keeps the points in the picture, north up', () => {
    const projection = projectionOf(boundsOf(province)!, 1_000, 20);
    expect(projection.point(105, 11)).toEqual([20, 20]);
    const [x, y] = projection.point(106.5, 10);
    expect([Math.round(x), Math.round(y)]).toEqual([980, Math.round(projection.height - 20)]);
    expect(pathOf(province.features[0]!, projection)).toMatch(/^M[\d.]+ [\d.]+(L[\d.]+ [\d.]+){4}Z$/);
  });

  test('a map of the server is taken as it is; one without layers is refused', () => {
    expect(mapOf(province)).toBe(province);
    expect(() => mapOf({ features: [{ type: 'Feature', properties: {}, geometry: {} }] })).toThrow();
  });
});

describe('marks', () => {
  const open = [
    alertRecord({ id: 'a', severity: 1, state: 'acknowledged' }),
    alertRecord({ id: 'b', severity: 3 }),
    alertRecord({ id: 'c', severity: 2, device: 'stn-cai-lay', area: '28439' }),
    alertRecord({ id: 'd', severity: 4, device: 'nowhere', area: undefined }),
  ];
  const devices = new Map(
    [device(), device({ id: 'stn-cai-lay', name: { vi: 'Trạm Cai Lậy', en: 'Cai Lậy station' } })].map(
      (each) => [each.id, each],
    ),
  );

  test('the worst of each device and area', () => {
    expect(marksOf(open).get('stn-my-tho')).toEqual({ severity: 1, unacknowledged: false });
    expect([...areasOf(open)]).toEqual([['28261', 1], ['28439', 2]]);
  });

  test('the worst on top, unknown devices nowhere', () => {
    const marks = mapMarks(marksOf(open), devices, 'vi');
    expect(marks.map(({ name, icon }) => [name, icon])).toEqual([
      ['Cai Lậy', 'severity-2'],
      ['Mỹ Tho', 'severity-1-hollow'],
    ]);
  });

  test('only the worst few are named', () => {
    const many = new Map(
      Array.from({ length: 20 }, (_, index) => device({ id: `d${index}` })).map((each) => [each.id, each]),
    );
    const crowd = [...many.keys()].map((id) => alertRecord({ id, device: id, severity: id === 'd3' ? 1 : 4 }));
    const marks = mapMarks(marksOf(crowd), many, 'vi');
    expect(marks.filter(({ name }) => name !== '')).toHaveLength(8);
    expect(marks.at(-1)).toMatchObject({ id: 'd3', name: 'Mỹ Tho' });
  });

  test('a station out of the field is not shown, a silent one says so', () => {
    expect(stationState(device(), 'security', T0, T0)).toEqual({ shown: false, silent: false });
    expect(stationState(device(), 'all', T0 - 60_000, T0)).toEqual({ shown: true, silent: true });
    expect(stationState(device(), 'environment', undefined, T0)).toEqual({ shown: true, silent: true });
  });

  test.each([
    ['Trạm Mỹ Tho (sông Tiền)', 'Mỹ Tho'],
    ['Trạm không khí phường Mỹ Tho', 'Không khí phường Mỹ Tho'],
    ['Phường Cao Lãnh', 'Cao Lãnh'],
    ['Điểm đo Sa Đéc (sông Sa Đéc/Tiền)', 'Sa Đéc'],
    ['Cao Lãnh station (Tiền river)', 'Cao Lãnh'],
    ['Cầu Rạch Miễu', 'Cầu Rạch Miễu'],
  ])('%s is %s on the map', (name, short) => {
    expect(shortName(name)).toBe(short);
  });

  test('the place of an alert is its area, or that of its device', () => {
    const names = areaNames(province, 'vi');
    expect(placeOf('28435', device(), names)).toBe('Phường Mỹ Phước Tây');
    expect(placeOf(undefined, device(), names)).toBe('Phường Mỹ Tho');
    expect(placeOf(undefined, undefined, names)).toBeUndefined();
  });
});
