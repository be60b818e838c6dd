// Which field the tiles show: turns by itself, stands still for the worst, obeys a person. Pure.
import { FIELDS, type Field } from '../wire/nouns';

export type Tab = 'all' | Field;
/** In the order of the keys 0 to 5. */
export const TABS: readonly Tab[] = ['all', ...FIELDS];

/** How long a field is shown, milliseconds. */
export const TURN_MS = 30_000;
/** How long a new alert of severity 1 keeps its field on show, milliseconds. */
export const HOLD_MS = 300_000;

export interface Rotation {
  tab: Tab;
  pinned: boolean;
  /** Milliseconds UTC. */
  turn_at: number;
}

export function begin(now: number): Rotation {
  return { tab: 'all', pinned: false, turn_at: now + TURN_MS };
}

/** Time passes. */
export function advance(rotation: Rotation, now: number): Rotation {
  if (rotation.pinned || now < rotation.turn_at) return rotation;
  const next = TABS[(TABS.indexOf(rotation.tab) + 1) % TABS.length] ?? 'all';
  return { ...rotation, tab: next, turn_at: now + TURN_MS };
}

/** A person chose: it stays until the same choice is made again. */
export function choose(rotation: Rotation, tab: Tab, now: number): Rotation {
  const released = rotation.pinned && rotation.tab === tab;
  return { tab, pinned: !released, turn_at: now + TURN_MS };
}

/** A new alert of severity 1: its field is shown for a while, unless a person chose. */
export function hold(rotation: Rotation, field: Field, now: number): Rotation {
  if (rotation.pinned) return rotation;
  return { tab: field, pinned: false, turn_at: now + HOLD_MS };
}
