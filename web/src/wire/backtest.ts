// What a set of rules would have raised over stored history.
import { severityOf, type Severity } from './nouns';
import * as shape from './shape';

export interface Trial {
  id: string;
  rule: string;
  severity: Severity;
  device: string;
  area: string | undefined;
  started_at: number;
  ended_at: number | undefined;
  chatter: boolean;
}

export interface RuleTrial {
  rule: string;
  raised: number;
  chatter: number;
  median_ms: number | undefined;
  longest_ms: number | undefined;
  in_force: number | undefined;
  added: number;
  removed: number;
}

export interface BacktestReport {
  from: number;
  to: number;
  readings: number;
  series: number;
  took_ms: number;
  trials: Trial[];
  raised: number;
  chatter: number;
  rules: RuleTrial[];
}

/** A mistake in the rules: where and what. */
export interface Mistake {
  at: string;
  what: string;
}

export function backtestOf(value: unknown): BacktestReport {
  const from = shape.object(value, 'report');
  return {
    from: shape.time(from, 'from'),
    to: shape.time(from, 'to'),
    readings: shape.count(from, 'readings'),
    series: shape.count(from, 'series'),
    took_ms: shape.count(from, 'took_ms'),
    trials: shape.array(from, 'trials').map(trialOf),
    raised: shape.count(from, 'raised'),
    chatter: shape.count(from, 'chatter'),
    rules: shape.array(from, 'rules').map(ruleTrialOf),
  };
}

function trialOf(value: unknown): Trial {
  const from = shape.object(value, 'trial');
  return {
    id: shape.string(from, 'id'),
    rule: shape.string(from, 'rule'),
    severity: severityOf(from, 'severity'),
    device: shape.string(from, 'device'),
    area: shape.optionalString(from, 'area'),
    started_at: shape.time(from, 'started_at'),
    ended_at: shape.optionalTime(from, 'ended_at'),
    chatter: from['chatter'] === true,
  };
}

function ruleTrialOf(value: unknown): RuleTrial {
  const from = shape.object(value, 'rule');
  return {
    rule: shape.string(from, 'rule'),
    raised: shape.count(from, 'raised'),
    chatter: shape.count(from, 'chatter'),
    median_ms: shape.optionalNumber(from, 'median_ms'),
    longest_ms: shape.optionalNumber(from, 'longest_ms'),
    in_force: shape.optionalNumber(from, 'in_force'),
    added: shape.count(from, 'added'),
    removed: shape.count(from, 'removed'),
  };
}

/** The mistakes that a problem document tells of; none where it tells of something else. */
export function mistakesIn(problem: unknown): Mistake[] {
  try {
    return shape.optionalArray(shape.object(problem), 'problems').map((value) => {
      const from = shape.object(value, 'mistake');
      return { at: shape.string(from, 'at'), what: shape.string(from, 'what') };
    });
  } catch {
    return [];
  }
}
