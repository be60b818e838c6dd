// Rules as far as people read them: what an alert means, where its limit comes from, what to do.
import { FIELDS, severityOf, textOf, type Field, type Severity, type Text } from './nouns';
import * as shape from './shape';

export interface RuleText {
  id: string;
  name: Text;
  field: Field;
  severity: Severity;
  /** The law, decision or bulletin the limit comes from. */
  source: string;
  owner: Text;
  steps: Text[];
  consequence: Text;
  /** How soon somebody must have acknowledged, milliseconds; 0 where it is not said. */
  within_ms: number;
  condition: Condition;
}

/** Which side of a limit is wrong. */
export const BOUNDS = ['at_least', 'above', 'at_most', 'below'] as const;

export interface Limit {
  bound: (typeof BOUNDS)[number];
  at: number;
  clear: number | undefined;
  for_ms: number;
  clear_for_ms: number;
  severity: Severity | undefined;
}

export interface Condition {
  /** `threshold`, `levels`, `rate`, … */
  type: string;
  /** One, or one a level, mildest first. */
  limits: Limit[];
  /** What else decides, as the server writes it. */
  more: [name: string, value: string][];
}

export function ruleTextOf(value: unknown): RuleText {
  const from = shape.object(value, 'rule');
  const response = shape.object(from['response'] ?? {}, 'response');
  return {
    id: shape.string(from, 'id'),
    name: textOf(from['name'], 'name'),
    field: shape.word(from, 'field', FIELDS),
    severity: severityOf(from, 'severity'),
    source: shape.optionalString(from, 'source') ?? '',
    owner: textOf(from['owner'] ?? '', 'owner'),
    steps: shape.optionalArray(response, 'steps').map((step) => textOf(step, 'step')),
    consequence: textOf(response['consequence'] ?? '', 'consequence'),
    within_ms: shape.optionalNumber(response, 'within_ms') ?? 0,
    condition: conditionOf(from['condition']),
  };
}

function conditionOf(value: unknown): Condition {
  const { type, limit, levels, ...rest } = shape.object(value ?? {}, 'condition');
  const several = Array.isArray(levels) ? (levels as unknown[]) : [];
  const limits = limit === undefined ? [] : [limitOf(limit, undefined)];
  return {
    type: typeof type === 'string' ? type : '',
    limits: [...limits, ...several.map(levelOf)],
    more: Object.entries(rest).map(([name, each]) => [name, written(each)]),
  };
}

function levelOf(value: unknown): Limit {
  const from = shape.object(value, 'level');
  return limitOf(from['limit'], severityOf(from, 'severity'));
}

function limitOf(value: unknown, severity: Severity | undefined): Limit {
  const from = shape.object(value, 'limit');
  const bound = shape.object(from['bound'], 'bound');
  const side = BOUNDS.find((each) => typeof bound[each] === 'number');
  if (side === undefined) throw new shape.Malformed('bound has no side');
  return {
    bound: side,
    at: shape.number(bound, side),
    clear: shape.optionalNumber(from, 'clear'),
    for_ms: shape.optionalNumber(from, 'for_ms') ?? 0,
    clear_for_ms: shape.optionalNumber(from, 'clear_for_ms') ?? 0,
    severity,
  };
}

function written(value: unknown): string {
  if (typeof value === 'string') return value.normalize('NFC');
  if (Array.isArray(value)) return value.map(written).join(', ');
  return JSON.stringify(value);
}
