// The nouns the server speaks of. Times are milliseconds UTC here; on the wire they are RFC 3339.
import * as shape from './shape';

/** The five fields of the province's plan, in the order of the keys 1 to 5. */
export const FIELDS = [
  'socio_economy',
  'security',
  'transport',
  'environment',
  'public_services',
] as const;
export type Field = (typeof FIELDS)[number];

/** 1 (critical) to 4 (low): smaller is worse. */
export const SEVERITIES = [1, 2, 3, 4] as const;
export type Severity = (typeof SEVERITIES)[number];

export const ALERT_STATES = [
  'unacknowledged',
  'acknowledged',
  'returned_unacknowledged',
  'latched',
  'normal',
] as const;
export type AlertState = (typeof ALERT_STATES)[number];

export const CHANGES = [
  'raised',
  'acknowledged',
  'cleared',
  'superseded',
  'assigned',
  'noted',
  'shelved',
  'unshelved',
  'suppressed',
  'unsuppressed',
  'taken_out',
  'put_back',
  'reset',
  'closed',
  'updated',
] as const;
export type Change = (typeof CHANGES)[number];

/** One text in both languages. */
export interface Text {
  vi: string;
  en: string;
}

/** The newest record of one alert: the whole alert as it is after one change. */
export interface AlertRecord {
  id: string;
  rev: number;
  kind: Change;
  state: AlertState;
  rule: string;
  severity: Severity;
  field: Field;
  device: string;
  metric?: string | undefined;
  area?: string | undefined;
  value?: number | undefined;
  limit?: number | undefined;
  event_time: number;
  started_at: number;
  cleared_at?: number | undefined;
  recorded_at: number;
  acknowledgement?: Acknowledgement | undefined;
  late: boolean;
  text: Text;
  rule_version: string;
  /** Which level of the rule, from 1, the mildest; 0 for a rule without levels. */
  level: number;
  /** What alerts of one cause in one area have in common; may be empty. */
  group: string;
  latched: boolean;
  chattering: boolean;
  drill: boolean;
  shelving?: Shelving | undefined;
  suppression?: Suppression | undefined;
  /** The desk's entry by which it is out of service. */
  out_of_service?: string | undefined;
  assignment?: Assignment | undefined;
  /** The last ones, oldest first. */
  notes: Note[];
  closing?: Closing | undefined;
  /** The alerts that a broader one is made of. */
  members: string[];
  attributes: Record<string, string>;
}

export interface Acknowledgement {
  by: string;
  at: number;
  note: string;
}

export interface Shelving {
  by: string;
  at: number;
  reason: string;
  until: number;
  one_shot: boolean;
}

export const EXPLANATIONS = ['level', 'dependency', 'member', 'maintenance', 'person'] as const;

export interface Suppression {
  cause: (typeof EXPLANATIONS)[number];
  at: number;
  until?: number | undefined;
  /** The alert that explains it. */
  alert?: string | undefined;
  device?: string | undefined;
  /** The planned work that explains it. */
  entry?: string | undefined;
  by?: string | undefined;
  reason?: string | undefined;
}

export interface Assignment {
  to: string;
  by: string;
  at: number;
}

export interface Note {
  by: string;
  at: number;
  text: string;
}

export const CAUSES = ['resolved', 'false_alarm', 'planned', 'duplicate', 'handed_over'] as const;
export type Cause = (typeof CAUSES)[number];

export interface Closing {
  by: string;
  at: number;
  cause: Cause;
  note: string;
}

/** 0 good, 1 suspect, 2 bad. */
export type Quality = 0 | 1 | 2;

export function severityOf(from: shape.Json, key: string): Severity {
  const level = shape.number(from, key);
  const found = SEVERITIES.find((each) => each === level);
  if (found === undefined) throw new shape.Malformed(`${key} is not a severity`);
  return found;
}

/** A text in both languages; plain text counts for both. */
export function textOf(value: unknown, what: string): Text {
  if (typeof value === 'string') {
    const both = value.normalize('NFC');
    return { vi: both, en: both };
  }
  const from = shape.object(value, what);
  return { vi: shape.string(from, 'vi'), en: shape.string(from, 'en') };
}

