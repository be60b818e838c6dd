// Shapes of the province map: bounds, the points where names stand, and the plain projection of
// the map without WebGL. Pure.
import type { MapFeature, ProvinceMap } from '../../wire/http';

export type Point = [lon: number, lat: number];
export type Ring = Point[];

/** Every ring of a polygon or line feature. */
export function ringsOf(feature: MapFeature): Ring[] {
  const { type, coordinates } = feature.geometry;
  switch (type) {
    case 'LineString':
      return [coordinates as Ring];
    case 'Polygon':
    case 'MultiLineString':
      return coordinates as Ring[];
    case 'MultiPolygon':
      return (coordinates as Ring[][]).flat();
    default:
      return [];
  }
}

export interface Bounds {
  west: number;
  south: number;
  east: number;
  north: number;
}

/** The box around the areas and the outline; the river may reach beyond. */
export function boundsOf(map: ProvinceMap): Bounds | null {
  const bounds = { west: Infinity, south: Infinity, east: -Infinity, north: -Infinity };
  for (const feature of map.features) {
    if (feature.properties.layer === 'river') continue;
    for (const [lon, lat] of ringsOf(feature).flat()) {
      bounds.west = Math.min(bounds.west, lon);
      bounds.east = Math.max(bounds.east, lon);
      bounds.south = Math.min(bounds.south, lat);
      bounds.north = Math.max(bounds.north, lat);
    }
  }
  return bounds.west < bounds.east && bounds.south < bounds.north ? bounds : null;
}

/** Twice the signed area and the middle of a closed ring. */
function middleOf(ring: Ring): { area: number; at: Point } {
  const [origin_x, origin_y] = ring[0] ?? [0, 0];
  let [area, x, y] = [0, 0, 0];
  ring.forEach(([x1, y1], index) => {
    const [x2, y2] = ring[(index + 1) % ring.length] ?? [x1, y1];
    const [ax, ay, bx, by] = [x1 - origin_x, y1 - origin_y, x2 - origin_x, y2 - origin_y];
    const cross = ax * by - bx * ay;
    area += cross;
    x += (ax + bx) * cross;
    y += (ay + by) * cross;
  });
  if (area === 0) return { area: 0, at: [origin_x, origin_y] };
  return { area: Math.abs(area), at: [origin_x + x / (3 * area), origin_y + y / (3 * area)] };
}

/** Where the name of an area stands: the middle of its largest ring. */
export function labelPoint(feature: MapFeature): Point | null {
  const middles = ringsOf(feature).filter((ring) => ring.length >= 3).map(middleOf);
  if (middles.length === 0) return null;
  return middles.reduce((best, each) => (each.area > best.area ? each : best)).at;
}

/** How the map without WebGL lays longitudes and latitudes on a picture of this size. */
export interface Projection {
  width: number;
  height: number;
  point: (lon: number, lat: number) => [x: number, y: number];
}

/** Equirectangular, true to scale at the middle of the province; `width` wide. */
export function projectionOf(bounds: Bounds, width: number, margin: number): Projection {
  const narrowing = Math.cos(((bounds.north + bounds.south) / 2) * (Math.PI / 180));
  const scale = (width - 2 * margin) / ((bounds.east - bounds.west) * narrowing);
  return {
    width,
    height: (bounds.north - bounds.south) * scale + 2 * margin,
    point: (lon, lat) => [
      margin + (lon - bounds.west) * narrowing * scale,
      margin + (bounds.north - lat) * scale,
    ],
  };
}

/** A feature as an SVG path. */
export function pathOf(feature: MapFeature, projection: Projection): string {
  const closed = feature.geometry.type.endsWith('Polygon');
  const step = ([lon, lat]: Point, index: number) => {
    const [x, y] = projection.point(lon, lat);
    return `${index === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`;
  };
  return ringsOf(feature)
    .map((ring) => ring.map(step).join('') + (closed ? 'Z' : ''))
    .join('');
}
