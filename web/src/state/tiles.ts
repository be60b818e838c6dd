// What a tile says: its value, how far to believe it, and which level it has reached. Pure.
import type { Device, Level, Statistic, Tile } from '../wire/http';
import { FIELDS, type AlertRecord, type Severity } from '../wire/nouns';
import { isUnacknowledged } from './alerts';
import { freshness, type Freshness } from './freshness';
import type { Latest, LatestValues } from './latest';
import type { Mark } from './marks';
import type { Tab } from './rotation';

export interface TileReading {
  value: number | undefined;
  /** Event time of the newest reading in it, milliseconds UTC. */
  at: number | undefined;
  freshness: Freshness;
  /** The worst level the value has reached; none if normal, unknown, or not to be believed. */
  severity: Severity | undefined;
  /** How many devices are in the value, of how many; only for a tile over many. */
  coverage: { heard: number; all: number } | undefined;
}

/** The devices a tile speaks of. */
export function devicesOf(tile: Tile, devices: Iterable<Device>): Device[] {
  const wanted = (device: Device) => {
    if (tile.device !== undefined) return device.id === tile.device;
    return device.kind === tile.kind && tile.metric in device.units;
  };
  return [...devices].filter(wanted);
}

/** The worst open alert on what a tile shows. `open` is sorted, most urgent first. */
export function alertOn(tile: Tile, devices: Device[], open: AlertRecord[]): Mark | undefined {
  const ids = new Set(tile.device === undefined ? devices.map(({ id }) => id) : [tile.device]);
  const worst = open.find(({ device, metric }) => metric === tile.metric && ids.has(device));
  return worst && { severity: worst.severity, unacknowledged: isUnacknowledged(worst) };
}

/** How bad a tile is: as its open alerts say, and without any as its levels say. */
export function severityOf(reading: TileReading, alert: Mark | undefined): Severity | undefined {
  return alert?.severity ?? reading.severity;
}

/** The worst of the levels from which on `value` takes a severity. */
export function severityAt(levels: Level[], value: number): Severity | undefined {
  const reached = levels.filter((level) => value >= level.at).map((level) => level.severity);
  return reached.length === 0 ? undefined : reached.reduce((a, b) => (b < a ? b : a));
}

export function combine(statistic: Statistic, values: number[]): number | undefined {
  if (values.length === 0) return undefined;
  const sum = () => values.reduce((total, value) => total + value, 0);
  switch (statistic) {
    case 'sum':
      return sum();
    case 'mean':
      return sum() / values.length;
    case 'max':
      return values.reduce((most, value) => Math.max(most, value));
    case 'min':
      return values.reduce((least, value) => Math.min(least, value));
  }
}

export function readTile(
  tile: Tile,
  devices: Device[],
  latest: LatestValues,
  now: number,
  link_silence_ms: number,
): TileReading {
  if (tile.device !== undefined) {
    const held = latest.get(tile.device, tile.metric);
    const state = freshness(held, devices[0]?.interval_ms ?? 60_000, now, link_silence_ms);
    return finish(tile, held?.value, held?.at, state, undefined);
  }
  return readMany(tile, devices, latest, now, link_silence_ms);
}

/** Many devices: those that fell silent are left out of the value and told of. */
function readMany(
  tile: Tile,
  devices: Device[],
  latest: LatestValues,
  now: number,
  link_silence_ms: number,
): TileReading {
  const values: number[] = [];
  const states = new Set<Freshness>();
  let newest: Latest | undefined;
  for (const device of devices) {
    const held = latest.get(device.id, tile.metric);
    const state = freshness(held, device.interval_ms, now, link_silence_ms);
    states.add(state);
    if (held && (!newest || held.at > newest.at)) newest = held;
    if (held && (state === 'fresh' || state === 'stale')) values.push(held.value);
  }
  const coverage = { heard: values.length, all: devices.length };
  const value = combine(tile.statistic ?? 'mean', values);
  return finish(tile, value, newest?.at, manyState(states), coverage);
}

function manyState(states: Set<Freshness>): Freshness {
  const best: Freshness[] = ['fresh', 'stale', 'suspect', 'lost'];
  return best.find((state) => states.has(state)) ?? 'none';
}

function finish(
  tile: Tile,
  value: number | undefined,
  at: number | undefined,
  state: Freshness,
  coverage: TileReading['coverage'],
): TileReading {
  const believed = value !== undefined && (state === 'fresh' || state === 'stale');
  const severity = believed ? severityAt(tile.levels, value) : undefined;
  return { value, at, freshness: state, severity, coverage };
}

/** How many tiles fit on the wall at a size that is legible from 5 m. */
export const TILES_SHOWN = 6;

/** The tiles of a tab: those of its field; of all fields the first of each, then the second. */
export function tilesOf(tiles: Tile[], tab: Tab): Tile[] {
  if (tab !== 'all') return tiles.filter((tile) => tile.field === tab).slice(0, TILES_SHOWN);
  const rank = new Map<Tile, number>();
  for (const field of FIELDS) {
    tiles.filter((tile) => tile.field === field).forEach((tile, index) => rank.set(tile, index));
  }
  const ranked = [...rank].sort(([, a], [, b]) => a - b);
  return ranked.slice(0, TILES_SHOWN).map(([tile]) => tile);
}

/** The tile whose trend is drawn large: the worst one, or else the first with levels. */
export function mainTile(
  tiles: Tile[],
  severity: (tile: Tile) => Severity | undefined,
): Tile | undefined {
  const calm = (tile: Tile) => (tile.levels.length > 0 ? 5 : 6);
  const ranked = tiles.map((tile) => ({ tile, rank: severity(tile) ?? calm(tile) }));
  return ranked.sort((a, b) => a.rank - b.rank)[0]?.tile;
}
