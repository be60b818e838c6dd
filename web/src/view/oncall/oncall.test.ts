// The phone as it stands in the document.
import { flushSync, mount, unmount } from 'svelte';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { OnCallState } from '../../state/oncall.svelte';
import { alertRecord, T0 } from '../../testing/alerts';
import { alertFrame, onWire, World, type Answer } from '../../testing/world';
import type { AlertRecord } from '../../wire/nouns';
import OnCall from './OnCall.svelte';

const one = alertRecord({ id: 'one' });
const RULE = {
  id: one.rule,
  name: { vi: 'Báo động III Mỹ Tho', en: 'III' },
  field: 'environment',
  severity: 1,
  response: { steps: [{ vi: 'Báo ngay lãnh đạo trực', en: 'Tell' }], consequence: { vi: 'Ngập', en: 'Floods' }, within_ms: 900_000 },
};
const ROSTER = { people: [{ id: 'lan', name: 'Lan', channels: [] }, { id: 'hung', name: 'Hùng', channels: [] }], teams: [], entries: [] };
const acknowledgement = { by: 'Lan', at: T0, note: '' };
const taken: AlertRecord = { ...one, rev: 2, kind: 'acknowledged', state: 'acknowledged', acknowledgement };

let world: World;
let page: Record<string, unknown>;
let command: () => Answer;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  world = new World();
  command = () => ({ status: 200, body: onWire(taken) });
  world.answer = (url, init) => {
    if (init.method === 'POST') return command();
    if (url.endsWith('/oncall')) return { status: 200, body: ROSTER };
    if (url.includes('/rules')) return { status: 200, body: { items: [RULE] } };
    if (url.includes('/people/lan/alerts')) return { status: 200, body: { items: [onWire(one)] } };
    return { status: 200, body: { items: [], features: [] } };
  };
});
afterEach(async () => {
  await unmount(page);
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 500) {
    world.elapsed_ms += Math.min(left, 500);
    await vi.advanceTimersByTimeAsync(Math.min(left, 500));
  }
  flushSync();
}

async function open(person = 'lan'): Promise<void> {
  if (person) world.kept.set('sen.oncall.person', person);
  const phone: OnCallState = world.openPhone();
  page = mount(OnCall, { target: document.body, props: { state: phone } });
  flushSync();
  world.goLive([one]);
  await pass(1_000);
}

const find = (id: string) => document.querySelector<HTMLElement>(`[data-testid="${id}"]`);
const text = (id: string) => find(id)?.textContent?.replace(/\s+/g, ' ').trim() ?? '';

test('whose phone it is is asked once', async () => {
  await open('');
  expect(text('person-choice')).toContain('Chưa có đăng nhập');
  find('person-hung')!.click();
  await pass(1_000);
  expect([find('person-choice'), text('person'), text('mine-none')]).toEqual([null, 'Hùng', 'Không có cảnh báo nào đang chờ bạn.']);
  expect(world.kept.get('sen.oncall.person')).toBe('hung');
});

test('an alert says what, where, since when, how long, and what to do', async () => {
  await open();
  for (const part of ['Báo động III Mỹ Tho', 'Khẩn cấp', '1,62 / 1,6', 'Còn 14 phút', 'Báo ngay lãnh đạo trực', 'Ngập', 'XÁC NHẬN']) {
    expect(text('card-one')).toContain(part);
  }
});

test('“đã nhận” stands there only when the log has it', async () => {
  await open();
  find('take-one')!.click();
  flushSync();
  expect(text('card-one')).toContain('Đang gửi…');
  await pass(1_000);
  expect([find('card-one')!.dataset['phase'], find('taken-one')]).toEqual(['accepted', null]);
  world.socket.say(alertFrame(10, taken));
  await pass(500);
  expect(text('taken-one')).toContain('đã nhận 14:00');
});

test('what is not sent says so, plainly, and is tried again', async () => {
  await open();
  command = () => ({ status: 0, body: {} });
  find('take-one')!.click();
  await pass(500);
  expect([find('card-one')!.dataset['phase'], find('taken-one')]).toEqual(['waiting', null]);
  expect(text('not-sent-one')).toContain('CHƯA GỬI ĐƯỢC');
  command = () => ({ status: 200, body: onWire(taken) });
  await pass(16_000);
  world.socket.say(alertFrame(10, taken));
  await pass(500);
  expect(text('taken-one')).toContain('đã nhận');
});

test('that somebody else has it is said with their name', async () => {
  await open();
  world.socket.say(alertFrame(10, { ...taken, acknowledgement: { ...acknowledgement, by: 'Hùng' } }));
  await pass(500);
  expect([text('taken-one'), find('take-one')]).toEqual(['✓ Hùng đã nhận lúc 14:00', null]);
});

test('why push is impossible is said', async () => {
  await open();
  expect(find('push')!.dataset['state']).toMatch(/insecure|unsupported/);
  expect(text('push')).toMatch(/thông báo đẩy/);
});
