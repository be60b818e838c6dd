// The wall as it stands in the document: what people read, press, and must never lose.
import { flushSync, mount, unmount } from 'svelte';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { WallState } from '../state/wall.svelte';
import { alertRecord, T0 } from '../testing/alerts';
import { alertFrame, onWire, welcome, World } from '../testing/world';
import type { AlertRecord } from '../wire/nouns';
import { speak } from '../words/language.svelte';
import Wall from './Wall.svelte';

// There is neither WebGL nor a canvas here; both are tried in a real browser.
vi.mock('./map/stage', () => ({ MapStage: { open: () => Promise.reject(new Error('no WebGL')) } }));
const charts = vi.hoisted(() => ({ made: 0, shown: [] as unknown[][] }));
vi.mock('./trend', () => ({
  TrendChart: class {
    constructor() {
      charts.made += 1;
    }
    show(...what: unknown[]) {
      charts.shown.push(what);
    }
    resize() {}
    close() {}
  },
}));

const TILES = ['environment', 'security'].map((field) => ({
  id: `tile-of-${field}`,
  field,
  label: { vi: field === 'security' ? 'Nơi đông nhất' : 'Nước Mỹ Tho', en: 'Level' },
  device: field === 'security' ? 'cam-1' : 'stn-my-tho',
  metric: 'water_level_m',
  unit: 'm',
  digits: 2,
  levels: [{ at: 1.6, severity: 1 }],
}));
const DEVICE = {
  id: 'stn-my-tho',
  name: { vi: 'Trạm Mỹ Tho (sông Tiền)', en: 'Mỹ Tho station' },
  kind: 'river',
  field: 'environment',
  area: '28261',
  lat: 10.35,
  lon: 106.36,
  interval_ms: 10_000,
  metrics: [{ metric: 'water_level_m', unit: 'm', name: { vi: 'Mực nước', en: 'Level' } }],
};
const RULE = { id: 'flood-my-tho-3', name: { vi: 'Báo động III Mỹ Tho', en: 'Alarm level III Mỹ Tho' } };
const RING = [[106, 10], [107, 10], [107, 11], [106, 10]];
const MAP = {
  type: 'FeatureCollection',
  source: 'schematic',
  features: [
    {
      type: 'Feature',
      properties: { layer: 'area', code: '28261', name: 'Phường Mỹ Tho', name_en: 'My Tho', kind: 'ward' },
      geometry: { type: 'Polygon', coordinates: [RING] },
    },
  ],
};

let world: World;
let wall: WallState;
let page: Record<string, unknown>;

