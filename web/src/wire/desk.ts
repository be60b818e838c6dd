// The desk's own log: what is decided or found about the whole centre rather than one alert.
import { stageNumber, type StageNumber } from './centre';
import { FIELDS, noteOf, textOf, type Field, type Note, type Text } from './nouns';
import * as shape from './shape';

/** Which alerts planned work or a taking out of service is about: all that is given must match. */
export interface Reach {
  rule?: string | undefined;
  device?: string | undefined;
  area?: string | undefined;
}

export interface Tally {
  of: string;
  count: number;
}

interface Entries {
  stage: { stage: StageNumber; reason: string };
  stage_advice: { stage: StageNumber; alerts: string[] };
  out_of_service: { reach: Reach; reason: string };
  work: { reach: Reach; from: number; until: number; reason: string };
  drill: { reason: string };
  flood: {
    desk: Field;
    started_at: number;
    ended_at: number | undefined;
    first_out: string;
    raised: number;
    peak: number;
    by_rule: Tally[];
    by_area: Tally[];
  };
  shift: {
    desk: Field | undefined;
    from: number;
    until: number;
    to: string;
    text: string;
    open: string[];
    shelved: string[];
    suppressed: string[];
    out_of_service: string[];
    raised: number;
    acknowledged: number;
  };
  hint: {
    rule: string;
    device: string;
    metric: string | undefined;
    raises: number;
    clear: number | undefined;
    for_ms: number | undefined;
    clear_for_ms: number | undefined;
    text: Text;
  };
}

export type EntryKind = keyof Entries;

/** One change of one entry, with the whole entry as it is after it. */
export interface DeskRecord<K extends EntryKind = EntryKind> {
  id: string;
  rev: number;
  /** Whether it still stands. */
  open: boolean;
  by: string;
  at: number;
  kind: K;
  entry: Entries[K];
}

/** A record of the asked kind; undefined for another one. */
export function deskRecordOf<K extends EntryKind>(value: unknown, kind: K): DeskRecord<K> | undefined {
  const from = shape.object(value, 'desk record');
  const entry = shape.object(from['entry'], 'entry');
  if (entry['kind'] !== kind) return undefined;
  return {
    id: shape.string(from, 'id'),
    rev: shape.count(from, 'rev'),
    open: shape.flag(from, 'open'),
    by: shape.string(from, 'by'),
    at: shape.time(from, 'at'),
    kind,
    entry: ENTRIES[kind](entry),
  };
}

const ENTRIES: { [K in EntryKind]: (from: shape.Json) => Entries[K] } = {
  stage: (from) => ({ stage: stageNumber(from, 'stage'), reason: shape.string(from, 'reason') }),
  stage_advice: (from) => ({ stage: stageNumber(from, 'stage'), alerts: ids(from, 'alerts') }),
  out_of_service: (from) => ({ reach: reachOf(from['reach']), reason: shape.string(from, 'reason') }),
  work: (from) => ({
    reach: reachOf(from['reach']),
    from: shape.time(from, 'from'),
    until: shape.time(from, 'until'),
    reason: shape.string(from, 'reason'),
  }),
  drill: (from) => ({ reason: shape.string(from, 'reason') }),
  flood: (from) => ({
    desk: shape.word(from, 'desk', FIELDS),
    started_at: shape.time(from, 'started_at'),
    ended_at: shape.optionalTime(from, 'ended_at'),
    first_out: shape.string(from, 'first_out'),
    raised: shape.count(from, 'raised'),
    peak: shape.count(from, 'peak'),
    by_rule: talliesOf(from, 'by_rule'),
    by_area: talliesOf(from, 'by_area'),
  }),
  shift: (from) => ({
    desk: shape.optional(from, 'desk', () => shape.word(from, 'desk', FIELDS)),
    from: shape.time(from, 'from'),
    until: shape.time(from, 'until'),
    to: shape.string(from, 'to'),
    text: shape.string(from, 'text'),
    open: ids(from, 'open'),
    shelved: ids(from, 'shelved'),
    suppressed: ids(from, 'suppressed'),
    out_of_service: ids(from, 'out_of_service'),
    raised: shape.count(from, 'raised'),
    acknowledged: shape.count(from, 'acknowledged'),
  }),
  hint: (from) => ({
    rule: shape.string(from, 'rule'),
    device: shape.string(from, 'device'),
    metric: shape.optionalString(from, 'metric'),
    raises: shape.count(from, 'raises'),
    clear: shape.optionalNumber(from, 'clear'),
    for_ms: shape.optionalNumber(from, 'for_ms'),
    clear_for_ms: shape.optionalNumber(from, 'clear_for_ms'),
    text: textOf(from['text'], 'text'),
  }),
};

function reachOf(value: unknown): Reach {
  const from = shape.object(value, 'reach');
  return {
    rule: shape.optionalString(from, 'rule'),
    device: shape.optionalString(from, 'device'),
    area: shape.optionalString(from, 'area'),
  };
}

function talliesOf(from: shape.Json, key: string): Tally[] {
  return shape.optionalArray(from, key).map((value) => {
    const each = shape.object(value, 'tally');
    return { of: shape.string(each, 'of'), count: shape.count(each, 'count') };
  });
}

/** Ids, whether they stand alone or in whole records. */
function ids(from: shape.Json, key: string): string[] {
  return shape
    .optionalArray(from, key)
    .map((each) => (typeof each === 'string' ? each : shape.string(shape.object(each, key), 'id')));
}

/** The desk as it would be handed over now. */
export interface Draft {
  from: number;
  open: string[];
  shelved: string[];
  suppressed: string[];
  out_of_service: string[];
  works: string[];
  notes: (Note & { alert: string | undefined })[];
}

export function draftOf(value: unknown): Draft {
  const from = shape.object(value, 'draft');
  return {
    from: shape.time(from, 'from'),
    open: ids(from, 'open'),
    shelved: ids(from, 'shelved'),
    suppressed: ids(from, 'suppressed'),
    out_of_service: ids(from, 'out_of_service'),
    works: ids(from, 'works'),
    notes: shape.optionalArray(from, 'notes').map((each) => {
      const note = shape.object(each, 'note');
      return { ...noteOf(note), alert: shape.optionalString(note, 'alert') };
    }),
  };
}
