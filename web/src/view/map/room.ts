// Where the province stands in its picture: as large as it can be without going under what stands
// over the map (the chart, the legend). Pure.
import type { ProvinceMap } from '../../wire/http';
import { ringsOf } from './geometry';

/** In pixels, from the upper left corner of the picture. */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** What MapLibre is opened with. */
export interface View {
  center: [lon: number, lat: number];
  zoom: number;
}

/** MapLibre draws the whole world this wide at zoom 0, in pixels. */
const WORLD_PX = 512;
/** The shape is looked at in this many columns and rows. */
const GRID = 120;
/** How much smaller each try is than the one before, and how many places each is tried at. */
const [SHRINK, TRIES, PLACES] = [0.97, 40, 12];

/** Web Mercator; the world is one wide and one high, from its north-west corner. */
function project(lon: number, lat: number): [x: number, y: number] {
  const phi = (lat * Math.PI) / 180;
  return [(lon + 180) / 360, 0.5 - Math.log(Math.tan(Math.PI / 4 + phi / 2)) / (2 * Math.PI)];
}

function unproject(x: number, y: number): [lon: number, lat: number] {
  const phi = 2 * Math.atan(Math.exp((0.5 - y) * 2 * Math.PI)) - Math.PI / 2;
  return [x * 360 - 180, (phi * 180) / Math.PI];
}

interface Shape {
  left: number;
  top: number;
  width: number;
  height: number;
  /** Corners of its areas, as parts of its width and height; one for each cell of a grid. */
  corners: [x: number, y: number][];
}

function shapeOf(map: ProvinceMap): Shape | null {
  const land = map.features.filter(({ properties }) => properties.layer !== 'river');
  const points = land.flatMap(ringsOf).flat().map(([lon, lat]) => project(lon, lat));
  const ends = (values: number[]) =>
    values.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)] as const, [
      Infinity,
      -Infinity,
    ] as readonly [number, number]);
  const [left, right] = ends(points.map(([x]) => x));
  const [top, bottom] = ends(points.map(([, y]) => y));
  const [width, height] = [right - left, bottom - top];
  if (!(width > 0 && height > 0)) return null;
  const cells = new Map<string, [number, number]>();
  for (const [x, y] of points) {
    const corner: [number, number] = [(x - left) / width, (y - top) / height];
    cells.set(corner.map((part) => Math.round(part * GRID)).join(), corner);
  }
  return { left, top, width, height, corners: [...cells.values()] };
}

/** Every place in a room of this size for something smaller, the middle first. */
function placesIn(slack_x: number, slack_y: number): [x: number, y: number][] {
  const parts = Array.from({ length: PLACES + 1 }, (_, index) => index / PLACES);
  const places = parts.flatMap((x) => parts.map((y) => [x, y] as [number, number]));
  const off = ([x, y]: [number, number]) => Math.hypot(x - 0.5, y - 0.5);
  places.sort((a, b) => off(a) - off(b));
  return places.map(([x, y]) => [x * slack_x, y * slack_y]);
}

/** The view in which the province, with `margin` pixels around it, keeps clear of the `taken`
 *  boxes; of several the largest. Where there is none, the one that just fills the picture. */
export function viewAround(
  map: ProvinceMap,
  picture: { width: number; height: number },
  taken: Box[],
  margin: number,
): View | null {
  const shape = shapeOf(map);
  const [width, height] = [picture.width - 2 * margin, picture.height - 2 * margin];
  if (!shape || width <= 0 || height <= 0) return null;
  const largest = Math.min(width / shape.width, height / shape.height);
  const inside = (x: number, y: number) => (box: Box) =>
    x > box.left - margin &&
    x < box.left + box.width + margin &&
    y > box.top - margin &&
    y < box.top + box.height + margin;
  const placed = (scale: number, x: number, y: number): View => ({
    zoom: Math.log2(scale / WORLD_PX),
    center: unproject(
      shape.left + (picture.width / 2 - margin - x) / scale,
      shape.top + (picture.height / 2 - margin - y) / scale,
    ),
  });
  for (let attempt = 0, scale = largest; attempt < TRIES; attempt++, scale *= SHRINK) {
    const [wide, high] = [shape.width * scale, shape.height * scale];
    const clear = placesIn(width - wide, height - high).find(
      ([x, y]) =>
        !shape.corners.some(([a, b]) => taken.some(inside(margin + x + a * wide, margin + y + b * high))),
    );
    if (clear) return placed(scale, ...clear);
  }
  const [wide, high] = [shape.width * largest, shape.height * largest];
  return placed(largest, (width - wide) / 2, (height - high) / 2);
}

/** Which point of the earth a pixel of the picture shows. */
export function pointAt(
  view: View,
  picture: { width: number; height: number },
  [x, y]: [x: number, y: number],
): [lon: number, lat: number] {
  const scale = WORLD_PX * 2 ** view.zoom;
  const [centre_x, centre_y] = project(...view.center);
  return unproject(centre_x + (x - picture.width / 2) / scale, centre_y + (y - picture.height / 2) / scale);
}

/** Which pixel of the picture shows a point of the earth. */
export function pixelOf(
  view: View,
  picture: { width: number; height: number },
  [lon, lat]: [lon: number, lat: number],
): [x: number, y: number] {
  const scale = WORLD_PX * 2 ** view.zoom;
  const [[x, y], [centre_x, centre_y]] = [project(lon, lat), project(...view.center)];
  return [picture.width / 2 + (x - centre_x) * scale, picture.height / 2 + (y - centre_y) * scale];
}
