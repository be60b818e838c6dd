// The socket under test: says hello, watches for silence, comes back, tells what was seen.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { World, welcome } from '../testing/world';
import { reconnectDelay, SILENCE_MS, type Listener, type LiveLink, type Verdict } from './link';

let world: World;
let link: LiveLink;
let verdict: Verdict;
let closed: { code: number; wait_ms: number | null }[];
const position = { epoch: 'e', seq: 41 };

const listener: Listener = {
  position: () => position,
  frame: () => verdict,
  opened: () => {},
  closed: (code, wait_ms) => void closed.push({ code, wait_ms }),
};

beforeEach(() => {
  vi.useFakeTimers();
  world = new World();
  verdict = 'go_on';
  closed = [];
  link = world.openLink(listener);
  link.start();
});
afterEach(() => {
  link.stop();
  vi.useRealTimers();
});

function pass(ms: number): void {
  for (let left = ms; left > 0; left -= 100) {
    world.elapsed_ms += Math.min(left, 100);
    vi.advanceTimersByTime(Math.min(left, 100));
  }
}

test('it says hello with the place it resumes from', () => {
  world.socket.accept();
  expect(world.socket.sent).toEqual([
    { type: 'hello', v: 1, screen: 'wall-1', view: 'all', resume: position },
  ]);
});

test('a gap closes with 4410 and connects again', () => {
  world.socket.accept();
  verdict = 'resume';
  world.socket.say({ type: 'live' });
  expect(world.sockets[0]?.closed_with).toBe(4410);
  pass(500);
  expect(world.sockets).toHaveLength(2);
});

test('a frame that is not of the protocol closes with 4400', () => {
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  world.socket.accept();
  world.socket.say({ type: 'skip' });
  expect(world.sockets[0]?.closed_with).toBe(4400);
  expect(closed).toHaveLength(1);
});

test('silence ends the connection, whatever the browser believes', () => {
  world.socket.accept();
  world.socket.say({ type: 'live' });
  pass(SILENCE_MS);
  expect(world.sockets).toHaveLength(1);
  pass(2_000);
  expect(world.sockets[0]?.closed_with).toBe(1000);
  expect(world.sockets).toHaveLength(2);
});

test('a connection that never opens is given up too', () => {
  pass(SILENCE_MS + 2_000);
  expect(world.sockets.length).toBeGreaterThan(1);
});

test('what an abandoned socket still says is not heard', () => {
  const first = world.socket;
  first.accept();
  first.drop(1006);
  pass(500);
  verdict = 'resume';
  first.say({ type: 'live' });
  expect(closed).toHaveLength(1);
});

test('seen goes out at most once a second, the last one counts', () => {
  world.socket.accept();
  const said = () => world.socket.sent.filter((frame) => frame['type'] === 'seen');
  link.shown(1);
  link.shown(2);
  link.shown(3);
  expect(said()).toEqual([{ type: 'seen', seq: 1 }]);
  pass(1_000);
  expect(said()).toEqual([
    { type: 'seen', seq: 1 },
    { type: 'seen', seq: 3 },
  ]);
  link.shown(3);
  pass(2_000);
  expect(said()).toHaveLength(2);
});

test('seen is told again to a new connection', () => {
  world.socket.accept();
  link.shown(7);
  world.socket.drop(1012);
  pass(1_000);
  world.socket.accept();
  link.shown(7);
  expect(world.socket.sent.at(-1)).toEqual({ type: 'seen', seq: 7 });
});

test('a page that took the same name is not chased, until a person says so', () => {
  world.socket.accept();
  world.socket.say(welcome());
  world.socket.drop(4409);
  expect(closed).toEqual([{ code: 4409, wait_ms: null }]);
  pass(3_600_000);
  expect(world.sockets).toHaveLength(1);
  link.take_over();
  link.take_over();
  expect(world.sockets).toHaveLength(2);
  world.socket.accept();
  expect(world.socket.sent).toHaveLength(1);
  link.take_over();
  expect(world.sockets).toHaveLength(2);
});

test('two pages of one name: the last one to come stays, the other one stands aside', () => {
  // As the server does it: who comes last takes the name, and the one before is closed.
  let holder = world.socket;
  holder.accept();
  const serve = () => {
    if (world.socket === holder) return;
    const before = holder;
    holder = world.socket;
    holder.accept();
    before.drop(4409);
  };
  const other = world.openLink(listener);
  other.start();
  for (let beats = 0; beats < 60; beats++) {
    serve();
    holder.say({ type: 'heartbeat', head: 1, now: '2026-11-23T14:00:00+07:00' });
    pass(10_000);
  }
  other.stop();
  expect(world.sockets).toHaveLength(2);
});

test('after stop nothing comes back', () => {
  world.socket.accept();
  link.stop();
  pass(120_000);
  expect(world.sockets).toHaveLength(1);
});

test('delays are random between half a second and ten, growing to the bound', () => {
  for (const random of [0, 0.5, 0.999]) {
    for (let attempt = 0; attempt < 50; attempt++) {
      const wait = reconnectDelay(attempt, 10_000, random);
      expect(wait).toBeGreaterThanOrEqual(500);
      expect(wait).toBeLessThanOrEqual(10_000);
    }
  }
  expect(reconnectDelay(0, 10_000, 0.999)).toBeLessThan(2_001);
  expect(reconnectDelay(20, 10_000, 0.999)).toBeGreaterThan(9_900);
  expect(reconnectDelay(20, 50, 0.999)).toBeLessThanOrEqual(50);
});

test('a live connection makes the next delay short again', () => {
  for (let times = 0; times < 5; times++) {
    world.socket.drop(1006);
    pass(500);
  }
  world.socket.accept();
  world.socket.say({ type: 'live' });
  world.socket.drop(1012);
  pass(500);
  expect(closed.at(-1)?.wait_ms).toBe(500);
});
