// What the screen keeps of the live protocol: the chain, (id, rev) once, and what was missed.
import { beforeEach, describe, expect, test } from 'vitest';
import { alertRecord, T0 } from '../testing/alerts';
import { alertFrame, EPOCH, snapshot, welcome } from '../testing/world';
import { parseFrame } from '../wire/frames';
import type { Verdict } from '../wire/link';
import type { AlertRecord } from '../wire/nouns';
import { Fold } from './fold';

let raised: string[];
let fold: Fold;

const make = (away_since: number | null = null) =>
  new Fold({ raised: (record) => void raised.push(record.id) }, away_since);

beforeEach(() => {
  raised = [];
  fold = make();
});

function hear(...frames: object[]): Verdict {
  let verdict: Verdict = 'go_on';
  for (const frame of frames) verdict = fold.apply(parseFrame(JSON.stringify(frame)));
  return verdict;
}

const LIVE = { type: 'live' };
const one = alertRecord({ id: 'one' });
const ended = (record: AlertRecord, rev = 2) =>
  alertRecord({ ...record, rev, kind: 'cleared', state: 'normal', cleared_at: T0 + 60_000 });

function start(as_of = 10, items: AlertRecord[] = []): void {
  fold.opened();
  hear(welcome({ head: as_of }), snapshot(as_of, items), LIVE);
}

function resume(...frames: object[]): Verdict {
  fold.opened();
  return hear(welcome({ mode: 'resume' }), ...frames, LIVE);
}

describe('the chain', () => {
  test('without a fold there is nothing to resume from', () => {
    expect(fold.position()).toBeNull();
    start(10);
    expect(fold.position()).toEqual({ epoch: EPOCH, seq: 10 });
  });

  test('alerts and skips move the place on', () => {
    start(10);
    expect(hear(alertFrame(10, one), { type: 'skip', prev: 11, to: 15 })).toBe('go_on');
    expect(fold.position()?.seq).toBe(15);
  });

  test.each([
    ['an alert', alertFrame(11, one)],
    ['a skip', { type: 'skip', prev: 12, to: 15 }],
    ['an alert told twice', alertFrame(9, one)],
    ['a seq that does not grow', { ...alertFrame(10, one), seq: 10 }],
  ])('%s with a gap before it asks to resume, and is not taken', (_, frame) => {
    start(10);
    expect(hear(frame)).toBe('resume');
    expect(fold.position()?.seq).toBe(10);
    expect(fold.book.open()).toEqual([]);
  });

  test('a snapshot counts only when all of its parts are here', () => {
    fold.opened();
    const part = (part: number, id: string) => ({
      ...snapshot(10, [alertRecord({ id })]),
      part,
      n: 2,
    });
    hear(welcome(), part(1, 'a'));
    expect(fold.position()).toBeNull();
    hear(part(2, 'b'), LIVE);
    expect(fold.position()?.seq).toBe(10);
    expect(fold.book.open().map(({ id }) => id)).toEqual(['a', 'b']);
  });

  test('a part out of order, or live before the snapshot, starts over', () => {
    fold.opened();
    expect(hear(welcome(), { ...snapshot(10), part: 2, n: 2 })).toBe('resume');
    expect(fold.position()).toBeNull();
    fold.opened();
    expect(hear(welcome(), LIVE)).toBe('resume');
  });

  test('a resume of another epoch is not believed', () => {
    start(10);
    fold.opened();
    expect(hear(welcome({ mode: 'resume', epoch: 'other' }))).toBe('resume');
    expect(fold.position()).toBeNull();
  });

  test('a half snapshot of a lost connection leaves no trace', () => {
    start(10, [one]);
    fold.opened();
    hear(welcome(), { ...snapshot(20, [alertRecord({ id: 'two' })]), n: 2 });
    fold.opened();
    hear(welcome(), snapshot(30, [alertRecord({ id: 'three' })]), LIVE);
    expect(fold.book.open().map(({ id }) => id)).toEqual(['three']);
  });
});

describe('the fold', () => {
  test('(id, rev) is applied once, and a lower rev never', () => {
    start(10);
    const taken = alertRecord({ ...one, rev: 2, kind: 'acknowledged', state: 'acknowledged' });
    hear(alertFrame(10, one), alertFrame(11, taken), alertFrame(12, taken), alertFrame(13, one));
    expect(fold.book.get('one')?.state).toBe('acknowledged');
    expect(raised).toEqual(['one']);
    expect(fold.position()?.seq).toBe(14);
  });

  test('resume gives what a snapshot would', () => {
    const two = alertRecord({ id: 'two', severity: 3 });
    start(10, [one]);
    resume(alertFrame(10, two), alertFrame(11, ended(one)));
    const resumed = fold.book.open();
    fold = make();
    start(12, [two, ended(one)]);
    expect(resumed).toEqual(fold.book.open());
  });

  test('another epoch is another log: its revs start anew', () => {
    start(10, [alertRecord({ ...one, rev: 5, state: 'acknowledged' })]);
    fold.opened();
    hear(welcome({ epoch: 'other' }), { ...snapshot(1, [one]), epoch: 'other' }, LIVE);
    expect(fold.book.get('one')).toMatchObject({ rev: 1, state: 'unacknowledged' });
  });
});

