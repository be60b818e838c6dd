// The trails of every series that a tile of this wall speaks of; other series leave no trail.
import type { Upsert } from '../wire/frames';
import { Refused, type Api, type Device, type Tile } from '../wire/http';
import { seriesKey } from './latest';
import { combineTrails, devicesOf } from './tiles';
import { Trail, TRAIL_MS, STEP_MS, type Columns } from './trail';

/** Of a tile over more devices than this only so many leave a trail. */
export const DEVICES_MAX = 128;
/** Points asked of 24 hours; the server keeps the peaks. */
const POINTS = 720;
/** Histories asked for at one time, so that the answers for people are not held up. */
const AT_ONCE = 2;

interface Series {
  device: string;
  metric: string;
}

export class TrailBook {
  private readonly trails = new Map<string, Trail>();
  private readonly wanted = new Map<string, Series>();
  /** Until when the history of each series has come, milliseconds UTC. */
  private readonly filled = new Map<string, number>();

  constructor(private readonly devices_max = DEVICES_MAX) {}

  /** Keeps a trail for every series of these tiles. */
  want(tiles: Tile[], devices: Device[]): void {
    for (const tile of tiles) {
      const of_tile = devicesOf(tile, devices).slice(0, this.devices_max);
      const ids = tile.device === undefined ? of_tile.map((each) => each.id) : [tile.device];
      for (const device of ids) {
        const key = seriesKey(device, tile.metric);
        this.wanted.set(key, { device, metric: tile.metric });
        if (!this.trails.has(key)) this.trails.set(key, new Trail());
      }
    }
  }

  add(row: Upsert): void {
    if (row.quality !== 0) return;
    this.trails.get(seriesKey(row.device, row.metric))?.add(row.at, row.value);
  }

  /** Fills the trails from the store: 24 hours at first, later what came since the last time.
   *  Throws when the server cannot be reached; what has come by then stays. */
  async load(api: Api, now: number): Promise<void> {
    const waiting = [...this.wanted];
    const lane = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        await this.loadOne(api, ...next, now).catch((error: unknown) => {
          waiting.length = 0;
          throw error;
        });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  }

  private async loadOne(api: Api, key: string, series: Series, now: number): Promise<void> {
    const from = Math.max(now - TRAIL_MS, (this.filled.get(key) ?? 0) - STEP_MS);
    if (now - from < 2 * STEP_MS) return;
    const points = await api
      .readings(series.device, series.metric, from, POINTS)
      .catch((error: unknown) => {
        // The server knows of no such readings: the ticks will have to do.
        if (error instanceof Refused) return [];
        throw error;
      });
    const trail = this.trails.get(key);
    for (const point of points) {
      if (point.quality === 0) trail?.add(point.at, point.value);
    }
    this.filled.set(key, now);
  }

  /** The 24 hours of a tile. */
  columns(tile: Tile, devices: Device[], now: number): Columns {
    const interval_ms = Math.max(...devices.map((device) => device.interval_ms), 0);
    if (tile.device !== undefined) {
      const trail = this.trails.get(seriesKey(tile.device, tile.metric));
      return trail?.columns(now, interval_ms) ?? { at: [], value: [] };
    }
    const keys = devices.slice(0, this.devices_max).map((each) => seriesKey(each.id, tile.metric));
    // A sum over some of its devices would be drawn as if it were the whole.
    if (!keys.every((key) => this.filled.has(key))) return { at: [], value: [] };
    const trails = keys.flatMap((key) => this.trails.get(key) ?? []);
    return combineTrails(trails, tile.statistic ?? 'mean', now, 5 * interval_ms);
  }
}
