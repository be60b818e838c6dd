// How the centre as a whole stands: the province's stage, floods, a drill, whether alerting works.
import { FIELDS, type Field } from './nouns';
import * as shape from './shape';

/** The levels of disaster risk, 1 (low) to 5 (catastrophe). */
export const STAGES = [1, 2, 3, 4, 5] as const;
export type StageNumber = (typeof STAGES)[number];

export interface Stage {
  stage: StageNumber;
  since: number;
  by: string;
  reason: string;
}

/** What the rules suggest for the stage; a person decides. */
export interface Advice {
  stage: StageNumber;
  /** The alerts that speak for it. */
  alerts: string[];
}

/** More new alerts than a person at this desk can handle. */
export interface Flood {
  desk: Field;
  started_at: number;
  /** The alert that came first. */
  first_out: string;
  raised: number;
}

export interface Drill {
  since: number;
  by: string;
  reason: string;
}

/** Whether the synthetic device still gets an alert through the whole chain. */
export interface Alerting {
  ok: boolean;
  since: number;
  latency_ms: number | undefined;
}

export interface Centre {
  /** None where nobody has ever set one. */
  stage: Stage | undefined;
  advice: Advice | undefined;
  floods: Flood[];
  drill: Drill | undefined;
  alerting: Alerting | undefined;
  /** Why what is acknowledged may be lost when machines lose power; none where it may not. */
  best_effort: string | undefined;
}

/** Before the server has told. */
export const UNTOLD: Centre = {
  stage: undefined,
  advice: undefined,
  floods: [],
  drill: undefined,
  alerting: undefined,
  best_effort: undefined,
};

export function centreOf(from: shape.Json): Centre {
  return {
    stage: shape.optional(from, 'stage', stageOf),
    advice: shape.optional(from, 'advice', adviceOf),
    floods: shape.optionalArray(from, 'floods').map(floodOf),
    drill: shape.optional(from, 'drill', drillOf),
    alerting: shape.optional(from, 'alerting', alertingOf),
    best_effort: shape.optionalString(from, 'best_effort'),
  };
}

export function stageNumber(from: shape.Json, key: string): StageNumber {
  const value = shape.number(from, key);
  const found = STAGES.find((each) => each === value);
  if (found === undefined) throw new shape.Malformed(`${key} is not a stage`);
  return found;
}

export function stageOf(value: unknown): Stage {
  const from = shape.object(value, 'stage');
  return { stage: stageNumber(from, 'stage'), ...sinceOf(from) };
}

export function adviceOf(value: unknown): Advice {
  const from = shape.object(value, 'advice');
  return {
    stage: stageNumber(from, 'stage'),
    alerts: shape.optionalArray(from, 'alerts').map(String),
  };
}

function floodOf(value: unknown): Flood {
  const from = shape.object(value, 'flood');
  return {
    desk: shape.word(from, 'desk', FIELDS),
    started_at: shape.time(from, 'started_at'),
    first_out: shape.string(from, 'first_out'),
    raised: shape.count(from, 'raised'),
  };
}

function drillOf(value: unknown): Drill {
  return sinceOf(shape.object(value, 'drill'));
}

function sinceOf(from: shape.Json): Drill {
  return {
    since: shape.time(from, 'since'),
    by: shape.string(from, 'by'),
    reason: shape.optionalString(from, 'reason') ?? '',
  };
}

function alertingOf(value: unknown): Alerting {
  const from = shape.object(value, 'alerting');
  return {
    ok: shape.flag(from, 'ok'),
    since: shape.time(from, 'since'),
    latency_ms: shape.optionalNumber(from, 'latency_ms'),
  };
}
