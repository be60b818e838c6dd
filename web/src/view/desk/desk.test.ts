// The desk as it stands in the document: what people read, press and type.
import { flushSync, mount, unmount } from 'svelte';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { DeskState } from '../../state/desk.svelte';
import { alertRecord, T0 } from '../../testing/alerts';
import { alertFrame, onWire, World, type Answer } from '../../testing/world';
import type { AlertRecord } from '../../wire/nouns';
import { speak } from '../../words/language.svelte';
import Desk from './Desk.svelte';

// There is no canvas here; the chart is tried in a real browser.
vi.mock('../trend', () => ({
  TrendChart: class {
    show() {}
    resize() {}
    close() {}
  },
}));

const TEXT = { vi: 'Báo ngay lãnh đạo trực', en: 'Tell the duty leader' };
const RULES = ['flood-my-tho-3', 'salinity'].map((id) => ({
  id,
  name: { vi: id === 'salinity' ? 'Độ mặn trên 4 g/L' : 'Báo động III Mỹ Tho', en: id },
  field: 'environment',
  severity: 1,
  condition: { type: 'threshold', limit: { bound: { at_least: 1.6 }, for_ms: 0, clear_for_ms: 0 } },
  source: 'QĐ 05/2020',
  owner: TEXT,
  response: { steps: [TEXT], consequence: { vi: 'Ngập', en: 'Floods' }, within_ms: 900_000 },
}));
const one = alertRecord({ id: 'one', group: 'flood/28261' });
const two = alertRecord({ id: 'two', severity: 2, rule: 'salinity', group: 'salinity/28261', text: { vi: 'Độ mặn cao', en: 'Salty' } });
const delivery = { id: 'd', rev: 1, alert: 'one', step: 1, person: 'hung', channel: 'sms', state: 'failed', attempts: 3, at: new Date(T0).toISOString(), detail: '503' };

let world: World;
let desk: DeskState;
let page: Record<string, unknown>;
let history: AlertRecord[];
let command: (url: string) => Answer;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  world = new World();
  history = [one];
  command = () => ({ status: 404, body: {} });
  world.answer = (url, init) => {
    if (init.method === 'POST') return command(url);
    if (url.includes('/rules')) return { status: 200, body: { items: RULES, next: null } };
    if (url.endsWith('/why')) return { status: 200, body: { rule: RULES[0], readings: null, related: [onWire(two)], nearby: [], events: [] } };
    if (url.includes('/alerts/')) {
      return { status: 200, body: { ...onWire(history.at(-1)!), history: history.map(onWire), deliveries: [delivery] } };
    }
    if (url.endsWith('/stage')) return { status: 200, body: { stage: null, history: [] } };
    return { status: 200, body: { items: [], features: [], people: [], teams: [], next: null } };
  };
});
afterEach(async () => {
  await unmount(page);
  speak('vi');
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

async function open(address = '/desk', items = [one, two], by = 'Lan'): Promise<void> {
  world.address = address;
  desk = world.openDesk({ by });
  page = mount(Desk, { target: document.body, props: { desk } });
  flushSync();
  world.goLive(items);
  await pass(500);
}

const find = (id: string) => document.querySelector<HTMLElement>(`[data-testid="${id}"]`);
const text = (id: string) => find(id)?.textContent?.replace(/\s+/g, ' ').trim() ?? '';
const rows = () => [...document.querySelectorAll<HTMLElement>('[data-alert]')].map((row) => row.dataset['alert']);
const focused = () => document.activeElement?.closest<HTMLElement>('[data-alert]')?.dataset['alert'];

async function press(key: string): Promise<void> {
  (document.activeElement ?? document.body).dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
  flushSync();
  await pass(500);
}

function type(selector: string, value: string): void {
  const field = document.querySelector<HTMLInputElement>(selector)!;
  field.value = value;
  field.dispatchEvent(new Event('input', { bubbles: true }));
  flushSync();
}

async function submit(id: string): Promise<void> {
  find(id)!.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));
  await pass(500);
}

