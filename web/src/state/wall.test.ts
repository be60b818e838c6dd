// The wall's state against a socket held by the test: what people see when things go wrong.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { alertRecord, device, T0, tile } from '../testing/alerts';
import { alertFrame, onWire, snapshot, welcome, World } from '../testing/world';
import type { AlertRecord } from '../wire/nouns';
import type { WallState } from './wall.svelte';

let world: World;
let wall: WallState;
const LIVE = { type: 'live' };
const one = alertRecord({ id: 'one' });

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  world = new World();
  wall = world.openWall();
  wall.start();
});
afterEach(() => {
  wall.stop();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 500) {
    world.elapsed_ms += Math.min(left, 500);
    await vi.advanceTimersByTimeAsync(Math.min(left, 500));
  }
}

/** Time passes on a healthy connection. */
async function beat(times: number, head = 10): Promise<void> {
  for (let done = 0; done < times; done++) {
    await pass(5_000);
    const now = new Date(T0 + world.elapsed_ms).toISOString();
    world.socket.say({ type: 'heartbeat', head, now });
  }
}

function goLive(as_of = 10, items: AlertRecord[] = [], more: object = {}): void {
  world.socket.accept();
  const now = new Date(T0 + world.elapsed_ms).toISOString();
  for (const frame of [welcome({ now, ...more }), snapshot(as_of, items), LIVE]) world.socket.say(frame);
}

describe('the link', () => {
  test('goes from connecting to live, and says when it is lost', () => {
    expect(wall.link_state).toBe('opening');
    goLive();
    expect([wall.link_state, wall.settled]).toEqual(['live', true]);
    world.socket.drop(1006);
    expect(wall.link_state).toBe('lost');
  });

  test('after 15 s of silence everything is covered, with a sound; heartbeats keep it away', async () => {
    goLive();
    await beat(10);
    expect(wall.lost_since).toBeNull();
    const last_heard = T0 + world.elapsed_ms;
    await pass(17_000);
    expect(Math.round((wall.lost_since ?? 0) / 1_000)).toBe(Math.round(last_heard / 1_000));
    expect(world.chimes).toEqual(['lost']);
  });

  test('the cover goes only when the screen is current again', async () => {
    goLive();
    await pass(17_000);
    world.socket.accept();
    world.socket.say(welcome({ mode: 'resume' }));
    expect(wall.lost_since).not.toBeNull();
    world.socket.say(LIVE);
    expect(wall.lost_since).toBeNull();
  });

  test('a server that only ever welcomes does not keep the cover away', async () => {
    goLive();
    for (let tries = 0; tries < 40; tries++) {
      world.socket.drop(1012);
      await pass(600);
      world.socket.accept();
      world.socket.say(welcome({ mode: 'resume' }));
    }
    expect(wall.lost_since).not.toBeNull();
  });

  test('heartbeats of a head that is not here do not keep the cover away', async () => {
    goLive(10);
    await beat(1, 11);
    expect(wall.link_state).toBe('behind');
    world.socket.say(alertFrame(10, one));
    expect(wall.link_state).toBe('live');
    // It moves on all the time and never arrives, so the connection is not given up either.
    for (let seq = 11; seq < 16; seq++) {
      await beat(1, 1_000);
      world.socket.say({ type: 'skip', prev: seq, to: seq + 1 });
      world.socket.say({ type: 'tick', upserts: [] });
      expect(wall.link_state).toBe('behind');
    }
    expect(world.sockets).toHaveLength(1);
    expect(wall.lost_since).not.toBeNull();
    world.socket.say({ type: 'skip', prev: 16, to: 1_000 });
    expect([wall.link_state, wall.lost_since]).toEqual(['live', null]);
  });

  test('heartbeats during a long replay do not keep the cover away', async () => {
    goLive();
    world.socket.drop(1006);
    await pass(1_000);
    world.socket.accept();
    world.socket.say(welcome({ mode: 'resume', head: 5_000 }));
    await beat(4, 10);
    expect([wall.link_state, wall.lost_since === null]).toEqual(['replaying', false]);
  });

  test('another page of the same name puts this one aside, until somebody wants it here', async () => {
    goLive(10, [one], { build: '1' });
    await pass(1_000);
    world.socket.drop(4409);
    expect([wall.link_state, wall.retry_at]).toEqual(['displaced', null]);
    expect(wall.lost_since).not.toBeNull();
    const rung = world.chimes.length;
    await pass(3_600_000);
    expect([world.sockets.length, world.chimes.length]).toEqual([1, rung]);
    wall.takeOver();
    wall.takeOver();
    expect([world.sockets.length, wall.link_state]).toEqual([2, 'opening']);
    expect(wall.lost_since).not.toBeNull();
    world.socket.accept();
    world.socket.say(welcome({ mode: 'resume', now: new Date(T0 + world.elapsed_ms).toISOString() }));
    world.socket.say(LIVE);
    expect([wall.link_state, wall.lost_since]).toEqual(['live', null]);
  });

  test('a page that was put aside does not reload itself back', async () => {
    goLive(10, [one], { build: '1' });
    world.socket.drop(1012);
    await pass(1_000);
    goLive(10, [one], { build: '2' });
    world.socket.say(alertFrame(10, { ...one, rev: 2, state: 'acknowledged' }));
    world.socket.drop(4409);
    await pass(60_000);
    expect(world.reloads).toBe(0);
  });

  test('seen follows what was rendered', async () => {
    goLive(10);
    await vi.advanceTimersByTimeAsync(0);
    expect(world.socket.sent.at(-1)).toEqual({ type: 'seen', seq: 10 });
    world.socket.say(alertFrame(10, one));
    await pass(1_500);
    expect(world.socket.sent.at(-1)).toEqual({ type: 'seen', seq: 11 });
  });

  test('another build reloads the page, once no severity 1 waits', async () => {
    goLive(10, [], { build: '1' });
    await pass(2_000);
    world.socket.drop(1012);
    await pass(1_000);
    goLive(10, [one], { build: '2' });
    await pass(2_000);
    expect(world.reloads).toBe(0);
    world.socket.say(alertFrame(10, { ...one, rev: 2, state: 'acknowledged' }));
    await pass(1_000);
    expect(world.reloads).toBe(1);
  });

  test('ages follow the clock of the server', async () => {
    const ahead = 3_600_000;
    goLive(10, [], { now: new Date(T0 + ahead).toISOString() });
    await pass(1_000);
    expect(Math.round(wall.now)).toBe(T0 + ahead + 1_000);
  });
});

