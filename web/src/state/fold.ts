// The screen's side of the live protocol: keeps the place in the log, checks the chain, folds the
// alerts, and finds what was missed. Pure: no socket and no clock.
import type { Position, ServerFrame } from '../wire/frames';
import type { Verdict } from '../wire/link';
import type { AlertRecord } from '../wire/nouns';
import { AlertBook, hasEnded, isPutAside, isShown } from './alerts';

/** Most missed episodes kept for display. */
export const MISSED_MAX = 50;

export type Phase = 'opening' | 'replaying' | 'live';

export interface FoldEvents {
  /** An alert that came up while the screen was watching, or while it was away; also one that was
   *  put aside and is back on the list. */
  raised?(record: AlertRecord): void;
}

type Frame<T extends ServerFrame['type']> = Extract<ServerFrame, { type: T }>;

export class Fold {
  readonly book = new AlertBook();
  phase: Phase = 'opening';
  /** Episodes that began and ended while the screen was away, newest first. */
  missed: AlertRecord[] = [];

  private epoch: string | null = null;
  /** The last seq this screen was told of; null without a complete fold. */
  private last_seq: number | null = null;
  private awaited: 'resume' | 'snapshot' = 'snapshot';
  private parts: AlertRecord[] = [];
  private next_part = 1;
  private replayed = new Set<string>();
  private lag: { head: number; seq: number } | null = null;
  /** The newest record that the server told of, since the connection began. */
  private head = 0;

  /** `away_since`: when an earlier life of this page last was live, if that is worth telling. */
  constructor(
    private readonly events: FoldEvents = {},
    private readonly away_since: number | null = null,
  ) {}

  /** What to resume from; null without a complete fold. */
  position(): Position | null {
    if (this.epoch === null || this.last_seq === null) return null;
    return { epoch: this.epoch, seq: this.last_seq };
  }

  /** Whether the server has told of records that are not here yet. */
  get behind(): boolean {
    return this.last_seq === null || this.last_seq < this.head;
  }

  /** A new connection begins. */
  opened(): void {
    this.phase = 'opening';
    this.head = 0;
    this.parts = [];
    this.next_part = 1;
    this.lag = null;
  }

  apply(frame: ServerFrame): Verdict {
    switch (frame.type) {
      case 'welcome':
        return this.welcome(frame);
      case 'snapshot':
        return this.snapshot(frame);
      case 'alert':
        return this.alert(frame);
      case 'skip':
        return this.skip(frame);
      case 'live':
        return this.live();
      case 'heartbeat':
        return this.heartbeat(frame);
      default:
        return 'go_on';
    }
  }

  private welcome(frame: Frame<'welcome'>): Verdict {
    if (frame.mode === 'resume' && (this.last_seq === null || frame.epoch !== this.epoch)) {
      return this.start_over();
    }
    this.phase = 'replaying';
    this.awaited = frame.mode;
    return 'go_on';
  }

  private snapshot(frame: Frame<'snapshot'>): Verdict {
    if (this.awaited !== 'snapshot' || frame.part !== this.next_part) return this.start_over();
    this.parts.push(...frame.items);
    this.next_part += 1;
    if (frame.part < frame.n) return 'go_on';
    this.settle(frame.epoch, frame.as_of);
    return 'go_on';
  }

  /** The whole snapshot is here: it takes the place of what was known. */
  private settle(epoch: string, as_of: number): void {
    const items = this.parts;
    const was_away = this.last_seq !== null;
    const since = this.away_since ?? Infinity;
    const unheard = items
      .filter((item) => !this.book.has(item.id))
      .filter((item) => was_away || item.started_at > since);
    for (const item of unheard) this.replayed.add(item.id);
    // Another epoch is another log: revs of the old one mean nothing there.
    if (epoch !== this.epoch) this.book.replace([]);
    this.book.replace(items);
    for (const item of unheard) this.tell(item, undefined);
    this.epoch = epoch;
    this.last_seq = as_of;
    this.parts = [];
  }

  private alert(frame: Frame<'alert'>): Verdict {
    if (frame.prev !== this.last_seq || frame.seq <= frame.prev) return 'resume';
    this.last_seq = frame.seq;
    const { record } = frame;
    const before = this.book.get(record.id);
    const effect = this.book.apply(record);
    if (effect === 'new' && this.phase !== 'live') this.replayed.add(record.id);
    if (effect !== 'known') this.tell(record, before);
    return 'go_on';
  }

  /** Nobody is called for what is put aside; what is back on the list is news again. */
  private tell(record: AlertRecord, before: AlertRecord | undefined): void {
    const is_back = before !== undefined && isPutAside(before) && isShown(record);
    if (is_back || (before === undefined && !isPutAside(record))) this.events.raised?.(record);
  }

  private skip(frame: Frame<'skip'>): Verdict {
    if (frame.prev !== this.last_seq || frame.to < frame.prev) return 'resume';
    this.last_seq = frame.to;
    return 'go_on';
  }

  private live(): Verdict {
    if (this.last_seq === null) return this.start_over();
    this.phase = 'live';
    const missed = [...this.replayed]
      .map((id) => this.book.get(id))
      .filter((record) => record !== undefined && hasEnded(record))
      .filter((record) => !isPutAside(record as AlertRecord)) as AlertRecord[];
    this.replayed.clear();
    missed.sort((a, b) => b.started_at - a.started_at);
    const news = new Set(missed.map((record) => record.id));
    const kept = this.missed.filter((record) => !news.has(record.id));
    this.missed = [...missed, ...kept].slice(0, MISSED_MAX);
    return 'go_on';
  }

  /** Behind the same head for two heartbeats and not moving: something was lost on the way. */
  private heartbeat(frame: Frame<'heartbeat'>): Verdict {
    this.head = Math.max(this.head, frame.head);
    const seq = this.last_seq;
    if (seq === null || this.phase !== 'live' || frame.head <= seq) {
      this.lag = null;
      return 'go_on';
    }
    const stuck = this.lag !== null && this.lag.seq === seq;
    this.lag = { head: frame.head, seq };
    return stuck ? 'resume' : 'go_on';
  }

  /** The server's frames make no sense together: come back without a position. */
  private start_over(): Verdict {
    this.last_seq = null;
    return 'resume';
  }
}