describe('the list', () => {
  test('says what, where, how much, where it stands, and how long there is', async () => {
    await open();
    for (const part of ['Báo động III Mỹ Tho', '1,62', '/ 1,6', 'chưa xác nhận', 'Còn 15 phút', 'Xác nhận']) {
      expect(text('row-one')).toContain(part);
    }
    expect([text('count-open'), text('list-count')]).toEqual(['2', '2 cảnh báo']);
  });

  test('is searched without accents, and says when nothing fits', async () => {
    await open();
    type('[data-testid="filter-search"]', 'do man');
    expect([rows(), text('list-count'), world.address]).toEqual([['two'], '1 trong 2 cảnh báo', '/desk?q=do+man']);
    type('[data-testid="filter-search"]', 'xyz');
    expect(text('list-empty')).toContain('khớp');
  });

  test('is gone through, acknowledged and opened with keys alone', async () => {
    await open();
    command = () => ({ status: 200, body: onWire({ ...two, rev: 2, state: 'acknowledged' }) });
    await press('j');
    expect(focused()).toBe('one');
    await press('j');
    await press('ArrowDown');
    expect(focused()).toBe('two');
    await press('a');
    expect(world.orders().map(({ url, rev }) => [url, rev])).toEqual([['/api/v1/alerts/two/acknowledge', '"1"']]);
    expect(text('ack-two')).toBe('đang gửi…');
    const acknowledgement = { by: 'Lan', at: T0, note: '' };
    world.socket.say(alertFrame(10, { ...two, rev: 2, kind: 'acknowledged', state: 'acknowledged', acknowledgement }));
    await pass(500);
    expect([text('row-two').includes('đã xác nhận: Lan'), find('ack-two')]).toEqual([true, null]);
    await press('k');
    (document.activeElement as HTMLElement).click();
    await pass(500);
    expect([world.address, find('alert-page') !== null]).toEqual(['/desk/alerts/one', true]);
  });

  test('keys typed into a field are letters', async () => {
    await open();
    find('filter-search')!.focus();
    await press('a');
    await press('?');
    expect([world.orders(), find('key-list')]).toEqual([[], null]);
  });

  test('? shows the keys, / leads to the search', async () => {
    await open();
    await press('/');
    expect(document.activeElement).toBe(find('filter-search'));
    find('filter-search')!.blur();
    await press('?');
    expect(text('key-list')).toContain('Gác lại');
  });

  test('nobody acts without a name, which is asked for once', async () => {
    await open('/desk', [one], '');
    expect(text('name-form')).toContain('Chưa có đăng nhập');
    expect(find('ack-one')!.hasAttribute('disabled')).toBe(true);
    await press('j');
    await press('a');
    expect(world.orders()).toEqual([]);
    type('[data-testid="name-form"] input', 'Mai');
    await submit('name-form');
    expect([find('name-form'), text('who'), world.kept.get('name')]).toEqual([null, 'Mai', 'Mai']);
    expect(find('ack-one')!.hasAttribute('disabled')).toBe(false);
  });

  test('what is shelved stands apart, with who, why and until when', async () => {
    const shelving = { by: 'Hùng', at: T0, reason: 'Thay gầu đo', until: T0 + 3_600_000, one_shot: false };
    await open('/desk?state=shelved', [one, { ...two, shelving }]);
    expect(rows()).toEqual(['two']);
    expect(text('row-two')).toContain('Hùng gác đến 15:00: Thay gầu đo');
    expect([text('count-open'), text('count-shelved'), text('unshelve-two')]).toEqual(['1', '1', 'Bỏ gác']);
  });
});

