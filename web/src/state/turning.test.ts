// What turns by itself: the fields, the pages of the list, and orders on their way.
import { describe, expect, test } from 'vitest';
import { alertRecord, T0 } from '../testing/alerts';
import type { AlertRecord } from '../wire/nouns';
import { keyFor, orderId, settle, TELL_MS, withOrder, wordsOf, type Order } from './orders';
import { pageOf } from './pages';
import { advance, begin, choose, hold, HOLD_MS, TABS, TURN_MS, type Rotation } from './rotation';

describe('rotation', () => {
  test('every tab in turn, and round again', () => {
    let rotation = begin(0);
    const shown = [rotation.tab];
    for (let now = 1_000; now <= TABS.length * TURN_MS; now += 1_000) {
      rotation = advance(rotation, now);
      if (rotation.tab !== shown.at(-1)) shown.push(rotation.tab);
    }
    expect(shown).toEqual([...TABS, 'all']);
  });

  test('a choice stays until it is made again', () => {
    const chosen = choose(begin(0), 'transport', 5);
    expect(advance(chosen, 1e9)).toMatchObject({ tab: 'transport', pinned: true });
    const released = choose(chosen, 'transport', 10);
    expect(released.pinned).toBe(false);
    expect(advance(released, 10 + TURN_MS).tab).toBe('environment');
  });

  test('a new severity 1 holds its field for five minutes', () => {
    const held = hold(begin(0), 'security', 1_000);
    const at = (now: number): Rotation['tab'] => advance(held, now).tab;
    expect([at(1_000 + HOLD_MS - 1), at(1_000 + HOLD_MS)]).toEqual(['security', 'transport']);
  });

  test('but not against a person', () => {
    const chosen = choose(begin(0), 'transport', 5);
    expect(hold(chosen, 'security', 10)).toBe(chosen);
  });
});

describe('pages', () => {
  const critical = (id: string) => alertRecord({ id });
  const low = (id: string) => alertRecord({ id, severity: 4 });
  const ids = (rows: AlertRecord[]) => rows.map(({ id }) => id).join('');

  test('turn after turn shows everything, with severity 1 on every page', () => {
    const alerts = [critical('P'), ...'abcdefg'.split('').map(low)];
    const pages = [0, 1, 2, 3].map((turn) => pageOf(alerts, 4, turn));
    expect(pages.map(({ rows }) => ids(rows))).toEqual(['Pabc', 'Pdef', 'Pg', 'Pabc']);
    expect(pages[1]).toMatchObject({ index: 1, pages: 3, all: 8, next: 2 });
  });

  test('one that somebody has taken is not pinned', () => {
    const alerts = [alertRecord({ id: 'T', state: 'acknowledged' }), ...'abc'.split('').map(low)];
    expect(ids(pageOf(alerts, 2, 1).rows)).toBe('bc');
  });

  test('too many to pin take turns with one another; the rest is there by hand', () => {
    const alerts = [...'ABC'.split('').map(critical), ...'de'.split('').map(low)];
    const pages = [0, 1, 2].map((turn) => pageOf(alerts, 2, turn));
    expect(pages.map(({ rows }) => ids(rows))).toEqual(['AB', 'Cd', 'e']);
    expect(pages.map(({ next }) => next)).toEqual([1, 0, 0]);
  });

  test('no alerts is one empty page, and turning back wraps', () => {
    expect(pageOf([], 5, 3)).toEqual({ rows: [], index: 0, pages: 1, all: 0, next: 0 });
    expect(pageOf('abc'.split('').map(low), 2, -1).index).toBe(1);
  });
});

describe('orders', () => {
  const sending: Order = { phase: 'sending', rev: 1, key: 'k', words: '' };
  const one = orderId('a', 'acknowledge');
  const orders = withOrder(new Map(), one, sending);
  const left = (record: AlertRecord | undefined, now = T0) => settle(orders, () => record, now).size;

  test('stay until a newer rev is in the log', () => {
    expect(left(alertRecord({ rev: 1 }))).toBe(1);
    expect(left(alertRecord({ rev: 2 }))).toBe(0);
    expect(left(undefined)).toBe(0);
  });

  test('a refusal is told for a while, whatever the log says', () => {
    const refused = withOrder(new Map(), one, {
      phase: 'refused',
      rev: 1,
      current: undefined,
      text: undefined,
      until: T0 + TELL_MS,
    });
    expect(settle(refused, () => alertRecord({ rev: 2 }), T0).size).toBe(1);
    expect(settle(refused, () => alertRecord({ rev: 1 }), T0 + TELL_MS).size).toBe(0);
  });

  test('one that does not depend on a revision waits for its own answer', () => {
    const note = withOrder(new Map(), orderId('a', 'note'), { ...sending, rev: Infinity });
    expect(settle(note, () => alertRecord({ rev: 9 }), T0).size).toBe(1);
  });

  test('a failed try is repeated under its own key; another body or revision is another order', () => {
    const wanted = { alert: 'a', act: 'close', body: { cause: 'planned' }, rev: 1 };
    const failed: Order = { phase: 'failed', rev: 1, key: 'k', words: wordsOf(wanted) };
    const key = (more: object) => keyFor(failed, wordsOf({ ...wanted, ...more }), () => 'new');
    expect([key({}), key({ rev: 2 }), key({ body: { cause: 'resolved' } })]).toEqual(['k', 'new', 'new']);
    expect(keyFor(undefined, wordsOf(wanted), () => 'new')).toBe('new');
  });
});