describe('what was missed', () => {
  const two = alertRecord({ id: 'two', started_at: T0 + 1 });

  test('an episode that began and ended during a resume', () => {
    start(10);
    resume(alertFrame(10, one), alertFrame(11, ended(one)), alertFrame(12, two));
    expect(fold.missed.map(({ id }) => id)).toEqual(['one']);
    expect(fold.book.open().map(({ id }) => id)).toEqual(['two']);
    expect(raised).toEqual(['one', 'two']);
  });

  test('one that is over but that nobody has taken is missed and open', () => {
    start(10);
    const over = alertRecord({ ...ended(one), state: 'returned_unacknowledged' });
    resume(alertFrame(10, one), alertFrame(11, over));
    expect(fold.missed.map(({ id }) => id)).toEqual(['one']);
    expect(fold.book.open().map(({ id }) => id)).toEqual(['one']);
  });

  test('one that was on the glass before is not missed', () => {
    start(10, [one]);
    resume(alertFrame(10, ended(one)));
    expect(fold.missed).toEqual([]);
  });

  test('by snapshot as by resume', () => {
    start(10);
    fold.opened();
    hear(welcome(), snapshot(500, [ended(one), two]), LIVE);
    expect(fold.missed.map(({ id }) => id)).toEqual(['one']);
  });

  test('nothing at the first start; over a reload only what began since', () => {
    start(10, [ended(one)]);
    expect([fold.missed, raised]).toEqual([[], []]);
    fold = make(T0);
    start(10, [ended(one), ended(two)]);
    expect(fold.missed.map(({ id }) => id)).toEqual(['two']);
  });

  test('while live nothing is missed', () => {
    start(10);
    hear(alertFrame(10, one), alertFrame(11, ended(one)));
    resume();
    expect(fold.missed).toEqual([]);
  });
});

describe('heartbeats', () => {
  const beat = (head: number) => ({ type: 'heartbeat', head, now: '2026-11-23T14:02:10+07:00' });

  test('behind for two heartbeats asks to resume', () => {
    start(10);
    expect([hear(beat(11)), hear(beat(11))]).toEqual(['go_on', 'resume']);
  });

  test('behind is told from a heartbeat on until the last record of it is here', () => {
    expect(fold.behind).toBe(true);
    start(10);
    expect(fold.behind).toBe(false);
    hear(beat(12));
    expect(fold.behind).toBe(true);
    hear(alertFrame(10, one));
    expect(fold.behind).toBe(true);
    hear({ type: 'skip', prev: 11, to: 12 });
    expect(fold.behind).toBe(false);
  });

  test('the head of another connection is not the head of this one', () => {
    start(10);
    hear(beat(99));
    start(11);
    expect(fold.behind).toBe(false);
  });

  test('catching up in between does not', () => {
    start(10);
    expect(hear(beat(12), alertFrame(10, one), beat(13))).toBe('go_on');
    expect(hear({ type: 'skip', prev: 11, to: 13 }, beat(13), beat(13))).toBe('go_on');
  });
});

describe('what is put aside', () => {
  const shelving = { by: 'Lan', at: T0, reason: 'sửa', until: T0, one_shot: false };

  test('calls nobody; back on the list it is news again', () => {
    start();
    hear(alertFrame(10, { ...one, shelving }));
    expect(raised).toEqual([]);
    hear(alertFrame(11, { ...one, rev: 2, kind: 'noted', shelving }));
    hear(alertFrame(12, { ...one, rev: 3, kind: 'unshelved' }));
    hear(alertFrame(13, { ...one, rev: 4, kind: 'noted' }));
    expect(raised).toEqual(['one']);
  });

  test('is not told as missed, nor what came back only to end', () => {
    start();
    resume(alertFrame(10, { ...one, shelving }), alertFrame(11, { ...ended(one), shelving }));
    expect([fold.missed, raised]).toEqual([[], []]);
  });

  test('in a snapshot after a pause calls nobody', () => {
    start();
    fold.opened();
    hear(welcome({ head: 20 }), snapshot(20, [{ ...one, shelving }, alertRecord({ id: 'two' })]), LIVE);
    expect(raised).toEqual(['two']);
  });
});