describe('new alerts', () => {
  test('severity 1 rings, holds its field, is outlined for 10 s, and rings again', async () => {
    goLive();
    world.socket.say(alertFrame(10, alertRecord({ id: 'one', field: 'security' })));
    expect(world.chimes).toEqual(['critical']);
    expect(wall.rotation.tab).toBe('security');
    expect(wall.isNew(one)).toBe(true);
    await beat(3, 11);
    expect(wall.isNew(one)).toBe(false);
    expect(world.chimes).toEqual(['critical']);
    await beat(10, 11);
    expect(world.chimes).toEqual(['critical', 'critical']);
  });

  test.each([
    [2, ['high']],
    [3, []],
    [4, []],
  ] as const)('severity %d', (severity, chimes) => {
    goLive();
    world.socket.say(alertFrame(10, alertRecord({ severity })));
    expect(world.chimes).toEqual(chimes);
  });

  test('what came up while away rings once, at the end of the replay', async () => {
    goLive();
    world.socket.drop(1006);
    await pass(500);
    world.socket.accept();
    world.socket.say(welcome({ mode: 'resume' }));
    world.socket.say(alertFrame(10, alertRecord({ id: 'a', severity: 2 })));
    world.socket.say(alertFrame(11, alertRecord({ id: 'b', severity: 1 })));
    expect(world.chimes).toEqual([]);
    world.socket.say(LIVE);
    expect(world.chimes).toEqual(['critical']);
  });

  test('missed episodes go by hand', async () => {
    goLive();
    world.socket.drop(1006);
    await pass(500);
    world.socket.accept();
    world.socket.say(welcome({ mode: 'resume' }));
    world.socket.say(alertFrame(10, one));
    world.socket.say(alertFrame(11, { ...one, rev: 2, state: 'normal', cleared_at: T0 }));
    world.socket.say(LIVE);
    expect(wall.missed.map(({ id }) => id)).toEqual(['one']);
    wall.dismissMissed([alertRecord({ id: 'another' })]);
    expect(wall.missed).toHaveLength(1);
    wall.dismissMissed(wall.missed);
    expect(wall.missed).toEqual([]);
  });
});

test('in a flood only critical alerts are heard', () => {
  goLive();
  const flood = { desk: 'environment', started_at: new Date(T0).toISOString(), first_out: 'x', raised: 20 };
  world.socket.say({ type: 'centre', floods: [flood] });
  world.socket.say(alertFrame(10, alertRecord({ id: 'high', severity: 2 })));
  expect(world.chimes).toEqual([]);
  world.socket.say(alertFrame(11, alertRecord({ id: 'elsewhere', severity: 2, field: 'transport' })));
  world.socket.say(alertFrame(12, alertRecord({ id: 'critical' })));
  expect(world.chimes).toEqual(['high', 'critical']);
});

