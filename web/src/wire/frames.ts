// The frames of the live protocol, version 1: what may come in, checked, and what goes out.
import { centreOf, type Centre } from './centre';
import { alertOf, type AlertRecord, type Quality } from './nouns';
import * as shape from './shape';

export const PROTOCOL_VERSION = 1;

/** One row of a tick: the latest value of one series. */
export interface Upsert {
  device: string;
  metric: string;
  value: number;
  /** Event time, milliseconds UTC. */
  at: number;
  quality: Quality;
}

export type ServerFrame =
  | {
      type: 'welcome';
      epoch: string;
      head: number;
      floor: number;
      mode: 'resume' | 'snapshot';
      heartbeat_ms: number;
      now: number;
      build: string;
      insecure_dev: boolean;
    }
  | { type: 'snapshot'; epoch: string; as_of: number; part: number; n: number; items: AlertRecord[] }
  | { type: 'alert'; seq: number; prev: number; record: AlertRecord }
  | { type: 'skip'; prev: number; to: number }
  | { type: 'live' }
  | { type: 'heartbeat'; head: number; now: number }
  | { type: 'tick'; upserts: Upsert[] }
  /** How the centre as a whole stands: the newest one counts. */
  | { type: 'centre'; centre: Centre }
  /** A type this screen does not know: ignored, so that the protocol can grow. */
  | { type: 'unknown' };

/** Where a screen stands in the alert log. */
export interface Position {
  epoch: string;
  seq: number;
}

export type ScreenFrame =
  | { type: 'hello'; v: number; screen: string; view: string; resume: Position | null }
  | { type: 'seen'; seq: number };

/** Parses one frame of the server. Throws `Malformed` for a known type of a wrong shape. */
export function parseFrame(raw: string): ServerFrame {
  let json: unknown;
  try {
    json = JSON.parse(raw);
  } catch {
    throw new shape.Malformed('not JSON');
  }
  const from = shape.object(json, 'frame');
  const parse = PARSERS[shape.string(from, 'type')];
  return parse ? parse(from) : { type: 'unknown' };
}

const PARSERS: Record<string, ((from: shape.Json) => ServerFrame) | undefined> = {
  welcome: (from) => ({
    type: 'welcome',
    epoch: shape.string(from, 'epoch'),
    head: shape.count(from, 'head'),
    floor: shape.count(from, 'floor'),
    mode: shape.word(from, 'mode', ['resume', 'snapshot']),
    heartbeat_ms: shape.count(from, 'heartbeat_ms'),
    now: shape.time(from, 'now'),
    build: shape.string(from, 'build'),
    insecure_dev: shape.flag(from, 'insecure_dev'),
  }),
  snapshot: (from) => ({
    type: 'snapshot',
    epoch: shape.string(from, 'epoch'),
    as_of: shape.count(from, 'as_of'),
    part: shape.count(from, 'part'),
    n: shape.count(from, 'n'),
    items: shape.array(from, 'items').map(alertOf),
  }),
  alert: (from) => ({
    type: 'alert',
    seq: shape.count(from, 'seq'),
    prev: shape.count(from, 'prev'),
    record: alertOf(from),
  }),
  skip: (from) => ({ type: 'skip', prev: shape.count(from, 'prev'), to: shape.count(from, 'to') }),
  live: () => ({ type: 'live' }),
  heartbeat: (from) => ({
    type: 'heartbeat',
    head: shape.count(from, 'head'),
    now: shape.time(from, 'now'),
  }),
  tick: (from) => ({ type: 'tick', upserts: shape.array(from, 'upserts').flatMap(upsertOf) }),
  centre: (from) => ({ type: 'centre', centre: centreOf(from) }),
};

/** A row that is not one is left out: ticks are conflated, the next one mends it. */
function upsertOf(row: unknown): Upsert[] {
  if (!Array.isArray(row)) return [];
  const [device, metric, value, at, quality] = row as unknown[];
  const whole =
    typeof device === 'string' &&
    typeof metric === 'string' &&
    Number.isFinite(value) &&
    Number.isFinite(at) &&
    (quality === 0 || quality === 1 || quality === 2);
  if (!whole) return [];
  return [{ device, metric, value: value as number, at: at as number, quality }];
}

export function hello(screen: string, resume: Position | null): ScreenFrame {
  return { type: 'hello', v: PROTOCOL_VERSION, screen, view: 'all', resume };
}

export function seen(seq: number): ScreenFrame {
  return { type: 'seen', seq };
}
