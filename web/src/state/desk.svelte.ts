// The desk's state: over what every screen holds, the words for devices, rules and places, where
// the person is, and what they are called.
import type { SoundState, Speaker } from '../sound/chime';
import type { DeskApi } from '../wire/desk_api';
import type { Device, ProvinceMap } from '../wire/http';
import type { ServerFrame } from '../wire/frames';
import type { Person } from '../wire/on_call';
import type { RuleText } from '../wire/rules';
import type { AlertRecord } from '../wire/nouns';
import type { Act } from './acts';
import { needsRevision } from './acts';
import { isUnacknowledged } from './alerts';
import { addressOf, placeAt, type Place } from './desk_place';
import { filterOf, type Filter } from './filter';
import { Live, type LivePorts } from './live.svelte';
import { Post } from './post.svelte';

export interface DeskPorts extends LivePorts {
  api: DeskApi;
  /** The browser's address. */
  address: {
    now(): Pick<Location, 'pathname' | 'search'>;
    push(url: string): void;
    replace(url: string): void;
  };
  /** Keeps the name of the person in this browser. */
  keep_name: (name: string) => void;
  /** Whether single letters and signs are keys, and keeps it. */
  letters: boolean;
  keep_letters: (on: boolean) => void;
  speaker: Pick<Speaker, 'play'>;
  remember: (now: number) => void;
}

/** How long a new critical alert stays where screen readers hear of it, milliseconds, and how many
 *  do. */
const HEARD_MS = 30_000;
const HEARD_MAX = 20;

/** Longest name of a person, as the server takes it. */
export const NAME_MAX = 64;

export class DeskState extends Live<DeskPorts> {
  devices = $state.raw<Map<string, Device>>(new Map());
  rules = $state.raw<Map<string, RuleText>>(new Map());
  map = $state.raw<ProvinceMap | null>(null);
  /** Everybody who can be on call, by id. */
  people = $state.raw<Map<string, Person>>(new Map());
  place = $state.raw<Place>({ page: 'list', filter: filterOf(new URLSearchParams()) });
  /** Critical alerts that have just come, oldest first. */
  heard = $state.raw<readonly { alert: AlertRecord; until: number }[]>([]);
  sound = $state<SoundState>('blocked');
  letters = $state(true);
  private rings = false;
  /** The list as it was left, to come back to. */
  private left: Filter = filterOf(new URLSearchParams());

  constructor(ports: DeskPorts) {
    super(ports);
    this.letters = ports.letters;
    this.arrived();
  }

  get api(): DeskApi {
    return this.ports.api;
  }

  override start(): void {
    super.start();
    void this.until(async () => {
      const all = await this.api.devices();
      this.devices = new Map(all.map((device) => [device.id, device]));
    });
    void this.until(async () => (this.map = await this.api.map()));
  }

  /** An order of its own for a form. */
  newPost(): Post {
    return new Post(this.ports.make_key);
  }

  /** Asks for something about one alert; see `OrderBook`. */
  act(alert: AlertRecord, act: Act, body: object) {
    const rev = needsRevision(act) ? alert.rev : undefined;
    return this.orders.give({ alert: alert.id, act, body: { by: this.by, ...body }, rev });
  }

  callMe(name: string): void {
    this.by = name.normalize('NFC').trim().slice(0, NAME_MAX);
    this.ports.keep_name(this.by);
  }

  /** Whether single letters and signs are keys: whoever speaks to the computer may not want it. */
  useLetters(on: boolean): void {
    this.letters = on;
    this.ports.keep_letters(on);
  }

  /** Goes to another page; the browser's own way back leads here again. */
  go(to: Exclude<Place, { page: 'unknown' }>): void {
    this.ports.address.push(addressOf(to));
    this.set(to);
  }

  /** Follows a link within the desk. */
  follow(url: string): void {
    this.ports.address.push(url);
    this.arrived();
  }

  /** Another choice of the list: not a step of its own on the way back. */
  narrow(filter: Filter): void {
    this.ports.address.replace(addressOf({ page: 'list', filter }));
    this.set({ page: 'list', filter });
  }

  /** The list as the person left it. */
  get list(): Place & { page: 'list' } {
    return { page: 'list', filter: this.left };
  }

  /** The browser has gone somewhere by itself. */
  arrived(): void {
    const { pathname, search } = this.ports.address.now();
    this.set(placeAt(pathname, search));
  }

  private set(place: Place): void {
    this.place = place;
    if (place.page === 'list') this.left = place.filter;
  }

  /** What is critical and nobody's is told on whatever page the person is. */
  protected override raised(alert: AlertRecord): void {
    if (alert.severity !== 1 || !isUnacknowledged(alert)) return;
    const others = this.heard.filter((each) => each.alert.id !== alert.id);
    const until = this.ports.clock.now() + HEARD_MS;
    this.heard = [...others, { alert, until }].slice(-HEARD_MAX);
    this.rings = true;
  }

  protected override took(frame: ServerFrame): void {
    // One sound for all that came while the screen was away.
    if (this.rings && this.fold.phase === 'live') {
      this.rings = false;
      this.ports.speaker.play('critical');
    }
    if (frame.type !== 'live') return;
    // Rules change while the centre runs.
    void this.until(async () => (this.rules = await this.api.ruleTexts()));
    // A centre may have nobody on call.
    void this.api.roster().then(
      ({ people }) => (this.people = new Map(people.map((person) => [person.id, person]))),
      (error: unknown) => console.warn('roster not loaded', String(error)),
    );
  }

  protected override eachSecond(now: number): void {
    if (this.phase === 'live') this.ports.remember(now);
    if (this.heard.some(({ until }) => until <= now)) {
      this.heard = this.heard.filter(({ until }) => until > now);
    }
  }

  /** What a person is writing must not be lost. */
  protected override mayReload(): boolean {
    return super.mayReload() && this.place.page === 'list';
  }
}
