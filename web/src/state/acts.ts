// What a person can do to an alert as it stands. Pure; the server has the last word.
import type { AlertRecord } from '../wire/nouns';
import { isOpen, isUnacknowledged } from './alerts';

export const ACTS = [
  'acknowledge',
  'assign',
  'note',
  'shelve',
  'unshelve',
  'suppress',
  'unsuppress',
  'reset',
  'close',
] as const;
export type Act = (typeof ACTS)[number];

/** The acts that make sense now, in the order of the buttons. */
export function actsOn(alert: AlertRecord): Act[] {
  if (!isOpen(alert)) return [];
  const can: Record<Act, boolean> = {
    acknowledge: isUnacknowledged(alert),
    assign: true,
    note: true,
    shelve: alert.shelving === undefined,
    unshelve: alert.shelving !== undefined,
    suppress: alert.suppression === undefined,
    // What other alerts or planned work explain comes back by itself.
    unsuppress: alert.suppression?.cause === 'person',
    reset: alert.state === 'latched',
    close: true,
  };
  return ACTS.filter((act) => can[act]);
}

/** Acts that another person's deed could have overtaken: they go with the revision that was seen. */
export function needsRevision(act: Act): boolean {
  return act !== 'note';
}
