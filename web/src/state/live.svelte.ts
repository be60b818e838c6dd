// What every screen holds of the centre as it happens: the socket, the fold of the alert log, how
// the centre stands, the server's time, orders on their way. Svelte is told once a frame.
import { tick } from 'svelte';
import { UNTOLD, type Centre } from '../wire/centre';
import type { ServerClock } from '../wire/clock';
import type { ServerFrame } from '../wire/frames';
import type { Api } from '../wire/http';
import { CLOSE, LiveLink, SILENCE_MS, type LinkOptions, type Verdict } from '../wire/link';
import type { AlertRecord } from '../wire/nouns';
import type { Aside } from './alerts';
import { Fold } from './fold';
import { OrderBook, type Outcome } from './order_book.svelte';

/** Silence after which a screen says that the signal is slow, milliseconds. */
export const SLOW_MS = 7_000;
/** Waits between tries to load what a screen shows, milliseconds. */
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

/** What a screen needs of the world. */
export interface LivePorts {
  api: Api;
  clock: ServerClock;
  link: LinkOptions;
  /** Runs before the next picture is drawn (`requestAnimationFrame`). */
  paint: (run: () => void) => void;
  reload: () => void;
  make_key: () => string;
  /** Who gives orders from this screen, until people sign in. */
  by: string;
  /** When an earlier life of this page last was live; null if long ago. */
  away_since: number | null;
}

export class Live<P extends LivePorts = LivePorts> {
  insecure_dev = $state(false);
  /** The server's time, once a second. */
  now = $state(0);
  /** Since when nothing confirmed that this screen is current; null while it is. */
  lost_since = $state<number | null>(null);
  /** When the next connection is tried, milliseconds UTC; null while one is open. */
  retry_at = $state<number | null>(null);
  /** Whether the first snapshot has come. */
  settled = $state(false);
  centre = $state.raw<Centre>(UNTOLD);
  by = $state('');
  readonly orders: OrderBook;

  protected readonly fold: Fold;
  protected readonly link: LiveLink;
  protected phase = $state<Fold['phase'] | 'behind'>('opening');
  protected silence_ms = $state(0);
  /** When this connection went live, by the clock that only grows. */
  protected live_since = Infinity;
  protected stopped = false;
  private alerts_version = $state(0);
  private close_code = $state(0);
  private scheduled = false;
  private confirmed_at: number;
  private build: string | null = null;
  private reload_due = false;
  private clock_timer: ReturnType<typeof setInterval> | undefined;

  constructor(protected readonly ports: P) {
    this.fold = new Fold({ raised: (record) => this.raised(record) }, ports.away_since);
    this.link = new LiveLink(ports.link, {
      position: () => this.fold.position(),
      frame: (frame) => this.frame(frame),
      opened: () => this.opened(),
      closed: (code, retry_in_ms) => this.closed(code, retry_in_ms),
    });
    this.orders = new OrderBook({
      api: ports.api,
      find: (id) => this.known(id),
      now: () => ports.clock.now(),
      make_key: ports.make_key,
    });
    this.confirmed_at = ports.clock.monotonic();
    this.now = ports.clock.now();
    this.by = ports.by;
  }

  start(): void {
    this.link.start();
    this.clock_timer = setInterval(() => this.second(), 1_000);
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.clock_timer);
    this.link.stop();
  }

  // What a kind of screen adds.

  protected raised(_record: AlertRecord): void {}
  protected ticked(_frame: Extract<ServerFrame, { type: 'tick' }>): void {}
  /** After a frame was taken in. */
  protected took(_frame: ServerFrame): void {}
  protected eachSecond(_now: number): void {}
  protected lost(): void {}
  /** Before Svelte draws what has changed. */
  protected drawing(): void {}

  // What components read. Each reads a version first, so that Svelte knows when to ask again.

  /** The alerts that people work from, most urgent first. */
  get open(): AlertRecord[] {
    void this.alerts_version;
    return this.fold.book.open();
  }

  aside(how: Aside): AlertRecord[] {
    void this.alerts_version;
    return this.fold.book.aside(how);
  }

  get counts() {
    void this.alerts_version;
    return this.fold.book.counts();
  }

  /** The newest of what this screen knows of an alert, from wherever. */
  protected known(id: string): AlertRecord | undefined {
    return this.fold.book.get(id);
  }

  /** An alert as it is now, open or not. */
  find(id: string): AlertRecord | undefined {
    void this.alerts_version;
    return this.fold.book.get(id);
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

  // What people do.

  /** This screen is wanted here, and nowhere else. */
  takeOver(): void {
    if (this.link_state !== 'displaced') return;
    this.close_code = 0;
    this.link.take_over();
  }

  /** Asks for an acknowledgement; it is done when the record comes back in the log. */
  acknowledge({ id, rev }: AlertRecord): Promise<Outcome | 'under_way'> {
    return this.orders.give({ alert: id, act: 'acknowledge', body: { by: this.by, note: '' }, rev });
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
    if (frame.type === 'centre') this.centre = frame.centre;
    if (frame.type === 'tick') {
      this.ticked(frame);
      this.confirm();
      return 'go_on';
    }
    const verdict = this.fold.apply(frame);
    this.phase = this.fold.phase === 'live' && this.fold.behind ? 'behind' : this.fold.phase;
    this.confirm();
    if (frame.type !== 'heartbeat') this.schedule();
    if (frame.type === 'live') this.becameLive();
    this.took(frame);
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
  }

  /** Tells Svelte before the next picture, then the server once the picture is committed. */
  protected schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    this.ports.paint(() => void this.flush());
  }

  private async flush(): Promise<void> {
    this.scheduled = false;
    this.drawing();
    this.alerts_version += 1;
    this.orders.settle();
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
    if (this.silence_ms > SILENCE_MS && this.lost_since === null) {
      this.lost_since = now - this.silence_ms;
      this.lost();
    }
    this.orders.settle();
    this.fold.book.prune(now);
    this.eachSecond(now);
    if (this.reload_due && this.mayReload()) this.ports.reload();
  }

  /** A page that was put aside would take its name back with a reload. */
  protected mayReload(): boolean {
    return this.link_state !== 'displaced' && this.counts[1].unacknowledged === 0;
  }

  /** Works at it until it is done, or the screen is. */
  protected async until(work: () => Promise<unknown>): Promise<void> {
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
