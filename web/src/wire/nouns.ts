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
  'normal',
] as const;
export type AlertState = (typeof ALERT_STATES)[number];

export const CHANGES = ['raised', 'acknowledged', 'cleared', 'superseded'] as const;
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
}

export interface Acknowledgement {
  by: string;
  at: number;
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
    acknowledgement: acknowledgementOf(from['acknowledgement']),
    late: from['late'] === true,
    text: textOf(from['text'], 'text'),
  };
}

function acknowledgementOf(value: unknown): Acknowledgement | undefined {
  if (value === undefined || value === null) return undefined;
  const from = shape.object(value, 'acknowledgement');
  return {
    by: shape.string(from, 'by'),
    at: shape.time(from, 'at'),
    note: shape.optionalString(from, 'note') ?? '',
  };
}
