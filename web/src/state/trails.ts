// The trail of every tile of this wall: what the tile said, from the server's history and then live.
import type { Upsert } from '../wire/frames';
import { Refused } from '../wire/client';
import type { Api, Device, Tile } from '../wire/http';
import { seriesKey, type LatestValues } from './latest';
import { devicesOf, readTile } from './tiles';
import { Trail, TRAIL_MS, STEP_MS, type Columns } from './trail';

/** Histories asked for at one time, so that the answers for people are not held up. */
const AT_ONCE = 2;

interface TileTrail {
  tile: Tile;
  devices: Device[];
  trail: Trail;
  /** Until when its history has come, milliseconds UTC. */
  filled: number;
}

export class TrailBook {
  private readonly tiles = new Map<string, TileTrail>();
  /** Of the tiles over one device, by series. */
  private readonly of_series = new Map<string, Trail[]>();

  /** Keeps a trail for each of these tiles. */
  want(tiles: Tile[], devices: Device[]): void {
    for (const tile of tiles) {
      const trail = new Trail();
      this.tiles.set(tile.id, { tile, devices: devicesOf(tile, devices), trail, filled: 0 });
      if (tile.device === undefined) continue;
      const key = seriesKey(tile.device, tile.metric);
      this.of_series.set(key, [...(this.of_series.get(key) ?? []), trail]);
    }
  }

  /** A reading: the next point of every tile over this one series. */
  add(row: Upsert): void {
    if (row.quality !== 0) return;
    for (const trail of this.of_series.get(seriesKey(row.device, row.metric)) ?? []) {
      trail.add(row.at, row.value);
    }
  }

  /** Notes what the tiles over many devices say now. Only for a screen that is current. */
  note(latest: LatestValues, now: number): void {
    for (const { tile, devices, trail } of this.tiles.values()) {
      if (tile.device !== undefined) continue;
      const { value } = readTile(tile, devices, latest, now, 0);
      if (value !== undefined) trail.add(now, value);
    }
  }

  /** Fills the trails from the server: 24 hours at first, later what came since the last time.
   *  Throws when the server cannot be reached; what has come by then stays. */
  async load(api: Api, now: number): Promise<void> {
    const waiting = [...this.tiles.values()];
    const lane = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        await this.loadOne(api, next, now).catch((error: unknown) => {
          waiting.length = 0;
          throw error;
        });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  }

  private async loadOne(api: Api, wanted: TileTrail, now: number): Promise<void> {
    const from = Math.max(now - TRAIL_MS, wanted.filled - STEP_MS);
    if (now - from < 2 * STEP_MS) return;
    const steps = await api.history(wanted.tile.id, from).then(
      ({ step_ms, steps }) => (step_ms === STEP_MS ? steps : []),
      (error: unknown) => {
        // The server has no such history: what is heard live will have to do.
        if (error instanceof Refused) return [];
        throw error;
      },
    );
    for (const step of steps) wanted.trail.fill(step, now);
    wanted.filled = now;
  }

  /** The 24 hours of a tile. */
  columns(tile: Tile, now: number): Columns {
    const kept = this.tiles.get(tile.id);
    if (kept === undefined) return { at: [], value: [] };
    // Many devices say something in every step, unless all of them are silent.
    const interval_ms = tile.device === undefined ? 0 : (kept.devices[0]?.interval_ms ?? 0);
    return kept.trail.columns(now, interval_ms);
  }
}
