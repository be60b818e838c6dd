// A world for the state of a screen under test: a clock turned by hand, a socket held by the test, an
// HTTP server that is a table. Nothing sleeps.
import type { Chime, SoundState } from '../sound/chime';
import { DeskState, type DeskPorts } from '../state/desk.svelte';
import { OnCallState } from '../state/oncall.svelte';
import { WallState, type Ports } from '../state/wall.svelte';
import type { Fetch } from '../wire/client';
import { ServerClock } from '../wire/clock';
import { DeskApi } from '../wire/desk_api';
import { Api } from '../wire/http';
import { LiveLink, type Listener, type Socket } from '../wire/link';
import type { AlertRecord } from '../wire/nouns';
import { OnCallApi } from '../wire/oncall_api';
import { T0 } from './alerts';

export class FakeSocket implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readyState = 0;
  readonly sent: Record<string, unknown>[] = [];
  closed_with: number | undefined;

  accept(): void {
    this.readyState = 1;
    this.onopen?.();
  }
  say(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
  /** The other side, or the network, ends it. */
  drop(code: number): void {
    this.readyState = 3;
    this.onclose?.({ code });
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }
  close(code?: number): void {
    this.readyState = 3;
    this.closed_with = code;
  }
}

/** Fields whose numbers are times, at whatever depth. */
const TIMES = new Set(['event_time', 'started_at', 'cleared_at', 'recorded_at', 'at', 'until', 'since']);

/** A value as it goes over the wire: times as RFC 3339, nothing for what is not there. */
export function onWire(value: object): object {
  return JSON.parse(JSON.stringify(value), (name, part: unknown) =>
    TIMES.has(name) && typeof part === 'number' ? new Date(part).toISOString() : part,
  ) as object;
}

export const EPOCH = '9f86d081884c7d659a2feaa0c55ad015';

export function welcome(more: object = {}): object {
  return {
    type: 'welcome',
    v: 1,
    epoch: EPOCH,
    head: 0,
    floor: 1,
    mode: 'snapshot',
    heartbeat_ms: 5_000,
    now: new Date(T0).toISOString(),
    build: '1',
    insecure_dev: false,
    ...more,
  };
}

export function snapshot(as_of: number, items: AlertRecord[] = []): object {
  return { type: 'snapshot', epoch: EPOCH, as_of, part: 1, n: 1, items: items.map(onWire) };
}

export function alertFrame(prev: number, record: AlertRecord): object {
  return { type: 'alert', seq: prev + 1, prev, ...onWire(record) };
}

export type Answer = { status: number; body: unknown };

/** Turns time by hand: what `setInterval` and `setTimeout` do is up to the fake timers. */
export class World {
  elapsed_ms = 0;
  readonly sockets: FakeSocket[] = [];
  readonly chimes: string[] = [];
  readonly requests: { url: string; init: RequestInit }[] = [];
  /** A status of 0 is no answer at all. */
  answer: (url: string, init: RequestInit) => Answer = () => ({ status: 404, body: {} });
  reloads = 0;
  /** Whether somebody can see the page. */
  is_visible = true;
  remembered: number | undefined;
  /** Where the desk is, and what a browser would keep. */
  address = '/desk';
  readonly kept = new Map<string, string>();

  readonly clock = new ServerClock({ monotonic: () => this.elapsed_ms, wall: () => T0 });

  get socket(): FakeSocket {
    const last = this.sockets.at(-1);
    if (!last) throw new Error('nothing connected yet');
    return last;
  }

  private readonly link = {
    screen: 'wall-1',
    connect: () => {
      const socket = new FakeSocket();
      this.sockets.push(socket);
      return socket;
    },
    monotonic: () => this.elapsed_ms,
    random: () => 0,
  };

  openLink(listener: Listener): LiveLink {
    return new LiveLink(this.link, listener);
  }

  /** What the HTTP side of a screen asks. */
  readonly fetch: Fetch = async (url, init = {}) => {
    this.requests.push({ url, init });
    const { status, body } = this.answer(url, init);
    // As when nobody answers at all.
    if (status === 0) throw new TypeError('network');
    return new Response(JSON.stringify(body), { status });
  };

  private readonly speaker = {
    play: (chime: Chime) => void this.chimes.push(chime),
    state: (): SoundState => 'on',
  };

  /** What every kind of screen needs. */
  private readonly ports = {
    clock: this.clock,
    link: this.link,
    paint: (run: () => void) => run(),
    reload: () => void (this.reloads += 1),
    make_key: () => `key-${this.requests.length}`,
    by: 'Lan',
    away_since: null,
    remember: (now: number) => void (this.remembered = now),
  };

  openWall(more: Partial<Ports> = {}): WallState {
    return new WallState({
      ...this.ports,
      api: new Api(this.fetch),
      speaker: this.speaker,
      ...more,
    });
  }

  openDesk(more: Partial<DeskPorts> = {}): DeskState {
    const go = (url: string) => void (this.address = url);
    const now = () => {
      const { pathname, search } = new URL(this.address, 'http://sen');
      return { pathname, search };
    };
    return new DeskState({
      ...this.ports,
      api: new DeskApi(this.fetch),
      address: { now, push: go, replace: go },
      keep_name: (name) => void this.kept.set('name', name),
      letters: true,
      keep_letters: (on) => void this.kept.set('letters', String(on)),
      speaker: this.speaker,
      ...more,
    });
  }

  openPhone(): OnCallState {
    const storage = {
      getItem: (key: string) => this.kept.get(key) ?? null,
      setItem: (key: string, value: string) => void this.kept.set(key, value),
    };
    return new OnCallState({
      ...this.ports,
      api: new OnCallApi(this.fetch),
      storage,
      is_visible: () => this.is_visible,
    });
  }

  /** The connection is made, and the log is here. */
  goLive(items: AlertRecord[] = [], as_of = 10, more: object = {}): void {
    this.socket.accept();
    const now = new Date(T0 + this.elapsed_ms).toISOString();
    for (const frame of [welcome({ now, ...more }), snapshot(as_of, items), { type: 'live' }]) {
      this.socket.say(frame);
    }
  }

  /** The commands that were sent. */
  orders(): { url: string; key: string; rev: string | undefined; body: Record<string, unknown> }[] {
    return this.requests
      .filter(({ init }) => init.method === 'POST')
      .map(({ url, init }) => {
        const headers = init.headers as Record<string, string>;
        const body = JSON.parse(String(init.body)) as Record<string, unknown>;
        return { url, key: headers['Idempotency-Key'] ?? '', rev: headers['If-Match'], body };
      });
  }
}
