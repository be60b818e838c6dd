// What became of an alert, one step after the other: who, when, why. Pure.
import type { AlertRecord, Change } from '../wire/nouns';

export interface Step {
  rev: number;
  change: Change;
  at: number;
  /** The person; undefined where the centre did it, or where the record does not say. */
  by: string | undefined;
  /** In their words. */
  words: string | undefined;
  /** To whom it was assigned. */
  to: string | undefined;
  until: number | undefined;
  record: AlertRecord;
}

/** The steps of a history, oldest first. */
export function stepsOf(history: readonly AlertRecord[]): Step[] {
  return [...history].sort((a, b) => a.rev - b.rev).map(stepOf);
}

function stepOf(record: AlertRecord): Step {
  const { rev, kind: change, recorded_at: at } = record;
  const nothing = { by: undefined, words: undefined, to: undefined, until: undefined };
  return { rev, change, at, record, ...nothing, ...saidOf(record) };
}

function saidOf(record: AlertRecord): Partial<Step> {
  const { acknowledgement, assignment, shelving, suppression, closing } = record;
  const note = record.notes.at(-1);
  switch (record.kind) {
    case 'acknowledged':
      return { by: acknowledgement?.by, words: acknowledgement?.note || undefined };
    case 'assigned':
      // An assignment that is taken back leaves nothing to say by whom.
      return { by: assignment?.by, to: assignment?.to };
    case 'noted':
      return { by: note?.by, words: note?.text };
    case 'shelved':
      return { by: shelving?.by, words: shelving?.reason, until: shelving?.until };
    case 'suppressed':
      return { by: suppression?.by, words: suppression?.reason, until: suppression?.until };
    case 'closed':
      return { by: closing?.by, words: closing?.note || undefined };
    default:
      return {};
  }
}
