// The wall's state as the components see it: holds the pure parts together, and tells Svelte
// once a frame that something changed. The parts themselves stay outside reactivity.
import { tick } from 'svelte';
import type { Chime, SoundState, Speaker } from '../sound/chime';
import type { ServerClock } from '../wire/clock';
import type { ServerFrame } from '../wire/frames';
import { currentOf, Refused, type Api, type Device, type ProvinceMap, type WallPlan } from '../wire/http';
import { CLOSE, LiveLink, SILENCE_MS, type LinkOptions, type Verdict } from '../wire/link';
import type { AlertRecord, Text } from '../wire/nouns';
import { isUnacknowledged } from './alerts';
import { Fold } from './fold';
import { LatestValues } from './latest';
import { keyFor, settle, TELL_MS, withOrder, type Order, type Orders } from './orders';
import { advance, begin, choose, hold, type Rotation, type Tab } from './rotation';
import { tilesOf } from './tiles';
import { TrailBook } from './trails';

/** How long a new alert keeps its outline, milliseconds. */
export const NEW_MS = 10_000;
/** How often an alert of severity 1 that nobody has taken is heard again, milliseconds. */
export const REPEAT_MS = 60_000;
/** Silence after which the header says that the signal is slow, milliseconds. */
const SLOW_MS = 7_000;
/** How long missed episodes stay on the wall when nobody dismisses them, milliseconds. */
const MISSED_SHOWN_MS = 30 * 60_000;
/** How often the trails note what the tiles over many devices say, milliseconds. */
const NOTE_MS = 5_000;
/** By so long after it went live a screen has heard every value there is, milliseconds. */
const COMPLETE_MS = 5_000;
/** Waits between tries to load what the wall shows, milliseconds. */
const LOAD_WAITS_MS = [1_000, 2_000, 5_000, 10_000];

export type LinkState =
  | 'opening'
  | 'replaying'
  | 'live'
  /** Live, but the server has told of records that are not here yet. */
  | 'behind'
  | 'slow'
  | 'lost'
  | 'displaced'
  | 'signed_out'
  | 'forbidden';

/** What the wall needs of the world. */
export interface Ports {
  api: Api;
  clock: ServerClock;
  link: LinkOptions;
  speaker: Pick<Speaker, 'play' | 'state'>;
  /** Runs before the next picture is drawn (`requestAnimationFrame`). */
  paint: (run: () => void) => void;
  reload: () => void;
  make_key: () => string;
  /** Who acknowledges from this screen, until people sign in. */
  by: string;
  /** When an earlier life of this page last was live; null if long ago. */
  away_since: number | null;
  /** Called now and then while live, with the server's time. */
  remember: (now: number) => void;
}

export class WallState {
  plan = $state.raw<WallPlan | null>(null);
  devices = $state.raw<Map<string, Device>>(new Map());
  map = $state.raw<ProvinceMap | null>(null);
  /** The names of the rules; reloaded with each connection, since rules change while running. */
  rules = $state.raw<Map<string, Text>>(new Map());
  rotation = $state.raw<Rotation>(begin(0));
  orders = $state.raw<Orders>(new Map());
  sound = $state<SoundState>('blocked');
  insecure_dev = $state(false);
  /** The server's time, once a second. */
  now = $state(0);
  /** Since when nothing confirmed that this screen is current; null while it is. */
  lost_since = $state<number | null>(null);
  /** When the next connection is tried, milliseconds UTC; null while one is open. */
  retry_at = $state<number | null>(null);
  /** Whether the first snapshot has come. */
  settled = $state(false);

  readonly latest = new LatestValues();
  readonly trails = new TrailBook();
  private readonly fold: Fold;
  private readonly link: LiveLink;
  private alerts_version = $state(0);
  private values_version = $state(0);
  private history_version = $state(0);
  private close_code = $state(0);
  private phase = $state<Fold['phase'] | 'behind'>('opening');
  private silence_ms = $state(0);

