// The province keeps clear of what stands over the map, and is as large as it can be.
import { describe, expect, test } from 'vitest';
import type { ProvinceMap } from '../../wire/http';
import { pixelOf, pointAt, viewAround, type Box, type View } from './room';

const PICTURE = { width: 1_000, height: 450 };
const CHART: Box = { left: 580, top: 10, width: 410, height: 200 };
const LEGEND: Box = { left: 10, top: 260, width: 200, height: 180 };

/** A province along the diagonal, like the one of the scheme. */
const ring = Array.from({ length: 200 }, (_, index): [number, number] => {
  const turn = (index / 200) * 2 * Math.PI;
  const [along, across] = [Math.cos(turn) * 0.9, Math.sin(turn) * 0.12];
  return [106 + along - across * 0.5, 10.4 - along * 0.45 - across];
});
const map: ProvinceMap = {
  type: 'FeatureCollection',
  features: [
    { type: 'Feature', properties: { layer: 'outline' }, geometry: { type: 'Polygon', coordinates: [ring] } },
  ],
};

function clearOf(view: View, boxes: Box[], margin: number): boolean {
  return ring.every((point) => {
    const [x, y] = pixelOf(view, PICTURE, point);
    const inside = ({ left, top, width, height }: Box) =>
      x > left - margin && x < left + width + margin && y > top - margin && y < top + height + margin;
    const within = x >= margin - 1 && x <= PICTURE.width - margin + 1;
    return within && y >= margin - 1 && y <= PICTURE.height - margin + 1 && !boxes.some(inside);
  });
}

describe('the view of the province', () => {
  test('with nothing in the way it fills the picture', () => {
    const view = viewAround(map, PICTURE, [], 10)!;
    expect(clearOf(view, [], 10)).toBe(true);
    expect(clearOf({ ...view, zoom: view.zoom + 0.02 }, [], 10)).toBe(false);
  });

  test('it goes around the chart and the legend, a little smaller at most', () => {
    const whole = viewAround(map, PICTURE, [], 10)!;
    expect(clearOf(whole, [CHART, LEGEND], 10)).toBe(false);
    const view = viewAround(map, PICTURE, [CHART, LEGEND], 10)!;
    expect(clearOf(view, [CHART, LEGEND], 9)).toBe(true);
    expect(view.zoom).toBeGreaterThan(whole.zoom - 1);
  });

  test('with no room at all it is shown all the same', () => {
    const everything = { left: 0, top: 0, ...PICTURE };
    expect(viewAround(map, PICTURE, [everything], 10)).toEqual(viewAround(map, PICTURE, [], 10));
  });

  test('no province, or no picture, is no view', () => {
    expect(viewAround({ type: 'FeatureCollection', features: [] }, PICTURE, [], 10)).toBeNull();
    expect(viewAround(map, { width: 0, height: 0 }, [], 10)).toBeNull();
  });

  test('a pixel and its point are the same place', () => {
    const view = viewAround(map, PICTURE, [CHART], 10)!;
    const [x, y] = pixelOf(view, PICTURE, pointAt(view, PICTURE, [123, 321]));
    expect([Math.round(x), Math.round(y)]).toEqual([123, 321]);
  });
});
