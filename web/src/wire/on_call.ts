// Who is on call when, and what was delivered to whom.
import { textOf, type Text } from './nouns';
import * as shape from './shape';

export const DELIVERY_STATES = ['waiting', 'delivered', 'failed', 'acknowledged', 'cancelled'] as const;

/** One message to one person over one channel. */
export interface Delivery {
  id: string;
  rev: number;
  alert: string;
  /** By which step of the escalation, from 1. */
  step: number;
  person: string;
  channel: string;
  state: (typeof DELIVERY_STATES)[number];
  attempts: number;
  at: number;
  /** What the last try came to; may be empty. */
  detail: string;
}

export function deliveryOf(value: unknown): Delivery {
  const from = shape.object(value, 'delivery');
  return {
    id: shape.string(from, 'id'),
    rev: shape.count(from, 'rev'),
    alert: shape.string(from, 'alert'),
    step: shape.count(from, 'step'),
    person: shape.string(from, 'person'),
    channel: shape.string(from, 'channel'),
    state: shape.word(from, 'state', DELIVERY_STATES),
    attempts: shape.count(from, 'attempts'),
    at: shape.time(from, 'at'),
    detail: shape.optionalString(from, 'detail') ?? '',
  };
}

export interface Person {
  id: string;
  name: string;
  channels: string[];
}

export interface Turn {
  person: string;
  from: number;
  until: number;
  stands_in: boolean;
}

export interface Team {
  id: string;
  name: Text;
  /** The present turn and the next ones, in order. */
  turns: Turn[];
}

/** An override (with a team) or an absence that stands. */
export interface RosterEntry {
  id: string;
  by: string;
  kind: 'override' | 'absence';
  team: string | undefined;
  person: string;
  from: number;
  until: number;
  reason: string;
}

export interface Roster {
  people: Person[];
  teams: Team[];
  entries: RosterEntry[];
}

export function rosterOf(value: unknown): Roster {
  const from = shape.object(value, 'roster');
  return {
    people: shape.array(from, 'people').map(personOf),
    teams: shape.array(from, 'teams').map(teamOf),
    entries: shape.optionalArray(from, 'entries').flatMap(entryOf),
  };
}

function personOf(value: unknown): Person {
  const from = shape.object(value, 'person');
  return {
    id: shape.string(from, 'id'),
    name: shape.string(from, 'name'),
    channels: shape.optionalArray(from, 'channels').map(String),
  };
}

function teamOf(value: unknown): Team {
  const from = shape.object(value, 'team');
  return {
    id: shape.string(from, 'id'),
    name: textOf(from['name'], 'name'),
    turns: shape.optionalArray(from, 'turns').map(turnOf),
  };
}

function turnOf(value: unknown): Turn {
  const from = shape.object(value, 'turn');
  return {
    person: shape.string(from, 'person'),
    from: shape.time(from, 'from'),
    until: shape.time(from, 'until'),
    stands_in: from['stands_in'] === true,
  };
}

/** Kinds of entry that this screen does not know are left out. */
function entryOf(value: unknown): RosterEntry[] {
  const record = shape.object(value, 'on-call record');
  const from = shape.object(record['entry'], 'entry');
  const kind = (['override', 'absence'] as const).find((each) => each === from['kind']);
  if (kind === undefined) return [];
  return [
    {
      id: shape.string(record, 'id'),
      by: shape.string(record, 'by'),
      kind,
      team: shape.optionalString(from, 'team'),
      person: shape.string(from, 'person'),
      from: shape.time(from, 'from'),
      until: shape.time(from, 'until'),
      reason: shape.optionalString(from, 'reason') ?? '',
    },
  ];
}