beforeEach(async () => {
  vi.useFakeTimers();
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  // Nothing is laid out here: room for several rows.
  vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(600);
  charts.made = 0;
  charts.shown = [];
  world = new World();
  world.answer = (url) => {
    if (url.endsWith('/wall')) return { status: 200, body: { title: { vi: 'Trung tâm', en: 'Centre' }, tiles: TILES } };
    if (url.includes('/devices')) return { status: 200, body: { items: [DEVICE], next: null } };
    if (url.includes('/history')) return { status: 200, body: { step_ms: 60_000, items: [] } };
    if (url.includes('/rules')) return { status: 200, body: { items: [RULE], next: null } };
    if (url.endsWith('/map')) return { status: 200, body: MAP };
    return { status: 200, body: { items: [], next: null } };
  };
  wall = world.openWall();
  const speaker = { allow: () => Promise.resolve(), toggle: () => {} };
  page = mount(Wall, { target: document.body, props: { wall, speaker } });
  await pass(500);
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

async function goLive(items: AlertRecord[] = [], more: object = {}): Promise<void> {
  world.goLive(items, 10, more);
  await pass(500);
}

const find = (id: string) => document.querySelector<HTMLElement>(`[data-testid="${id}"]`);
const text = (id: string) => find(id)?.textContent?.replace(/\s+/g, ' ').trim();
const one = alertRecord({ id: 'one' });

describe('alerts', () => {
  test('an alert says what, where, since when, how much, and where it stands', async () => {
    await goLive([{ ...one, started_at: T0 - 14 * 60_000 }]);
    const row = find('alert-one')!;
    expect([row.dataset['state'], row.dataset['severity']]).toEqual(['unacknowledged', '1']);
    const said = text('alert-one');
    const parts = ['Khẩn cấp', 'Báo động III Mỹ Tho', 'Trạm Mỹ Tho', 'Phường Mỹ Tho', '14 phút', '1,62', '1,6 m', 'chưa xác nhận'];
    for (const part of parts) expect(said).toContain(part);
    expect(row.querySelectorAll('.blinking')).toHaveLength(1);
  });

  test.each([
    ['acknowledged', { acknowledgement: { by: 'Lan', at: T0, note: '' } }, 'đã xác nhận: Lan', 0],
    ['returned_unacknowledged', { cleared_at: T0 }, 'hết nhưng chưa xác nhận', 1],
  ] as const)('%s in words', async (state, more, words, buttons) => {
    await goLive([{ ...one, ...more, state }]);
    expect(text('alert-one')).toContain(words);
    expect(document.querySelectorAll('[data-testid="ack-one"]')).toHaveLength(buttons);
    expect(document.querySelectorAll('li .blinking')).toHaveLength(0);
  });

  test('nothing blinks but severity 1 that nobody has taken', async () => {
    await goLive([2, 3, 4].map((severity) => alertRecord({ id: `a${severity}`, severity: severity as 2 })));
    expect(document.querySelectorAll('.blinking')).toHaveLength(0);
  });

  test('acknowledging says that it is under way until the record is back', async () => {
    await goLive([one]);
    find('ack-one')!.click();
    flushSync();
    expect([text('ack-one'), find('ack-one')?.hasAttribute('disabled')]).toEqual(['đang gửi…', true]);
    await pass(2_000);
    expect(text('ack-one')).not.toBe('Xác nhận');
    const acknowledgement = { by: 'Lan', at: T0, note: '' };
    world.socket.say(alertFrame(10, { ...one, rev: 2, state: 'acknowledged', acknowledgement }));
    await pass(500);
    expect(find('ack-one')).toBeNull();
    expect(find('alert-one')?.dataset['state']).toBe('acknowledged');
  });

  test('who was first is told by name and time', async () => {
    await goLive([one]);
    const current = { ...one, rev: 2, acknowledgement: { by: 'Hùng', at: T0, note: '' } };
    world.answer = () => ({ status: 409, body: { current: onWire(current) } });
    find('ack-one')!.click();
    await pass(500);
    expect(text('refusal-one')).toBe('Hùng đã xác nhận lúc 14:00');
  });

  test('none is said in words, with the time', async () => {
    expect(document.body.textContent).toContain('Đang tải cảnh báo');
    await goLive();
    expect(document.body.textContent).toContain('Không có cảnh báo nào đang mở');
  });

  test('without the name of its rule the text of the alert leads', async () => {
    await goLive([{ ...one, rule: 'of-tomorrow' }]);
    expect(text('alert-one')).toContain('Mực nước Mỹ Tho trên báo động III');
  });

  test('a script in a text is text', async () => {
    const bad = '<img src=x onerror=alert(1)>';
    await goLive([{ ...one, rule: 'of-tomorrow', text: { vi: bad, en: bad } }]);
    expect(find('alert-one')?.querySelector('img')).toBeNull();
    expect(text('alert-one')).toContain(bad);
  });

  test('counts are open and not acknowledged', async () => {
    await goLive([one, alertRecord({ id: 'two', state: 'acknowledged' }), alertRecord({ id: 'three', severity: 4 })]);
    expect([1, 2, 4].map((severity) => text(`count-${severity}`))).toEqual(['1 2/1', '2 0/0', '4 1/1']);
  });
});

describe('a hand on the list', () => {
  const list = () => document.querySelector('#alerts-title')!.closest('section')!;
  const low = alertRecord({ id: 'low', severity: 3, started_at: T0 - 60_000 });
  const hand = (type: string) => {
    list().dispatchEvent(new PointerEvent(type, { pointerType: 'mouse', bubbles: type === 'pointermove' }));
    flushSync();
  };
  const rows = () =>
    [...document.querySelectorAll<HTMLElement>('li[data-testid^="alert-"]')].map((row) => row.dataset['testid']);
  const acknowledged = () => world.requests.map(({ url }) => url).filter((url) => url.endsWith('/acknowledge'));

  test('keeps the rows where they are; a new severity 1 is told above them', async () => {
    await goLive([low]);
    hand('pointerenter');
    world.socket.say(alertFrame(10, one));
    await pass(500);
    expect(rows()).toEqual(['alert-low']);
    expect(text('alerts-waiting')).toContain('Mới: Báo động III Mỹ Tho');
    expect(text('count-1')).toBe('1 1/1');
    hand('pointerleave');
    expect(rows()).toEqual(['alert-one', 'alert-low']);
    expect(find('alerts-waiting')).toBeNull();
  });

  test('a row that is over stays in its place without a button until the hand goes', async () => {
    await goLive([one, low]);
    hand('pointermove');
    world.socket.say(alertFrame(10, { ...one, rev: 2, state: 'normal', cleared_at: T0 }));
    await pass(500);
    expect(rows()).toEqual(['alert-one', 'alert-low']);
    expect(find('ack-one')).toBeNull();
    hand('pointerleave');
    expect(rows()).toEqual(['alert-low']);
  });

  test('the notice shows what waits at a press, and so does a hand that lies still', async () => {
    await goLive([low]);
    hand('pointerenter');
    world.socket.say(alertFrame(10, alertRecord({ id: 'two', severity: 2 })));
    await pass(500);
    expect(text('alerts-waiting')).toBe('1 cảnh báo mới, bấm để xem');
    find('alerts-waiting')!.click();
    flushSync();
    expect(rows()).toEqual(['alert-two', 'alert-low']);
    hand('pointerenter');
    world.socket.say(alertFrame(11, one));
    await pass(14_000);
    expect(rows()).toEqual(['alert-two', 'alert-low']);
    await pass(1_500);
    expect(rows()).toEqual(['alert-one', 'alert-two', 'alert-low']);
  });

  test('a row that has just come under the pointer takes no click', async () => {
    await goLive([low]);
    world.socket.say(alertFrame(10, one));
    await pass(100);
    expect(rows()[0]).toBe('alert-one');
    find('ack-one')!.click();
    find('ack-low')!.click();
    await pass(300);
    expect(acknowledged()).toEqual([]);
    await pass(300);
    find('ack-one')!.click();
    await pass(100);
    expect(acknowledged()).toEqual(['/api/v1/alerts/one/acknowledge']);
  });
});

describe('never silently stale', () => {
  test('the cover comes with the time of the last word, and goes when live again', async () => {
    await goLive();
    expect(find('link-state')?.dataset['state']).toBe('live');
    await pass(8_000);
    expect(find('link-state')?.dataset['state']).toBe('slow');
    expect(find('stale-cover')).toBeNull();
    await pass(9_000);
    expect(text('stale-cover')).toMatch(/^MẤT TÍN HIỆU TỪ 14:00:0\d/);
    world.socket.accept();
    world.socket.say(welcome({ mode: 'resume', now: new Date(T0 + world.elapsed_ms).toISOString() }));
    world.socket.say({ type: 'live' });
    await pass(500);
    expect(find('stale-cover')).toBeNull();
  });

  test('missed episodes are listed and can be put away', async () => {
    await goLive();
    world.socket.drop(1006);
    await pass(600);
    world.socket.accept();
    world.socket.say(welcome({ mode: 'resume' }));
    world.socket.say(alertFrame(10, one));
    world.socket.say(alertFrame(11, { ...one, rev: 2, state: 'normal', cleared_at: T0 + 60_000 }));
    world.socket.say({ type: 'live' });
    await pass(500);
    expect(text('missed-list')).toContain('Đã bỏ lỡ khi mất kết nối: 1');
    expect(text('missed-list')).toContain('14:00–14:01');
    find('missed-list')!.querySelector('button')!.click();
    await pass(500);
    expect(find('missed-list')).toBeNull();
  });

  test('every missed episode is shown in its turn, and only those shown are put away', async () => {
    await goLive();
    world.socket.drop(1006);
    await pass(600);
    world.socket.accept();
    world.socket.say(welcome({ mode: 'resume' }));
    'abcde'.split('').forEach((id, index) => {
      const started_at = T0 - index * 1_000;
      world.socket.say(alertFrame(10 + index, alertRecord({ id, state: 'normal', started_at, cleared_at: T0 })));
    });
    world.socket.say({ type: 'live' });
    await pass(500);
    const shown = () =>
      [...find('missed-list')!.querySelectorAll<HTMLElement>('li')].map((row) => row.dataset['testid']?.at(-1)).join('');
    const seen = new Set(shown());
    for (let pages = 0; pages < 2; pages++) {
      for (let beats = 0; beats < 3; beats++) {
        await pass(5_000);
        world.socket.say({ type: 'heartbeat', head: 15, now: new Date(T0 + world.elapsed_ms).toISOString() });
      }
      for (const id of shown()) seen.add(id);
    }
    expect([...seen].sort().join('')).toBe('abcde');
    const put_away = shown();
    find('missed-list')!.querySelector<HTMLElement>('.done')!.click();
    await pass(500);
    expect(text('missed-list')).toContain(`Đã bỏ lỡ khi mất kết nối: ${5 - put_away.length}`);
    expect(wall.missed.map(({ id }) => id).filter((id) => put_away.includes(id))).toEqual([]);
  });

  test('a page whose name was taken says so and comes back by a press only', async () => {
    await goLive();
    world.socket.drop(4409);
    await pass(120_000);
    expect(text('displaced-cover')).toContain('Màn hình này đã mở ở nơi khác');
    expect([find('stale-cover'), world.sockets.length]).toEqual([null, 1]);
    expect(find('link-state')?.dataset['state']).toBe('displaced');
    find('take-over')!.click();
    await pass(500);
    expect(world.sockets).toHaveLength(2);
    await goLive();
    expect([find('displaced-cover'), find('stale-cover')]).toEqual([null, null]);
  });

  test('a tile says what its open alert says, whatever its levels say', async () => {
    const at = T0 + world.elapsed_ms;
    await goLive([alertRecord({ id: 'jam', severity: 2, device: 'cam-1' })]);
    wall.choose('security');
    world.socket.say({ type: 'tick', upserts: [['cam-1', 'water_level_m', 0.5, at, 0]] });
    await pass(500);
    expect(find('tile-tile-of-security')?.dataset['severity']).toBe('2');
    expect(text('tile-tile-of-security')).toMatch(/2 ?0,50 ?m.*Cao/);
  });

  test('a tile says how far to believe it', async () => {
    await goLive();
    wall.choose('environment');
    const state = () => find('tile-tile-of-environment')?.dataset['freshness'];
    expect([state(), text('tile-tile-of-environment')]).toEqual(['none', 'Nước Mỹ Tho — không có dữ liệu']);
    const at = T0 + world.elapsed_ms;
    world.socket.say({ type: 'tick', upserts: [['stn-my-tho', 'water_level_m', 1.62, at, 0]] });
    await pass(500);
    expect(state()).toBe('fresh');
    expect(text('tile-tile-of-environment')).toMatch(/1,62 ?m.*Khẩn cấp/);
    for (let beats = 0; beats < 12; beats++) {
      await pass(5_000);
      world.socket.say({ type: 'heartbeat', head: 10, now: new Date(T0 + world.elapsed_ms).toISOString() });
    }
    await pass(1_000);
    expect(state()).toBe('lost');
    expect(text('tile-tile-of-environment')).toContain('mất tín hiệu 1 phút');
    expect(find('tile-tile-of-environment')?.dataset['severity']).toBeUndefined();
  });

  test('test mode is said, and only then', async () => {
    await goLive([], { insecure_dev: true });
    expect(text('insecure-dev')).toBe('CHẾ ĐỘ THỬ NGHIỆM — chưa đăng nhập');
    world.socket.drop(1012);
    await pass(600);
    await goLive([], { insecure_dev: false });
    expect(find('insecure-dev')).toBeNull();
  });
});

describe('turning', () => {
  const press = async (key: string) => {
    window.dispatchEvent(new KeyboardEvent('keydown', { key }));
    await pass(500);
  };

  test('a key chooses the field of the tiles; map, list and chart stay where they are', async () => {
    await goLive([one]);
    const kept = ['map', 'trend', 'alert-one', 'clock'].map(find);
    await press('2');
    expect(find('tile-tile-of-security')).not.toBeNull();
    expect(find('tile-tile-of-environment')).toBeNull();
    expect(find('tab-security')?.getAttribute('aria-pressed')).toBe('true');
    await press('0');
    expect(find('tile-tile-of-environment')).not.toBeNull();
    expect(['map', 'trend', 'alert-one', 'clock'].map(find)).toEqual(kept);
    expect(charts.made).toBe(1);
  });

  test('L changes the language, everywhere at once', async () => {
    await goLive([one]);
    await press('l');
    expect(text('alert-one')).toContain('not acknowledged');
    expect(text('link-state')).toBe('Live');
    await press('L');
    expect(text('link-state')).toBe('Trực tiếp');
  });

  test('many alerts turn pages and never scroll', async () => {
    await goLive(Array.from({ length: 41 }, (_, index) => alertRecord({ id: `a${index}`, severity: 3 })));
    expect(text('alerts-page')).toMatch(/\d+ \/ 41/);
    const rows = () => [...document.querySelectorAll('li[data-testid^="alert-"]')].map((row) => row.getAttribute('data-testid'));
    const before = rows();
    for (let beats = 0; beats < 4; beats++) {
      await pass(5_000);
      world.socket.say({ type: 'heartbeat', head: 10, now: new Date(T0 + world.elapsed_ms).toISOString() });
    }
    expect(rows()).not.toEqual(before);
    expect(rows()).toHaveLength(before.length);
  });
});

test('without WebGL a silent station looks silent, and one of another field stands back', async () => {
  await goLive();
  const at = T0 + world.elapsed_ms;
  const dot = () => find('map')!.querySelector('circle')!.classList;
  world.socket.say({ type: 'tick', upserts: [['stn-my-tho', 'water_level_m', 1, at, 0]] });
  await pass(6_000);
  expect([dot().contains('silent'), dot().contains('aside')]).toEqual([false, false]);
  wall.choose('security');
  for (let beats = 0; beats < 12; beats++) {
    await pass(5_000);
    world.socket.say({ type: 'heartbeat', head: 10, now: new Date(T0 + world.elapsed_ms).toISOString() });
  }
  await pass(5_000);
  expect([dot().contains('silent'), dot().contains('aside')]).toEqual([true, true]);
});

test('without WebGL the map is drawn all the same, with the marks named', async () => {
  await goLive([one]);
  expect(find('map')?.dataset['state']).toBe('simple');
  expect(find('map')?.querySelectorAll('path.area')).toHaveLength(1);
  expect(text('map')).toContain('Mỹ Tho');
});

describe('how the centre stands', () => {
  const at = new Date(T0).toISOString();
  const tell = async (more: object) => {
    world.socket.say({ type: 'centre', ...more });
    await pass(500);
  };

  test('the stage is always in sight: none, then one, with who and since when', async () => {
    await goLive();
    expect(text('stage-strip')).toContain('Chưa đặt cấp độ');
    await tell({ stage: { stage: 2, since: at, by: 'Sơn', reason: 'Triều cường' }, advice: { stage: 3, alerts: ['one'] } });
    expect(find('stage-strip')?.dataset['stage']).toBe('2');
    for (const part of ['Cấp 2: trung bình', '14:00', 'Sơn', 'Triều cường', 'Gợi ý cấp 3']) {
      expect(text('stage-strip')).toContain(part);
    }
    await tell({ stage: { stage: 3, since: at, by: 'Sơn', reason: '' }, advice: { stage: 3, alerts: ['one'] } });
    expect(find('stage-advice')).toBeNull();
  });

  test('a drill is said, and its alerts are marked', async () => {
    await goLive([{ ...one, drill: true }]);
    expect(text('alert-one')).toContain('diễn tập');
    expect(find('drill')).toBeNull();
    await tell({ drill: { since: at, by: 'Hùng', reason: 'Diễn tập triều cường' } });
    expect(text('drill')).toContain('DIỄN TẬP từ 14:00, Hùng');
  });

  test('dead alerting is said over everything, and taken back', async () => {
    await goLive([one]);
    await tell({ best_effort: 'sync_always is off' });
    expect(text('best-effort')).toContain('Chưa bảo đảm lưu bền');
    await tell({ alerting: { ok: true, since: at, latency_ms: 900 }, best_effort: null });
    expect([find('alerting-down'), find('best-effort')]).toEqual([null, null]);
    await tell({ alerting: { ok: false, since: at, latency_ms: null } });
    expect(text('alerting-down')).toContain('CẢNH BÁO NGỪNG HOẠT ĐỘNG từ 14:00');
    expect(find('alert-one')).not.toBeNull();
    await tell({ alerting: { ok: true, since: at, latency_ms: 900 } });
    expect(find('alerting-down')).toBeNull();
  });

  test('what is put aside is not on the list, only counted, and comes back', async () => {
    const shelving = { by: 'Lan', at: T0, reason: 'sửa', until: T0, one_shot: false };
    await goLive([{ ...one, shelving }, alertRecord({ id: 'two', suppression: { cause: 'level', alert: 'one', at: T0 } })]);
    expect([find('alert-one'), find('alert-two')]).toEqual([null, null]);
    expect(text('aside-counts')).toBe('Ẩn: 1 gác · 1 nén');
    expect(world.chimes).not.toContain('critical');
    world.socket.say(alertFrame(10, { ...one, rev: 2, kind: 'unshelved' }));
    await pass(500);
    expect(find('alert-one')).not.toBeNull();
    expect(world.chimes).toContain('critical');
  });

  test('in a flood the rest is rolled up and counted, and no critical alert is hidden', async () => {
    const rest = Array.from({ length: 30 }, (_, index) => alertRecord({ id: `r${index}`, severity: 3, group: 'rain/28261', rule: 'rain' }));
    const critical = Array.from({ length: 3 }, (_, index) => alertRecord({ id: `c${index}`, group: 'rain/28261' }));
    await goLive([...rest, ...critical]);
    await tell({ floods: [{ desk: 'environment', started_at: at, first_out: 'r7', raised: 33 }] });
    expect(text('flood')).toContain('TRÀN CẢNH BÁO · Môi trường: 33 từ 14:00');
    expect(text('group-environment rain/28261')).toContain('29 cảnh báo');
    expect(critical.every(({ id }) => find(`alert-${id}`) !== null)).toBe(true);
    expect(find('alert-r7')?.dataset['firstOut']).toBe('true');
    expect(find('alert-r8')).toBeNull();
    expect(text('count-1')).toBe('1 3/3');
    await tell({ floods: [] });
    expect(find('flood')).toBeNull();
  });
});
