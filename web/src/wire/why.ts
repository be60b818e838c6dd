// One alert with all that became of it, and why it fired.
import { deliveryOf, type Delivery } from './on_call';
import { alertOf, attributesOf, textOf, type AlertRecord, type Quality, type Text } from './nouns';
import { ruleTextOf, type RuleText } from './rules';
import * as shape from './shape';

export interface Story {
  alert: AlertRecord;
  /** Its records, oldest first. */
  history: AlertRecord[];
  deliveries: Delivery[];
}

export function storyOf(value: unknown): Story {
  const from = shape.object(value, 'story');
  return {
    alert: alertOf(from),
    history: shape.optionalArray(from, 'history').map(alertOf),
    deliveries: shape.optionalArray(from, 'deliveries').map(deliveryOf),
  };
}

export interface Point {
  at: number;
  value: number;
  quality: Quality;
}

/** The readings that led to an alert. */
export interface Readings {
  metric: string;
  unit: string;
  limit: number | undefined;
  from: number;
  to: number;
  points: Point[];
}

/** What changed near it in time and space. */
export interface Nearby {
  device: string;
  name: Text;
  metric: string;
  metric_name: Text;
  unit: string;
  distance_m: number;
  before: number | undefined;
  after: number | undefined;
  change: number | undefined;
}

export interface Happening {
  kind: string;
  device: string | undefined;
  at: number | undefined;
  /** What the reporter wrote. */
  text: string;
  attributes: Record<string, string>;
}

export interface Why {
  /** The rule as it was then. */
  rule: RuleText | undefined;
  readings: Readings | undefined;
  related: AlertRecord[];
  nearby: Nearby[];
  events: Happening[];
}

export function whyOf(value: unknown): Why {
  const from = shape.object(value, 'why');
  return {
    rule: shape.optional(from, 'rule', editionOf),
    readings: shape.optional(from, 'readings', readingsOf),
    related: shape.optionalArray(from, 'related').map(alertOf),
    nearby: shape.optionalArray(from, 'nearby').map(nearbyOf),
    events: shape.optionalArray(from, 'events').map(happeningOf),
  };
}

/** A rule with its version beside it or around it. */
function editionOf(value: unknown): RuleText {
  const from = shape.object(value, 'rule');
  return ruleTextOf(from['rule'] ?? from);
}

function readingsOf(value: unknown): Readings {
  const from = shape.object(value, 'readings');
  return {
    metric: shape.string(from, 'metric'),
    unit: shape.optionalString(from, 'unit') ?? '',
    limit: shape.optionalNumber(from, 'limit'),
    from: shape.time(from, 'from'),
    to: shape.time(from, 'to'),
    points: shape.array(from, 'items').map(pointOf),
  };
}

function pointOf(value: unknown): Point {
  const from = shape.object(value, 'reading');
  return {
    at: shape.time(from, 'event_time'),
    value: shape.number(from, 'value'),
    quality: qualityOf(from['quality']),
  };
}

/** A number, or its name. */
function qualityOf(value: unknown): Quality {
  if (value === 2 || value === 'bad') return 2;
  return value === 1 || value === 'suspect' ? 1 : 0;
}

function nearbyOf(value: unknown): Nearby {
  const from = shape.object(value, 'nearby');
  const metric = shape.string(from, 'metric');
  return {
    device: shape.string(from, 'device'),
    name: textOf(from['name'] ?? from['device'], 'name'),
    metric,
    metric_name: textOf(from['metric_name'] ?? metric, 'metric_name'),
    unit: shape.optionalString(from, 'unit') ?? '',
    distance_m: shape.optionalNumber(from, 'distance_m') ?? 0,
    before: shape.optionalNumber(from, 'before'),
    after: shape.optionalNumber(from, 'after'),
    change: shape.optionalNumber(from, 'change'),
  };
}

function happeningOf(value: unknown): Happening {
  const from = shape.object(value, 'event');
  return {
    kind: shape.optionalString(from, 'kind') ?? '',
    device: shape.optionalString(from, 'device'),
    at: shape.optionalTime(from, 'event_time'),
    text: shape.optionalString(from, 'text') ?? '',
    attributes: attributesOf(from['attributes']),
  };
}
