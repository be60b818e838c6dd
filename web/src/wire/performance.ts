// Alarm performance, against the figures of ISA-18.2 and EEMUA 191.
import * as shape from './shape';

/** How good a figure ought to be. */
export interface Target {
  bound: 'at_most' | 'at_least';
  value: number;
  /** The standard it is from. */
  source: string;
}

export interface Figure {
  /** Its stable name, such as `per_hour_mean`. */
  name: string;
  /** None where there is nothing to make it of. */
  value: number | undefined;
  /** `1`, `s`, or `share` (0 to 1). */
  unit: string;
  target: Target | undefined;
  met: boolean | undefined;
}

/** One of the alarms that make the most alerts. */
export interface Actor {
  rule: string;
  device: string;
  metric: string | undefined;
  level: number;
  count: number;
  /** Of all, 0 to 1. */
  share: number;
}

export interface Report {
  /** `all`, a desk, or `rule:` and a rule's id. */
  of: string;
  /** Alerts shown to operators for the first time in the span. */
  shown: number;
  /** By severity, 1 to 4. */
  by_severity: number[];
  never_shown: number;
  shelved: number;
  suppressed: number;
  out_of_service: number;
  drill: number;
  figures: Figure[];
  top: Actor[];
}

export interface Performance {
  from: number;
  to: number;
  /** From when on alerts are known: what the figures are of. */
  covered_from: number;
  /** Whether that span is long enough to judge by. */
  enough: boolean;
  total: Report;
  desks: Report[];
  rules: Report[];
}

export function performanceOf(value: unknown): Performance {
  const from = shape.object(value, 'performance');
  return {
    from: shape.time(from, 'from'),
    to: shape.time(from, 'to'),
    covered_from: shape.time(from, 'covered_from'),
    enough: from['enough'] === true,
    total: reportOf(from['total']),
    desks: shape.optionalArray(from, 'desks').map(reportOf),
    rules: shape.optionalArray(from, 'rules').map(reportOf),
  };
}

function reportOf(value: unknown): Report {
  const from = shape.object(value, 'report');
  return {
    of: shape.string(from, 'of'),
    shown: shape.count(from, 'shown'),
    by_severity: shape.numbers(from['by_severity'], 4, 'by_severity'),
    never_shown: shape.count(from, 'never_shown'),
    shelved: shape.count(from, 'shelved'),
    suppressed: shape.count(from, 'suppressed'),
    out_of_service: shape.count(from, 'out_of_service'),
    drill: shape.count(from, 'drill'),
    figures: shape.array(from, 'figures').map(figureOf),
    top: shape.optionalArray(from, 'top').map(actorOf),
  };
}

function figureOf(value: unknown): Figure {
  const from = shape.object(value, 'figure');
  return {
    name: shape.string(from, 'name'),
    value: shape.optionalNumber(from, 'value'),
    unit: shape.string(from, 'unit'),
    target: shape.optional(from, 'target', targetOf),
    met: shape.optional(from, 'met', (met) => met === true),
  };
}

function targetOf(value: unknown): Target {
  const from = shape.object(value, 'target');
  return {
    bound: shape.word(from, 'bound', ['at_most', 'at_least']),
    value: shape.number(from, 'value'),
    source: shape.string(from, 'source'),
  };
}

function actorOf(value: unknown): Actor {
  const from = shape.object(value, 'actor');
  return {
    rule: shape.string(from, 'rule'),
    device: shape.string(from, 'device'),
    metric: shape.optionalString(from, 'metric'),
    level: shape.optionalNumber(from, 'level') ?? 0,
    count: shape.count(from, 'count'),
    share: shape.number(from, 'share'),
  };
}
