// The desk's state: commands are done when the log has them, and not before; floods of words aside.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { alertRecord, T0 } from '../testing/alerts';
import { alertFrame, onWire, World } from '../testing/world';
import type { DeskState } from './desk.svelte';
import { NO_FILTER } from './filter';

let world: World;
let desk: DeskState;
const one = alertRecord({ id: 'one' });
const shelving = { by: 'Lan', at: T0, reason: 'Đang sửa', until: T0 + 60_000, one_shot: false };
const SHELVE = { reason: 'Đang sửa', until: '2026-11-23T15:00:00+07:00', one_shot: false };

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  world = new World();
  desk = world.openDesk();
  desk.start();
  world.goLive([one]);
});
afterEach(() => {
  desk.stop();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const phase = (act: string) => desk.orders.of('one', act)?.phase;
const shelved = { ...one, rev: 2, kind: 'shelved' as const, shelving };

describe('a command', () => {
  test('is done when its record is back, and the alert moves to its list', async () => {
    world.answer = () => ({ status: 200, body: onWire(shelved) });
    const outcome = desk.act(one, 'shelve', SHELVE);
    await vi.waitFor(() => expect(phase('shelve')).toBe('accepted'));
    expect([desk.open.length, desk.aside('shelved').length]).toEqual([1, 0]);
    world.socket.say(alertFrame(10, shelved));
    expect(await outcome).toBe('done');
    expect([desk.open.length, desk.aside('shelved').length, phase('shelve')]).toEqual([0, 1, undefined]);
    expect(world.orders()).toEqual([
      { url: '/api/v1/alerts/one/shelve', key: expect.any(String) as string, rev: '"1"', body: { by: 'Lan', ...SHELVE } },
    ]);
  });

  test('whose record came before the answer is done, too', async () => {
    world.answer = () => {
      world.socket.say(alertFrame(10, shelved));
      return { status: 200, body: onWire(shelved) };
    };
    expect(await desk.act(one, 'shelve', SHELVE)).toBe('done');
  });

  test('is not taken for done because something else happened meanwhile', async () => {
    world.answer = () => ({ status: 200, body: onWire({ ...one, rev: 3, kind: 'noted' }) });
    let done = false;
    void desk.act(one, 'note', { text: 'x' }).then(() => (done = true));
    await vi.waitFor(() => expect(phase('note')).toBe('accepted'));
    world.socket.say(alertFrame(10, { ...one, rev: 2, kind: 'updated', value: 1.7 }));
    await vi.advanceTimersByTimeAsync(0);
    expect([done, phase('note')]).toEqual([false, 'accepted']);
    world.socket.say(alertFrame(11, { ...one, rev: 3, kind: 'noted' }));
    await vi.waitFor(() => expect(done).toBe(true));
  });

  test('that nobody answered is repeated under its own key; another one is another act', async () => {
    world.answer = () => ({ status: 0, body: {} });
    expect(await desk.act(one, 'note', { text: 'x' })).toBe('failed');
    expect(await desk.act(one, 'note', { text: 'x' })).toBe('failed');
    expect(await desk.act(one, 'note', { text: 'y' })).toBe('failed');
    const keys = world.orders().map(({ key }) => key);
    expect(keys[1]).toBe(keys[0]);
    expect(keys[2]).not.toBe(keys[0]);
    desk.orders.dismiss('one', 'note');
    expect(phase('note')).toBeUndefined();
  });

  test('that was refused says why, in both languages, or who was first', async () => {
    const text = { vi: 'Điều kiện vẫn còn.', en: 'The condition holds.' };
    world.answer = () => ({ status: 409, body: { title: 'refused', text } });
    expect(await desk.act(one, 'close', { cause: 'resolved', note: '' })).toBe('refused');
    expect(desk.orders.of('one', 'close')).toMatchObject({ text, current: undefined });
    const acknowledgement = { by: 'Hùng', at: T0, note: '' };
    world.answer = () => ({ status: 409, body: { current: onWire({ ...one, rev: 2, state: 'acknowledged', acknowledgement }) } });
    await desk.act(one, 'acknowledge', { note: '' });
    expect(desk.orders.of('one', 'acknowledge')).toMatchObject({ current: { acknowledgement: { by: 'Hùng' } } });
  });
});

test('what is back from the shelf is on the list again, and critical is critical', () => {
  world.socket.say(alertFrame(10, shelved));
  expect(desk.counts[1].open).toBe(0);
  world.socket.say(alertFrame(11, { ...one, rev: 3, kind: 'unshelved' }));
  expect([desk.counts[1].open, desk.aside('shelved').length]).toEqual([1, 0]);
});

test('a form that is sent again is the same order; its answer is the proof', async () => {
  const post = desk.newPost();
  const order = { by: 'Lan', stage: 3 as const, reason: 'Bão' };
  world.answer = () => ({ status: 503, body: {} });
  expect(await post.send(order, (what, key) => desk.api.setStage(what, key))).toBeUndefined();
  expect(post.phase).toBe('failed');
  world.answer = () => ({ status: 200, body: { id: 'stage' } });
  expect(await post.send(order, (what, key) => desk.api.setStage(what, key))).toEqual({ id: 'stage' });
  expect(post.phase).toBe('done');
  await post.send(order, (what, key) => desk.api.setStage(what, key));
  const keys = world.orders().map(({ key }) => key);
  expect([keys[0] === keys[1], keys[1] === keys[2]]).toEqual([true, false]);
  world.answer = () => ({ status: 409, body: { text: { vi: 'Không', en: 'No' } } });
  await post.send(order, (what, key) => desk.api.setStage(what, key));
  expect([post.phase, post.text?.vi]).toEqual(['refused', 'Không']);
});

test('the way through the desk is in the address, and the list is as it was left', () => {
  desk.narrow({ ...NO_FILTER, list: 'shelved', search: 'mặn' });
  desk.go({ page: 'alert', id: 'one' });
  expect([world.address, desk.place.page]).toEqual(['/desk/alerts/one', 'alert']);
  expect(desk.list.filter.search).toBe('mặn');
  world.address = '/desk/stage';
  desk.arrived();
  expect(desk.place).toEqual({ page: 'stage' });
});

test('the name is kept, cut to what the server takes', () => {
  desk.callMe(`  ${'Lan'.repeat(60)} `);
  expect(desk.by).toHaveLength(64);
  expect(world.kept.get('name')).toBe(desk.by);
});
