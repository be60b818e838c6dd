// The wall's state as the components see it: over what every screen holds, the values of the
// stations, their trails, what turns by itself, and what is heard.
import type { Chime, SoundState, Speaker } from '../sound/chime';
import type { ServerFrame } from '../wire/frames';
import type { Device, ProvinceMap, WallPlan } from '../wire/http';
import type { AlertRecord, Text } from '../wire/nouns';
import { isUnacknowledged } from './alerts';
import { LatestValues } from './latest';
import { Live, SLOW_MS, type LivePorts } from './live.svelte';
import { advance, begin, choose, hold, type Rotation, type Tab } from './rotation';
import { tilesOf } from './tiles';
import { TrailBook } from './trails';

/** How long a new alert keeps its outline, milliseconds. */
export const NEW_MS = 10_000;
/** How often an alert of severity 1 that nobody has taken is heard again, milliseconds. */
export const REPEAT_MS = 60_000;
/** How long missed episodes stay on the wall when nobody dismisses them, milliseconds. */
const MISSED_SHOWN_MS = 30 * 60_000;
/** How often the trails note what the tiles over many devices say, milliseconds. */
const NOTE_MS = 5_000;
/** By so long after it went live a screen has heard every value there is, milliseconds. */
const COMPLETE_MS = 5_000;

/** What the wall needs of the world. */
export interface Ports extends LivePorts {
  speaker: Pick<Speaker, 'play' | 'state'>;
  /** Called now and then while live, with the server's time. */
  remember: (now: number) => void;
}

export class WallState extends Live<Ports> {
  plan = $state.raw<WallPlan | null>(null);
  devices = $state.raw<Map<string, Device>>(new Map());
  map = $state.raw<ProvinceMap | null>(null);
  /** The names of the rules; reloaded with each connection, since rules change while running. */
  rules = $state.raw<Map<string, Text>>(new Map());
  rotation = $state.raw<Rotation>(begin(0));
  sound = $state<SoundState>('blocked');

  readonly latest = new LatestValues();
  readonly trails = new TrailBook();
  private values_version = $state(0);
  private history_version = $state(0);
  private values_changed = false;
  private readonly new_until = new Map<string, number>();
  private loudest = Infinity;
  private sounded_at = -Infinity;
  private noted_at = -Infinity;
  private missed_before: AlertRecord[] = [];
  private missed_until = 0;
  private missed_version = $state(0);
  private history_wanted = false;
  private history_loading = false;

  constructor(ports: Ports) {
    super(ports);
    this.rotation = begin(this.now);
    this.sound = ports.speaker.state();
  }

  override start(): void {
    super.start();
    void this.load();
  }

  get missed(): AlertRecord[] {
    void this.missed_version;
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

  isNew(record: AlertRecord): boolean {
    return (this.new_until.get(record.id) ?? 0) > this.now;
  }

  // What people do.

  choose(tab: Tab): void {
    this.rotation = choose(this.rotation, tab, this.now);
  }

  /** Puts these missed episodes away. */
  dismissMissed(shown: readonly AlertRecord[]): void {
    const ids = new Set(shown.map(({ id }) => id));
    this.fold.missed = this.fold.missed.filter(({ id }) => !ids.has(id));
    this.missed_version += 1;
  }

  // What the socket tells.

  protected override ticked(frame: Extract<ServerFrame, { type: 'tick' }>): void {
    for (const row of frame.upserts) {
      if (this.latest.apply(row)) this.trails.add(row);
    }
    this.values_changed = true;
    this.schedule();
  }

  protected override took(frame: ServerFrame): void {
    if (this.fold.missed !== this.missed_before) {
      this.missed_before = this.fold.missed;
      this.missed_until = this.ports.clock.now() + MISSED_SHOWN_MS;
      this.missed_version += 1;
    }
    if (this.fold.phase === 'live') this.ring();
    if (frame.type !== 'live') return;
    void this.loadTrails();
    void this.ports.api.rules().then(
      (rules) => (this.rules = rules),
      (error: unknown) => console.warn('rules not loaded', String(error)),
    );
  }

  protected override raised(record: AlertRecord): void {
    const now = this.ports.clock.now();
    this.new_until.set(record.id, now + NEW_MS);
    // In a flood only the critical ones are heard: a bell for each would be one long noise.
    const in_flood = this.centre.floods.some(({ desk }) => desk === record.field);
    if (!isUnacknowledged(record) || (in_flood && record.severity > 1)) return;
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

  protected override drawing(): void {
    if (this.values_changed) this.values_version += 1;
    this.values_changed = false;
  }

  // What the clock does, once a second.

  protected override eachSecond(now: number): void {
    this.rotation = advance(this.rotation, now);
    for (const [id, until] of this.new_until) if (until <= now) this.new_until.delete(id);
    if (this.fold.missed.length > 0 && now > this.missed_until) this.dismissMissed(this.fold.missed);
    this.repeat();
    this.note(now);
    if (this.phase === 'live') this.ports.remember(now);
  }

  protected override lost(): void {
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
}
