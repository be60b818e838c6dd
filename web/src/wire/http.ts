// The HTTP API as far as every screen needs it: what to show, where, and the one command.
import { Client, type Refused } from './client';
import { alertOf, FIELDS, severityOf, textOf } from './nouns';
import type { AlertRecord, Field, Severity, Text } from './nouns';
import * as shape from './shape';

export interface Level {
  at: number;
  severity: Severity;
}

/** One tile of the wall: over one device, or over every device of a kind by a statistic. */
export interface Tile {
  id: string;
  field: Field;
  label: Text;
  metric: string;
  unit: string;
  digits: number;
  levels: Level[];
  device?: string | undefined;
  kind?: string | undefined;
  statistic?: Statistic | undefined;
}

export const STATISTICS = ['mean', 'max', 'min', 'sum'] as const;
export type Statistic = (typeof STATISTICS)[number];

export interface WallPlan {
  title: Text;
  tiles: Tile[];
}

export interface Device {
  id: string;
  name: Text;
  kind: string;
  field: Field;
  area?: string | undefined;
  lat: number;
  lon: number;
  interval_ms: number;
  /** Metric to UCUM unit. */
  units: Record<string, string>;
  /** What people call each metric. */
  names: Record<string, Text>;
}

/** What a tile said in one step of time. */
export interface HistoryStep {
  /** Start of the step, milliseconds UTC. */
  start: number;
  min: number;
  /** What it said at the end of the step. */
  value: number;
  max: number;
}
export interface TileHistory {
  step_ms: number;
  steps: HistoryStep[];
}

export interface MapFeature {
  type: 'Feature';
  properties: { layer: string; code?: string; name?: string; name_en?: string; kind?: string };
  geometry: { type: string; coordinates: unknown };
}
export interface ProvinceMap {
  type: 'FeatureCollection';
  source?: string;
  features: MapFeature[];
}

export class Api extends Client {
  async wall(): Promise<WallPlan> {
    return wallOf(await this.get('/wall'));
  }

  async devices(): Promise<Device[]> {
    return await this.list('/devices', deviceOf);
  }

  /** The names of the rules in force, by rule. */
  async rules(): Promise<Map<string, Text>> {
    return new Map(await this.list('/rules', ruleName));
  }

  async map(): Promise<ProvinceMap> {
    return mapOf(await this.get('/map'));
  }

  /** What a tile said since `from`, at most 24 hours ago. */
  async history(tile: string, from: number): Promise<TileHistory> {
    const query = new URLSearchParams({ from: String(Math.round(from)) });
    return historyOf(await this.get(`/wall/tiles/${encodeURIComponent(tile)}/history?${query}`));
  }

  /** Asks for something about one alert, and gives the alert's revision after it; throws `Refused`
   *  with the alert as it is (409), or none (404). What became of the alert is told by the live
   *  protocol, to this screen as to every other. */
  async command(
    alert: string,
    act: string,
    body: object,
    key: string,
    rev?: number,
  ): Promise<number | undefined> {
    const path = `/alerts/${encodeURIComponent(alert)}/${act}`;
    return shape.optionalNumber(shape.object(await this.post(path, body, key, rev)), 'rev');
  }
}

/** The alert as it is, out of the problem document of a 409. */
export function currentOf(refused: Refused): AlertRecord | undefined {
  try {
    return alertOf(shape.object(refused.problem)['current']);
  } catch {
    return undefined;
  }
}

/** Why something was refused, in both languages, out of a problem document. */
export function textIn(refused: Refused): Text | undefined {
  try {
    const from = shape.object(refused.problem);
    if (from['text'] !== undefined) return textOf(from['text'], 'text');
    // Of a conflict `current` says more than the English detail; of anything else there is no other.
    return from['current'] === undefined ? textOf(from['detail'], 'detail') : undefined;
  } catch {
    return undefined;
  }
}

export function wallOf(value: unknown): WallPlan {
  const from = shape.object(value, 'wall');
  return { title: textOf(from['title'], 'title'), tiles: shape.array(from, 'tiles').map(tileOf) };
}

function tileOf(value: unknown): Tile {
  const from = shape.object(value, 'tile');
  const statistic = from['statistic'] ? shape.word(from, 'statistic', STATISTICS) : undefined;
  const levels = from['levels'] ? shape.array(from, 'levels').map(levelOf) : [];
  return {
    id: shape.string(from, 'id'),
    field: shape.word(from, 'field', FIELDS),
    label: textOf(from['label'], 'label'),
    metric: shape.string(from, 'metric'),
    unit: shape.optionalString(from, 'unit') ?? '',
    digits: shape.optionalNumber(from, 'digits') ?? 0,
    levels: levels.sort((a, b) => a.at - b.at),
    device: shape.optionalString(from, 'device'),
    kind: shape.optionalString(from, 'kind'),
    statistic,
  };
}

function levelOf(value: unknown): Level {
  const from = shape.object(value, 'level');
  return { at: shape.number(from, 'at'), severity: severityOf(from, 'severity') };
}

export function deviceOf(value: unknown): Device {
  const from = shape.object(value, 'device');
  const metrics = Array.isArray(from['metrics']) ? (from['metrics'] as unknown[]) : [];
  const specs = metrics.map((each) => {
    const spec = shape.object(each, 'metric');
    const metric = shape.string(spec, 'metric');
    const name = textOf(spec['name'] ?? metric, 'name');
    return { metric, unit: shape.optionalString(spec, 'unit') ?? '', name };
  });
  return {
    id: shape.string(from, 'id'),
    name: textOf(from['name'], 'name'),
    kind: shape.string(from, 'kind'),
    field: shape.word(from, 'field', FIELDS),
    area: shape.optionalString(from, 'area'),
    lat: shape.number(from, 'lat'),
    lon: shape.number(from, 'lon'),
    interval_ms: shape.number(from, 'interval_ms'),
    units: Object.fromEntries(specs.map(({ metric, unit }) => [metric, unit])),
    names: Object.fromEntries(specs.map(({ metric, name }) => [metric, name])),
  };
}

function ruleName(value: unknown): [rule: string, name: Text] {
  const from = shape.object(value, 'rule');
  return [shape.string(from, 'id'), textOf(from['name'], 'name')];
}

export function mapOf(value: unknown): ProvinceMap {
  const from = shape.object(value, 'map');
  for (const each of shape.array(from, 'features')) {
    const feature = shape.object(each, 'feature');
    shape.string(shape.object(feature['properties'], 'properties'), 'layer');
    shape.string(shape.object(feature['geometry'], 'geometry'), 'type');
  }
  return value as ProvinceMap;
}

function historyOf(value: unknown): TileHistory {
  const from = shape.object(value, 'history');
  const step_ms = shape.count(from, 'step_ms');
  return { step_ms, steps: shape.array(from, 'items').map(stepOf) };
}

function stepOf(value: unknown): HistoryStep {
  const [start, min, said, max] = shape.numbers(value, 4, 'step');
  return { start: start!, min: min!, value: said!, max: max! };
}