describe('a flood', () => {
  const flood = { desk: 'environment', started_at: new Date(T0).toISOString(), first_out: 'first', raised: 12 };
  const many = Array.from({ length: 10 }, (_, index) => ({ ...two, id: `s${index}` }));
  const first = alertRecord({ id: 'first', severity: 3, group: 'salinity/28261' });

  test('rolls up what belongs together; the critical and the first stand alone', async () => {
    await open('/desk', [one, first, ...many]);
    expect(rows()).toHaveLength(12);
    world.socket.say({ type: 'centre', floods: [flood] });
    await pass(500);
    expect(rows()).toEqual(['one', 'first']);
    expect(text('group-environment salinity/28261')).toContain('Nhóm 10 cảnh báo');
    expect([text('first-out'), text('flood').includes('TRÀN CẢNH BÁO')]).toEqual(['đến đầu tiên', true]);
    find('group-environment salinity/28261')!.querySelector('button')!.click();
    flushSync();
    expect(rows()).toHaveLength(12);
    expect(text('count-open'), 'the count is of alerts').toBe('12');
  });
});

describe('one alert', () => {
  test('tells what to do, why, who was called, and what became of it', async () => {
    const note = { by: 'Hùng', at: T0, text: '<b>Đã gọi</b>' };
    history = [one, { ...one, rev: 2, kind: 'noted', notes: [note] }];
    await open('/desk/alerts/one');
    await pass(500);
    expect(text('response')).toContain('Báo ngay lãnh đạo trực');
    expect(text('response')).toContain('Ngập');
    expect(text('deadline')).toContain('Còn 14 phút');
    expect(text('why')).toContain('từ 1,6 trở lên');
    expect(text('related')).toContain('Độ mặn trên 4 g/L');
    expect(text('deliveries')).toContain('không gửi được');
    expect(text('timeline')).toContain('<b>Đã gọi</b>');
    expect(find('timeline')!.querySelector('b')).toBeNull();
  });

  test('an act is done when the log has it, and the timeline follows', async () => {
    await open('/desk/alerts/one');
    find('act-note')!.click();
    flushSync();
    type('textarea[name="text"]', 'Đã gọi trạm');
    const noted: AlertRecord = { ...one, rev: 2, kind: 'noted', notes: [{ by: 'Lan', at: T0, text: 'Đã gọi trạm' }] };
    command = () => ({ status: 200, body: onWire(noted) });
    await submit('form-note');
    expect(text('act-send')).toContain('chờ nhật ký');
    history = [one, noted];
    world.socket.say(alertFrame(10, noted));
    await pass(1_000);
    expect(find('form-note')).toBeNull();
    expect(text('timeline')).toContain('Đã gọi trạm');
    expect(world.orders()[0]?.body).toEqual({ by: 'Lan', text: 'Đã gọi trạm' });
  });

  test('a refusal is told in the language of the page', async () => {
    await open('/desk/alerts/one');
    find('act-close')!.click();
    flushSync();
    command = () => ({ status: 409, body: { text: { vi: 'Điều kiện vẫn còn.', en: 'The condition holds.' } } });
    await submit('form-close');
    expect(text('act-refusal')).toContain('Điều kiện vẫn còn.');
    speak('en');
    flushSync();
    expect(text('act-refusal')).toContain('The condition holds.');
  });

  test('a conflict says who was first and how the alert is now', async () => {
    await open('/desk/alerts/one');
    find('act-acknowledge')!.click();
    flushSync();
    const current = { ...one, rev: 2, state: 'acknowledged' as const, acknowledgement: { by: 'Hùng', at: T0, note: '' } };
    command = () => ({ status: 409, body: { current: onWire(current) } });
    await submit('form-acknowledge');
    expect(text('act-refusal')).toContain('Hùng đã xác nhận lúc 14:00');
    expect(text('act-refusal')).toContain('Hiện nay: đã xác nhận: Hùng');
  });

  test('shelving asks why and until when, in the time of Vietnam', async () => {
    await open('/desk/alerts/one');
    await press('s');
    type('textarea[name="reason"]', 'Sửa trạm');
    type('input[name="until"]', '2026-11-23T18:30');
    command = () => ({ status: 0, body: {} });
    await submit('form-shelve');
    expect(world.orders()[0]?.body).toEqual({ by: 'Lan', reason: 'Sửa trạm', until: '2026-11-23T18:30:00+07:00', one_shot: false });
    expect(text('act-refusal')).toContain('Chưa gửi được');
    expect(text('act-send')).toBe('Gửi lại');
  });

  test('that is not there is said to be not there', async () => {
    world.answer = () => ({ status: 404, body: {} });
    await open('/desk/alerts/none', []);
    expect(text('alert-unknown')).toContain('none');
  });
});

