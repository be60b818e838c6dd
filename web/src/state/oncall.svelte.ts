// The phone of somebody on call: whose it is, the open alerts they were called about, and the
// acknowledgements on their way to the server.
import type { ServerFrame } from '../wire/frames';
import type { Device, ProvinceMap } from '../wire/http';
import type { AlertRecord } from '../wire/nouns';
import type { Person, Roster } from '../wire/on_call';
import type { OnCallApi } from '../wire/oncall_api';
import type { RuleText } from '../wire/rules';
import { byUrgency, isOpen } from './alerts';
import { Live, type LivePorts } from './live.svelte';
import { Loaded } from './loaded.svelte';
import { readPending, waitBefore, withoutPending, withPending, written, type Pending } from './pending';

/** The list is asked for again after this while somebody can see it, milliseconds: that a person was
 *  called stands in no frame. */
const REFRESH_MS = 5_000;
/** The same while nobody can, milliseconds. */
const HIDDEN_MS = 30_000;
/** How long an answer is waited for before the list is asked for once more, milliseconds: on a slow
 *  network each asking would only make the one before it worthless. */
const ANSWER_MS = 25_000;
/** Changes that come within this are one reason to ask, milliseconds. */
const GATHER_MS = 1_000;
/** How long an alert that is over stays, so that the person sees that theirs was taken. */
const TAKEN_MS = 60_000;

export interface OnCallPorts extends LivePorts {
  api: OnCallApi;
  /** Kept in this browser. */
  storage: Pick<Storage, 'getItem' | 'setItem'>;
  /** Whether the page can be seen. */
  is_visible: () => boolean;
}

const PERSON = 'sen.oncall.person';
const PENDING = 'sen.oncall.pending';

export class OnCallState extends Live<OnCallPorts> {
  person_id = $state('');
  devices = $state.raw<Map<string, Device>>(new Map());
  rules = $state.raw<Map<string, RuleText>>(new Map());
  map = $state.raw<ProvinceMap | null>(null);
  pending = $state.raw<Pending[]>([]);
  /** When the list was last heard from the server, milliseconds UTC. */
  checked_at = $state<number | undefined>();
  readonly roster: Loaded<Roster>;
  private readonly fetched: Loaded<AlertRecord[]>;
  /** Alerts taken from this phone, and when. */
  private taken = $state.raw<ReadonlyMap<string, number>>(new Map());
  private readonly tries = new Map<string, { attempt: number; at: number }>();
  private refresh_at = 0;

  constructor(ports: OnCallPorts) {
    super(ports);
    this.person_id = ports.storage.getItem(PERSON) ?? '';
    this.pending = readPending(ports.storage.getItem(PENDING), ports.clock.now());
    this.roster = new Loaded(() => ports.api.roster());
    this.fetched = new Loaded(() => this.fetch());
  }

  get api(): OnCallApi {
    return this.ports.api;
  }

  override start(): void {
    super.start();
    void this.until(async () => {
      await this.roster.load();
      if (this.roster.failed) throw new Error('no roster');
    });
    void this.until(async () => {
      const all = await this.api.devices();
      this.devices = new Map(all.map((device) => [device.id, device]));
    });
    void this.until(async () => (this.map = await this.api.map()));
    void this.refresh();
    for (const { alert } of this.pending) void this.send(alert);
  }

  get person(): Person | undefined {
    return this.roster.value?.people.find(({ id }) => id === this.person_id);
  }

  /** Under which name alerts are taken from this phone. */
  get name(): string {
    return this.person?.name ?? this.person_id;
  }

  choose(id: string): void {
    this.person_id = id;
    this.ports.storage.setItem(PERSON, id);
    this.fetched.value = undefined;
    this.checked_at = undefined;
    void this.refresh();
  }

  /** The alerts this person was called about, most urgent first: what is open, what was just taken
   *  from here, and what is still being sent. */
  get mine(): AlertRecord[] {
    const all = (this.fetched.value ?? []).map(({ id }) => this.newest(id)).filter((each) => each !== undefined);
    const stays = (alert: AlertRecord) => isOpen(alert) || this.taken.has(alert.id) || this.isPending(alert.id);
    return all.filter(stays).sort(byUrgency);
  }