describe('acknowledging', () => {
  const asked = () => world.requests.filter(({ url }) => url.endsWith('/acknowledge'));
  const phase = () => wall.orders.of('one', 'acknowledge')?.phase;

  beforeEach(() => goLive(10, [one]));

  test('is done when the record comes back, not before', async () => {
    world.answer = () => ({ status: 200, body: onWire({ ...one, rev: 2, state: 'acknowledged' }) });
    const order = wall.acknowledge(one);
    expect(phase()).toBe('sending');
    await vi.waitFor(() => expect(phase()).toBe('accepted'));
    expect(wall.open[0]?.state).toBe('unacknowledged');
    const acknowledgement = { by: 'Lan', at: T0, note: '' };
    world.socket.say(alertFrame(10, { ...one, rev: 2, state: 'acknowledged', acknowledgement }));
    expect(phase()).toBeUndefined();
    expect(await order).toBe('done');
    expect(wall.open[0]?.acknowledgement?.by).toBe('Lan');
  });

  test('asks with the key, the rev and the name, once for two clicks', async () => {
    world.answer = () => ({ status: 200, body: onWire(one) });
    await Promise.all([wall.acknowledge(one), wall.acknowledge(one)]);
    expect(asked()).toHaveLength(1);
    const { url, init } = asked()[0]!;
    expect(url).toBe('/api/v1/alerts/one/acknowledge');
    expect(init.method).toBe('POST');
    expect(init.headers).toMatchObject({ 'If-Match': '"1"', 'Idempotency-Key': expect.any(String) });
    expect(JSON.parse(String(init.body))).toEqual({ by: 'Lan', note: '' });
  });

  test('409 says who was first', async () => {
    const current = { ...one, rev: 2, state: 'acknowledged' as const, acknowledgement: { by: 'Hùng', at: T0, note: '' } };
    world.answer = () => ({ status: 409, body: { title: 'stale', status: 409, current: onWire(current) } });
    await wall.acknowledge(one);
    expect(wall.orders.of('one', 'acknowledge')).toMatchObject({
      phase: 'refused',
      current: { acknowledgement: { by: 'Hùng' } },
    });
  });

  test('a failed try is repeated under the same key', async () => {
    world.answer = () => ({ status: 503, body: {} });
    await wall.acknowledge(one);
    expect(phase()).toBe('failed');
    await wall.acknowledge(one);
    const keys = asked().map(({ init }) => (init.headers as Record<string, string>)['Idempotency-Key']);
    expect(keys).toHaveLength(2);
    expect(keys[0]).toBe(keys[1]);
  });
});

describe('what it shows', () => {
  test('the trail of many devices goes on while the screen is current, and only then', async () => {
    const many = tile({ device: undefined, kind: 'river', statistic: 'sum' });
    wall.trails.want([many], ['a', 'b'].map((id) => device({ id, interval_ms: 3_600_000 })));
    const said = () => wall.trails.columns(many, T0 + world.elapsed_ms).value.at(-1);
    const hear = (id: string, value: number) =>
      world.socket.say({ type: 'tick', upserts: [[id, 'water_level_m', value, T0, 0]] });
    goLive();
    hear('a', 1);
    await pass(3_000);
    expect(said(), 'not before everybody was heard').toBeUndefined();
    hear('b', 2);
    await beat(2);
    expect(said()).toBe(3);
    await pass(12_000);
    const minutes = wall.trails.columns(many, T0 + world.elapsed_ms).at.length;
    await pass(180_000);
    expect(wall.trails.columns(many, T0 + world.elapsed_ms).at).toHaveLength(minutes);
  });

  test('is asked for until it is there, and the history after it', async () => {
    await pass(3_000);
    expect(wall.plan).toBeNull();
    const minute = Math.floor(T0 / 60_000) * 60_000;
    const history = { step_ms: 60_000, items: [[minute - 60_000, 1.5, 1.5, 1.5]] };
    world.answer = (url) => {
      if (url.endsWith('/wall')) {
        return { status: 200, body: { title: { vi: 'Sen', en: 'Sen' }, tiles: [tile()] } };
      }
      if (url.includes('/devices')) {
        const { units: _, ...known } = device();
        const metrics = [{ metric: 'water_level_m', unit: 'm' }];
        return { status: 200, body: { items: [{ ...known, metrics }], next: null } };
      }
      if (url.includes('/wall/tiles/level-my-tho/history')) return { status: 200, body: history };
      return { status: 404, body: {} };
    };
    await pass(12_000);
    expect(wall.plan?.tiles.map(({ id }) => id)).toEqual(['level-my-tho']);
    expect(wall.devices.get('stn-my-tho')?.units).toEqual({ water_level_m: 'm' });
    expect(wall.trails.columns(tile(), T0).value).toEqual([1.5]);
  });
});