test('every page of the menu opens, and comes with its title', async () => {
  await open();
  for (const section of ['stage', 'out-of-service', 'works', 'hand-over', 'performance', 'floods', 'hints', 'on-call', 'backtest']) {
    find(`menu-${section}`)!.click();
    await pass(500);
    expect(find(`page-${section}`)?.querySelector('h1')?.textContent, section).toBeTruthy();
    expect(world.address).toBe(`/desk/${section}`);
  }
});

test('a stage is set with a reason, and the strip shows it when the centre says so', async () => {
  await open('/desk/stage');
  command = () => ({ status: 200, body: { id: 'stage' } });
  document.querySelector<HTMLInputElement>('input[name="stage"][value="3"]')!.click();
  type('textarea[name="reason"]', 'Bão số 9');
  await submit('form-stage');
  expect(world.orders()[0]?.body).toEqual({ by: 'Lan', stage: 3, reason: 'Bão số 9' });
  expect(find('stage-strip')!.dataset['stage']).toBeUndefined();
  world.socket.say({ type: 'centre', stage: { stage: 3, since: new Date(T0).toISOString(), by: 'Lan', reason: 'Bão số 9' } });
  await pass(500);
  expect([find('stage-strip')!.dataset['stage'], text('stage-strip').includes('Cấp 3: lớn')]).toEqual(['3', true]);
});

test('a dead line and dead alerting are both said, without hiding the work', async () => {
  await open('/desk/alerts/one');
  world.socket.say({ type: 'centre', alerting: { ok: false, since: new Date(T0).toISOString(), latency_ms: null } });
  await pass(500);
  expect(text('alerting-down')).toContain('CẢNH BÁO NGỪNG HOẠT ĐỘNG');
  world.socket.drop(1006);
  await pass(500);
  expect(text('stale-strip')).toContain('Mất kết nối');
  expect(find('alert-page')).not.toBeNull();
});

describe('what is critical and new', () => {
  const three = alertRecord({ id: 'three' });

  test('is told and heard on every page, once, and what is less or was there before is not', async () => {
    await open('/desk/stage');
    const region = find('heard');
    expect([region?.getAttribute('aria-live'), text('heard'), world.chimes]).toEqual(['assertive', '', []]);
    world.socket.say(alertFrame(10, { ...two, id: 'four' }));
    await pass(500);
    expect([text('heard'), world.chimes]).toEqual(['', []]);
    world.socket.say(alertFrame(11, three));
    await pass(500);
    expect(text('heard')).toBe('Cảnh báo khẩn cấp mới: Báo động III Mỹ Tho');
    expect([find('heard') === region, world.chimes]).toEqual([true, ['critical']]);
    world.socket.say(alertFrame(12, { ...three, rev: 2, kind: 'updated', value: 1.7 }));
    await pass(500);
    expect([region?.children.length, world.chimes]).toEqual([1, ['critical']]);
    await pass(31_000);
    expect(text('heard')).toBe('');
  });
});

test('single letters can be turned off, which is kept; the other keys go on', async () => {
  await open();
  await press('?');
  const box = document.querySelector<HTMLInputElement>('[data-testid="letters"]')!;
  expect(box.checked).toBe(true);
  box.click();
  flushSync();
  expect([desk.letters, world.kept.get('letters')]).toEqual([false, 'false']);
  document.querySelector('dialog')!.dispatchEvent(new Event('close'));
  (document.activeElement as HTMLElement).blur();
  await pass(500);
  await press('j');
  await press('l');
  await press('?');
  expect([focused(), find('key-list'), text('heard')]).toEqual([undefined, null, '']);
  await press('ArrowDown');
  expect(focused()).toBe('one');
  await press('a');
  expect(world.orders()).toEqual([]);
  desk.useLetters(true);
  await press('j');
  expect(focused()).toBe('two');
});