export function alertOf(value: unknown): AlertRecord {
  const from = shape.object(value, 'alert');
  return {
    id: shape.string(from, 'id'),
    rev: shape.count(from, 'rev'),
    kind: shape.word(from, 'kind', CHANGES),
    state: shape.word(from, 'state', ALERT_STATES),
    rule: shape.string(from, 'rule'),
    severity: severityOf(from, 'severity'),
    field: shape.word(from, 'field', FIELDS),
    device: shape.string(from, 'device'),
    metric: shape.optionalString(from, 'metric'),
    area: shape.optionalString(from, 'area'),
    value: shape.optionalNumber(from, 'value'),
    limit: shape.optionalNumber(from, 'limit'),
    event_time: shape.time(from, 'event_time'),
    started_at: shape.time(from, 'started_at'),
    cleared_at: shape.optionalTime(from, 'cleared_at'),
    recorded_at: shape.time(from, 'recorded_at'),
    acknowledgement: shape.optional(from, 'acknowledgement', acknowledgementOf),
    late: from['late'] === true,
    text: textOf(from['text'], 'text'),
    rule_version: shape.optionalString(from, 'rule_version') ?? '',
    level: shape.optionalNumber(from, 'level') ?? 0,
    group: shape.optionalString(from, 'group') ?? '',
    latched: from['latched'] === true,
    chattering: from['chattering'] === true,
    drill: from['drill'] === true,
    shelving: shape.optional(from, 'shelving', shelvingOf),
    suppression: shape.optional(from, 'suppression', suppressionOf),
    out_of_service: shape.optionalString(from, 'out_of_service'),
    assignment: shape.optional(from, 'assignment', assignmentOf),
    notes: shape.optionalArray(from, 'notes').map(noteOf),
    closing: shape.optional(from, 'closing', closingOf),
    members: shape.optionalArray(from, 'members').map(String),
    attributes: attributesOf(from['attributes']),
  };
}

function acknowledgementOf(value: unknown): Acknowledgement {
  const from = shape.object(value, 'acknowledgement');
  return { ...signed(from), note: shape.optionalString(from, 'note') ?? '' };
}

/** Who and when. */
function signed(from: shape.Json): { by: string; at: number } {
  return { by: shape.string(from, 'by'), at: shape.time(from, 'at') };
}

function shelvingOf(value: unknown): Shelving {
  const from = shape.object(value, 'shelving');
  const [reason, until] = [shape.string(from, 'reason'), shape.time(from, 'until')];
  return { ...signed(from), reason, until, one_shot: from['one_shot'] === true };
}

function suppressionOf(value: unknown): Suppression {
  const from = shape.object(value, 'suppression');
  return {
    cause: shape.word(from, 'cause', EXPLANATIONS),
    at: shape.time(from, 'at'),
    until: shape.optionalTime(from, 'until'),
    alert: shape.optionalString(from, 'alert'),
    device: shape.optionalString(from, 'device'),
    entry: shape.optionalString(from, 'entry'),
    by: shape.optionalString(from, 'by'),
    reason: shape.optionalString(from, 'reason'),
  };
}

function assignmentOf(value: unknown): Assignment {
  const from = shape.object(value, 'assignment');
  return { ...signed(from), to: shape.string(from, 'to') };
}

export function noteOf(value: unknown): Note {
  const from = shape.object(value, 'note');
  return { ...signed(from), text: shape.string(from, 'text') };
}

function closingOf(value: unknown): Closing {
  const from = shape.object(value, 'closing');
  const cause = shape.word(from, 'cause', CAUSES);
  return { ...signed(from), cause, note: shape.optionalString(from, 'note') ?? '' };
}

/** Labels of another system, attributes of an event: texts by name. */
export function attributesOf(value: unknown): Record<string, string> {
  if (value === undefined || value === null) return {};
  const entries = Object.entries(shape.object(value, 'attributes'));
  return Object.fromEntries(entries.map(([name, each]) => [name, String(each).normalize('NFC')]));
}