  isPending(alert: string): boolean {
    return this.pending.some((each) => each.alert === alert);
  }

  /** When an acknowledgement that did not get through is tried again, milliseconds UTC. */
  retryAt(alert: string): number | undefined {
    return this.tries.get(alert)?.at;
  }

  /** The person takes an alert: noted here first, so that it is not lost, and then sent until the
   *  server has answered. */
  take(alert: AlertRecord): void {
    const { id } = alert;
    if (this.isPending(id)) return;
    const one = { alert: id, key: this.ports.make_key(), by: this.name, at: this.ports.clock.now() };
    this.keep(withPending(this.pending, one));
    void this.send(id);
  }

  /** Sends what waits, now: the network is back, or the person wants to know. */
  hurry(): void {
    for (const { alert } of this.pending) void this.send(alert);
    void this.refresh();
  }

  /** No revision goes with it: whoever is called takes the alert as it is by then. */
  private async send(alert: string): Promise<void> {
    const one = this.pending.find((each) => each.alert === alert);
    if (!one) return;
    const wanted = { alert, act: 'acknowledge', body: { by: one.by, note: '' } };
    const attempt = (this.tries.get(alert)?.attempt ?? -1) + 1;
    this.tries.set(alert, { attempt, at: this.ports.clock.now() + waitBefore(attempt) });
    const outcome = await this.orders.give(wanted, one.key);
    if (outcome === 'under_way') return;
    if (outcome === 'failed') {
      this.tries.set(alert, { attempt, at: this.ports.clock.now() + waitBefore(attempt) });
      return;
    }
    this.tries.delete(alert);
    this.keep(withoutPending(this.pending, alert));
    if (outcome === 'done') this.taken = new Map(this.taken).set(alert, this.ports.clock.now());
    void this.refresh();
  }

  private keep(pending: Pending[]): void {
    this.pending = pending;
    this.ports.storage.setItem(PENDING, written(pending));
  }

  /** The newest of the live record and of the one that was asked for. */
  private newest(id: string): AlertRecord | undefined {
    const [live, held] = [this.find(id), this.fetched.value?.find((each) => each.id === id)];
    if (!live || !held) return live ?? held;
    return live.rev >= held.rev ? live : held;
  }

  protected override known(id: string): AlertRecord | undefined {
    return this.newest(id);
  }

  /** What a person was called about, with what is still to be told of what they have taken. */
  private async fetch(): Promise<AlertRecord[]> {
    const person = this.person_id;
    if (person === '') return [];
    const listed = await this.api.alertsOf(person);
    if (person === this.person_id) this.checked_at = this.ports.clock.now();
    const ids = new Set(listed.map(({ id }) => id));
    const kept = (this.fetched.value ?? []).filter(
      ({ id }) => !ids.has(id) && (this.taken.has(id) || this.isPending(id)),
    );
    return [...listed, ...kept];
  }

  private async refresh(): Promise<void> {
    const wait = this.ports.is_visible() ? REFRESH_MS : HIDDEN_MS;
    this.refresh_at = this.ports.clock.monotonic() + wait;
    await this.fetched.load();
    this.orders.settle();
  }

  protected override took(frame: ServerFrame): void {
    if (frame.type === 'alert' || frame.type === 'skip') {
      this.refresh_at = Math.min(this.refresh_at, this.ports.clock.monotonic() + GATHER_MS);
    }
    if (frame.type !== 'live') return;
    this.hurry();
    void this.until(async () => (this.rules = await this.api.ruleTexts()));
  }

  protected override eachSecond(now: number): void {
    const late_ms = this.ports.clock.monotonic() - this.refresh_at;
    if (late_ms >= (this.fetched.busy ? ANSWER_MS : 0)) void this.refresh();
    for (const [alert, { at }] of this.tries) if (at <= now) void this.send(alert);
    const old = [...this.taken].filter(([, at]) => now - at > TAKEN_MS);
    if (old.length === 0) return;
    const left = new Map(this.taken);
    for (const [id] of old) left.delete(id);
    this.taken = left;
  }

  protected override mayReload(): boolean {
    return super.mayReload() && this.pending.length === 0;
  }
}