  private scheduled = false;
  private changed = { alerts: false, values: false };
  private readonly new_until = new Map<string, number>();
  private loudest = Infinity;
  private sounded_at = -Infinity;
  private confirmed_at: number;
  private build: string | null = null;
  private reload_due = false;
  private live_since = Infinity;
  private noted_at = -Infinity;
  private missed_until = 0;
  private clock_timer: ReturnType<typeof setInterval> | undefined;
  private stopped = false;
  private history_wanted = false;
  private history_loading = false;

  constructor(private readonly ports: Ports) {
    this.fold = new Fold({ raised: (record) => this.raised(record) }, ports.away_since);
    this.link = new LiveLink(ports.link, {
      position: () => this.fold.position(),
      frame: (frame) => this.frame(frame),
      opened: () => this.opened(),
      closed: (code, retry_in_ms) => this.closed(code, retry_in_ms),
    });
    this.confirmed_at = ports.clock.monotonic();
    this.now = ports.clock.now();
    this.rotation = begin(this.now);
    this.sound = ports.speaker.state();
  }

  start(): void {
    this.link.start();
    this.clock_timer = setInterval(() => this.second(), 1_000);
    void this.load();
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.clock_timer);
    this.link.stop();
  }

  // What components read. Each reads a version first, so that Svelte knows when to ask again.

  get open(): AlertRecord[] {
    void this.alerts_version;
    return this.fold.book.open();
  }

  get counts() {
    void this.alerts_version;
    return this.fold.book.counts();
  }

  /** An alert as it is now, open or not. */
  find(id: string): AlertRecord | undefined {
    void this.alerts_version;
    return this.fold.book.get(id);
  }

  get missed(): AlertRecord[] {
    void this.alerts_version;
    return this.fold.missed;
  }

  /** Changes when any value changed; read it before reading `latest`. */
  get values(): number {
    return this.values_version;
  }

  /** Changes when older readings came in; read it before reading `trails`. */
  get history(): number {
    return this.history_version;
  }

  get link_silence_ms(): number {
    return this.silence_ms;
  }

  get link_state(): LinkState {
    if (this.close_code === CLOSE.displaced) return 'displaced';
    if (this.close_code === CLOSE.signed_out) return 'signed_out';
    if (this.close_code === CLOSE.forbidden) return 'forbidden';
    if (this.retry_at !== null) return 'lost';
    if (this.phase === 'live' && this.silence_ms > SLOW_MS) return 'slow';
    return this.phase;
  }

  isNew(record: AlertRecord): boolean {
    return (this.new_until.get(record.id) ?? 0) > this.now;
  }

  // What people do.

  choose(tab: Tab): void {
    this.rotation = choose(this.rotation, tab, this.now);
  }

  /** This screen is wanted here, and nowhere else. */
  takeOver(): void {
    if (this.link_state !== 'displaced') return;
    this.close_code = 0;
    this.link.take_over();
  }

  /** Puts these missed episodes away. */
  dismissMissed(shown: readonly AlertRecord[]): void {
    const ids = new Set(shown.map(({ id }) => id));
    this.fold.missed = this.fold.missed.filter(({ id }) => !ids.has(id));
    this.schedule('alerts');
  }

  /** Asks for an acknowledgement; it is done when the record comes back in the log. */
  async acknowledge(record: AlertRecord): Promise<void> {
    const before = this.orders.get(record.id);
    if (before?.phase === 'sending' || before?.phase === 'accepted') return;
    const { id, rev } = record;
    const key = keyFor(before, rev, this.ports.make_key);
    this.order(id, { phase: 'sending', rev, key });
    try {
      await this.ports.api.acknowledge(id, rev, key, this.ports.by);
      this.order(id, { phase: 'accepted', rev, key });
    } catch (error) {
      this.order(id, this.outcome(error, rev, key));
    }
  }

  private outcome(error: unknown, rev: number, key: string): Order {
    const settled = error instanceof Refused && error.status >= 400 && error.status < 500;
    if (!settled) return { phase: 'failed', rev, key };
    const until = this.ports.clock.now() + TELL_MS;
    return { phase: 'refused', rev, current: currentOf(error), until };
  }

  private order(id: string, order: Order): void {
    this.orders = withOrder(this.orders, id, order);
    this.settleOrders();
  }

  private settleOrders(): void {
    this.orders = settle(this.orders, (id) => this.fold.book.get(id), this.ports.clock.now());
  }

  // What the socket tells.

  private opened(): void {
    this.fold.opened();
    this.phase = 'opening';
    this.retry_at = null;
    this.close_code = 0;
  }

  private closed(code: number, retry_in_ms: number | null): void {
    this.close_code = code;
    this.phase = 'opening';
    this.live_since = Infinity;
    this.retry_at = retry_in_ms === null ? null : this.ports.clock.now() + retry_in_ms;
    // Nothing will come any more, so there is nothing to wait for.
    if (code === CLOSE.displaced) this.lost_since ??= this.ports.clock.now();
  }

  private frame(frame: ServerFrame): Verdict {
    if (frame.type === 'welcome' || frame.type === 'heartbeat') this.ports.clock.told(frame.now);
    if (frame.type === 'welcome') this.welcomed(frame);
    if (frame.type === 'tick') {
      for (const row of frame.upserts) {
        if (this.latest.apply(row)) this.trails.add(row);
      }
      this.schedule('values');
      this.confirm();
      return 'go_on';
    }
    const missed_before = this.fold.missed;
    const verdict = this.fold.apply(frame);
    if (this.fold.missed !== missed_before) this.missed_until = this.ports.clock.now() + MISSED_SHOWN_MS;
    this.phase = this.fold.phase === 'live' && this.fold.behind ? 'behind' : this.fold.phase;
    this.confirm();
    if (frame.type !== 'heartbeat') this.schedule('alerts');
    if (this.fold.phase === 'live') this.ring();
    if (frame.type === 'live') this.becameLive();
    return verdict;
  }

  /** Only a live connection proves that the screen is current, and only when nothing that the
   *  server has told of is still to come. */
  private confirm(): void {
    if (this.phase !== 'live') return;
    this.confirmed_at = this.ports.clock.monotonic();
    this.silence_ms = 0;
    this.lost_since = null;
  }

  private welcomed(frame: Extract<ServerFrame, { type: 'welcome' }>): void {
    this.insecure_dev = frame.insecure_dev;
    if (this.build !== null && this.build !== frame.build) this.reload_due = true;
    this.build ??= frame.build;
  }

  private becameLive(): void {
    this.settled = true;
    this.live_since = this.ports.clock.monotonic();
    void this.loadTrails();
    void this.ports.api.rules().then(
      (rules) => (this.rules = rules),
      (error: unknown) => console.warn('rules not loaded', String(error)),
    );
  }

  private raised(record: AlertRecord): void {
    const now = this.ports.clock.now();
    this.new_until.set(record.id, now + NEW_MS);
    if (!isUnacknowledged(record)) return;
    this.loudest = Math.min(this.loudest, record.severity);
    if (record.severity === 1) this.rotation = hold(this.rotation, record.field, now);
  }

  private ring(): void {
    if (this.loudest <= 2) this.sound_now(this.loudest === 1 ? 'critical' : 'high');
    this.loudest = Infinity;
  }

  private sound_now(chime: Chime): void {
    this.ports.speaker.play(chime);
    this.sounded_at = this.ports.clock.monotonic();
  }

  /** Tells Svelte before the next picture, then the server once the picture is committed. */
  private schedule(what: 'alerts' | 'values'): void {
    this.changed[what] = true;
    if (this.scheduled) return;
    this.scheduled = true;
    this.ports.paint(() => void this.flush());
  }

  private async flush(): Promise<void> {
    this.scheduled = false;
    if (this.changed.values) this.values_version += 1;
    if (this.changed.alerts) {
      this.alerts_version += 1;
      this.settleOrders();
    }
    this.changed = { alerts: false, values: false };
    const seq = this.fold.position()?.seq;
    await tick();
    if (seq !== undefined) this.link.shown(seq);
  }

  // What the clock does, once a second.

  private second(): void {
    const { clock } = this.ports;
    const now = clock.now();
    this.now = now;
    this.silence_ms = clock.monotonic() - this.confirmed_at;
    if (this.silence_ms > SILENCE_MS) this.lose(now);
    this.rotation = advance(this.rotation, now);
    this.settleOrders();
    this.forget(now);
    this.repeat();
    this.note(now);
    if (this.phase === 'live') this.ports.remember(now);
    // A page that was put aside would take its name back with a reload.
    const may_reload = this.link_state !== 'displaced' && this.counts[1].unacknowledged === 0;
    if (this.reload_due && may_reload) this.ports.reload();
  }

  private lose(now: number): void {
    if (this.lost_since !== null) return;
    this.lost_since = now - this.silence_ms;
    this.sound_now('lost');
  }

  /** A gap in a trail is filled from the server; a value that may be wrong would stay. */
  private note(now: number): void {
    const elapsed = this.ports.clock.monotonic();
    if (elapsed - this.live_since < COMPLETE_MS || this.silence_ms > SLOW_MS) return;
    if (elapsed - this.noted_at < NOTE_MS) return;
    this.noted_at = elapsed;
    this.trails.note(this.latest, now);
  }

  private forget(now: number): void {
    for (const [id, until] of this.new_until) if (until <= now) this.new_until.delete(id);
    this.fold.book.prune(now);
    if (this.fold.missed.length > 0 && now > this.missed_until) {
      this.dismissMissed(this.fold.missed);
    }
  }

  private repeat(): void {
    if (this.ports.clock.monotonic() - this.sounded_at < REPEAT_MS) return;
    // The page that took its name is heard.
    if (this.link_state === 'displaced') return;
    if (this.lost_since !== null) return this.sound_now('lost');
    if (this.counts[1].unacknowledged > 0 && this.settled) this.sound_now('critical');
  }

  // What is loaded once, and again until it is there.

  private async load(): Promise<void> {
    const { api } = this.ports;
    const plan = this.until(async () => (this.plan = await api.wall()));
    const devices = this.until(async () => {
      const all = await api.devices();
      this.devices = new Map(all.map((device) => [device.id, device]));
      this.latest.know(new Set(this.devices.keys()));
    });
    const map = this.until(async () => (this.map = await api.map()));
    await Promise.all([plan, devices]);
    const tiles = this.plan?.tiles ?? [];
    // The first page first.
    const ordered = new Set([...tilesOf(tiles, this.rotation.tab), ...tiles]);
    this.trails.want([...ordered], [...this.devices.values()]);
    await Promise.all([this.loadTrails(), map]);
  }

  /** At the start and after each interruption: fills what was not heard. */
  private async loadTrails(): Promise<void> {
    this.history_wanted = true;
    if (this.history_loading || this.plan === null || this.devices.size === 0) return;
    this.history_loading = true;
    const shown = setInterval(() => (this.history_version += 1), 1_000);
    while (this.history_wanted && !this.stopped) {
      this.history_wanted = false;
      await this.until(() => this.trails.load(this.ports.api, this.ports.clock.now()));
    }
    clearInterval(shown);
    this.history_version += 1;
    this.history_loading = false;
  }

  private async until(work: () => Promise<unknown>): Promise<void> {
    for (let attempt = 0; !this.stopped; attempt++) {
      try {
        await work();
        return;
      } catch (error) {
        console.warn('not loaded yet', String(error));
        const wait = LOAD_WAITS_MS[Math.min(attempt, LOAD_WAITS_MS.length - 1)];
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }
}
