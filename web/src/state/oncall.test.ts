// The phone: an acknowledgement is kept until the server has it, and is done when the log has it.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { alertRecord, T0 } from '../testing/alerts';
import { alertFrame, onWire, World, type Answer } from '../testing/world';
import type { AlertRecord } from '../wire/nouns';
import type { OnCallState } from './oncall.svelte';

let world: World;
let phone: OnCallState;
let listed: AlertRecord[];
let acknowledging: () => Answer;
const one = alertRecord({ id: 'one' });
const acknowledgement = { by: 'Nguyễn Thị Lan', at: T0, note: '' };
const taken: AlertRecord = { ...one, rev: 2, kind: 'acknowledged', state: 'acknowledged', acknowledgement };
const ROSTER = { people: [{ id: 'lan', name: 'Nguyễn Thị Lan', channels: [] }], teams: [], entries: [] };

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  world = new World();
  listed = [one];
  acknowledging = () => ({ status: 200, body: onWire(taken) });
  world.answer = (url, init) => {
    if (init.method === 'POST') return acknowledging();
    if (url.endsWith('/oncall')) return { status: 200, body: ROSTER };
    if (url.includes('/people/lan/alerts')) return { status: 200, body: { items: listed.map(onWire) } };
    return { status: 200, body: { items: [], features: [] } };
  };
  world.kept.set('sen.oncall.person', 'lan');
  phone = world.openPhone();
});
afterEach(() => {
  phone.stop();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 500) {
    world.elapsed_ms += Math.min(left, 500);
    await vi.advanceTimersByTimeAsync(Math.min(left, 500));
  }
}

async function begin(live = true): Promise<void> {
  phone.start();
  if (live) world.goLive([one]);
  await pass(1_000);
}

const phase = () => phone.orders.of('one', 'acknowledge')?.phase;

describe('taking an alert', () => {
  test('is done only when the log has it', async () => {
    await begin();
    phone.take(phone.mine[0]!);
    await pass(1_000);
    expect([phase(), phone.isPending('one'), phone.mine[0]?.state]).toEqual(['accepted', true, 'unacknowledged']);
    world.socket.say(alertFrame(10, taken));
    await pass(1_000);
    expect([phase(), phone.isPending('one'), phone.mine[0]?.state]).toEqual([undefined, false, 'acknowledged']);
    const [order] = world.orders();
    expect([order?.body, order?.rev]).toEqual([{ by: 'Nguyễn Thị Lan', note: '' }, undefined]);
  });

  test('goes on by itself while nobody answers, under one key', async () => {
    await begin();
    acknowledging = () => ({ status: 0, body: {} });
    phone.take(one);
    await pass(10_000);
    expect([phase(), phone.isPending('one')]).toEqual(['failed', true]);
    const tries = world.orders();
    expect(tries.length).toBeGreaterThan(2);
    expect(new Set(tries.map(({ key }) => key)).size).toBe(1);
    acknowledging = () => ({ status: 200, body: onWire(taken) });
    await pass(16_000);
    expect(phase()).toBe('accepted');
    world.socket.say(alertFrame(10, taken));
    await pass(500);
    expect(phone.isPending('one')).toBe(false);
  });

  test('survives a reload of the page, with its key', async () => {
    await begin();
    acknowledging = () => ({ status: 503, body: {} });
    phone.take(one);
    await pass(1_000);
    const [first] = world.orders();
    phone.stop();
    phone = world.openPhone();
    acknowledging = () => ({ status: 200, body: onWire(taken) });
    await begin();
    const last = world.orders().at(-1);
    expect([last?.key, last?.body]).toEqual([first?.key, first?.body]);
  });

  test('a list that was asked for will do where there is no live line', async () => {
    await begin(false);
    phone.take(phone.mine[0]!);
    await pass(500);
    expect(phone.isPending('one')).toBe(true);
    listed = [taken];
    await pass(31_000);
    expect([phone.isPending('one'), phone.mine[0]?.state]).toEqual([false, 'acknowledged']);
  });

  test('that somebody else took first is told, and not tried again', async () => {
    await begin();
    const current = { ...taken, acknowledgement: { by: 'Hùng', at: T0, note: '' } };
    acknowledging = () => ({ status: 409, body: { current: onWire(current) } });
    phone.take(one);
    await pass(5_000);
    expect(phone.orders.of('one', 'acknowledge')).toMatchObject({ phase: 'refused', current: { acknowledgement: { by: 'Hùng' } } });
    expect([phone.isPending('one'), world.orders().length]).toEqual([false, 1]);
  });
});

describe('my alerts', () => {
  test('are those I was called about; what is over and taken by me stays for a while', async () => {
    await begin();
    const over: AlertRecord = { ...taken, state: 'normal', cleared_at: T0 };
    acknowledging = () => ({ status: 200, body: onWire(over) });
    phone.take(one);
    listed = [];
    await pass(1_000);
    world.socket.say(alertFrame(10, over));
    await pass(2_000);
    expect(phone.mine.map(({ id }) => id)).toEqual(['one']);
    await pass(70_000);
    expect(phone.mine).toEqual([]);
  });

  test('are asked for again soon after anything changed', async () => {
    await begin();
    const two = alertRecord({ id: 'two' });
    listed = [one, two];
    world.socket.say(alertFrame(10, two));
    await pass(2_500);
    expect(phone.mine.map(({ id }) => id).sort()).toEqual(['one', 'two']);
  });

  test('of another person are others', async () => {
    await begin();
    phone.choose('hung');
    await pass(500);
    expect([phone.mine, world.kept.get('sen.oncall.person')]).toEqual([[], 'hung']);
  });
});

describe('the list', () => {
  const asked = () => world.requests.filter(({ url }) => url.includes('/people/lan/alerts')).length;

  test('has within five seconds what a person is called about, seen or not within thirty', async () => {
    await begin();
    listed = [one, alertRecord({ id: 'two' })];
    await pass(6_000);
    expect(phone.mine.map(({ id }) => id)).toEqual(['one', 'two']);
    world.is_visible = false;
    await pass(5_000);
    const before = asked();
    await pass(25_000);
    expect(asked() - before).toBeLessThanOrEqual(1);
    world.is_visible = true;
    phone.hurry();
    await pass(20_000);
    expect(asked() - before).toBeGreaterThanOrEqual(4);
  });
});
