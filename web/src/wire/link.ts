// The socket: connects, says hello, watches for silence, and comes back by itself, for months.
// What the frames mean is not decided here; `Listener.frame` answers with what to do.
import { parseFrame, hello, seen, type Position, type ServerFrame } from './frames';
import { Malformed } from './shape';

/** Silence after which the connection is given up, milliseconds (three missed heartbeats). */
export const SILENCE_MS = 15_000;
/** Shortest wait before a reconnect, and the longest, milliseconds. */
export const RECONNECT_MIN_MS = 500;
export const RECONNECT_MAX_MS = 10_000;
/** `seen` goes out at most this often, milliseconds. */
export const SEEN_EVERY_MS = 1_000;

export const CLOSE = {
  restart: 1012,
  refused: 4400,
  signed_out: 4401,
  forbidden: 4403,
  displaced: 4409,
  resume: 4410,
} as const;

/** What to do after a frame: go on, reconnect and resume, or give up this connection as broken. */
export type Verdict = 'go_on' | 'resume' | 'refuse';

export interface Listener {
  /** What to ask for in `hello`. */
  position(): Position | null;
  frame(frame: ServerFrame): Verdict;
  opened(): void;
  /** The connection ended; `code` 0 where it never opened or the page ended it for silence.
   *  `retry_in_ms` is null where only a person may bring it back. */
  closed(code: number, retry_in_ms: number | null): void;
}

/** The part of WebSocket that is used, so that tests can stand in for it. */
export interface Socket {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  readonly readyState: number;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export interface LinkOptions {
  screen: string;
  connect: () => Socket;
  monotonic: () => number;
  /** Upper bound of the reconnect delay; tests shorten it. */
  reconnect_max_ms?: number;
  random?: () => number;
}

const OPEN = 1;

/** How long to wait before try number `attempt` (from 0): random, so that a hundred screens do
 *  not come back in one moment; the bound doubles from 2 s to the longest. */
export function reconnectDelay(attempt: number, max_ms: number, random: number): number {
  const least = Math.min(RECONNECT_MIN_MS, max_ms);
  const bound = Math.min(max_ms, 2_000 * 2 ** Math.min(attempt, 10));
  return least + random * (bound - least);
}

export class LiveLink {
  private socket: Socket | null = null;
  private attempt = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private watch: ReturnType<typeof setInterval> | undefined;
  private heard_at: number;
  private opened_at = 0;
  private seen_seq = -1;
  private seen_at = -Infinity;
  private seen_later: ReturnType<typeof setTimeout> | undefined;
  private stopped = false;
  /** Another page took this screen's name. */
  private displaced = false;

  constructor(
    private readonly options: LinkOptions,
    private readonly listener: Listener,
  ) {
    this.heard_at = options.monotonic();
  }

  start(): void {
    this.watch = setInterval(() => this.watchdog(), 1_000);
    this.open();
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.watch);
    clearTimeout(this.retry);
    clearTimeout(this.seen_later);
    this.detach()?.close(1000);
  }

  /** A person wants this screen here, whoever else holds its name. Does nothing while a
   *  connection is there or on its way. */
  take_over(): void {
    if (!this.displaced) return;
    this.displaced = false;
    this.open();
  }

  /** Milliseconds since the last frame (since the start, if there was none). */
  silence_ms(): number {
    return this.options.monotonic() - this.heard_at;
  }

  /** Everything up to `seq` is on the glass. */
  shown(seq: number): void {
    if (seq <= this.seen_seq || this.socket?.readyState !== OPEN) return;
    const wait = this.seen_at + SEEN_EVERY_MS - this.options.monotonic();
    if (wait <= 0) return this.tell(seq);
    clearTimeout(this.seen_later);
    this.seen_later = setTimeout(() => this.tell(seq), wait);
  }

  private tell(seq: number): void {
    if (this.socket?.readyState !== OPEN) return;
    this.seen_seq = seq;
    this.seen_at = this.options.monotonic();
    this.socket.send(JSON.stringify(seen(seq)));
  }

  private open(): void {
    if (this.stopped) return;
    const socket = this.options.connect();
    this.socket = socket;
    this.opened_at = this.options.monotonic();
    this.seen_seq = -1;
    socket.onopen = () => {
      this.listener.opened();
      socket.send(JSON.stringify(hello(this.options.screen, this.listener.position())));
    };
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = (event) => this.ended(event.code);
  }

  private receive(raw: unknown): void {
    this.heard_at = this.options.monotonic();
    let verdict: Verdict;
    try {
      const frame = parseFrame(String(raw));
      verdict = this.listener.frame(frame);
      if (frame.type === 'live') this.attempt = 0;
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      console.warn('frame refused', error.message);
      verdict = 'refuse';
    }
    if (verdict === 'resume') this.give_up(CLOSE.resume, 'resume');
    if (verdict === 'refuse') this.give_up(CLOSE.refused, 'not of this protocol');
  }

  /** A silent connection is ended from here: the browser itself may not notice for minutes. */
  private watchdog(): void {
    const quiet = this.options.monotonic() - Math.max(this.heard_at, this.opened_at);
    if (this.socket && quiet > SILENCE_MS) this.give_up(0, 'silence');
  }

  private give_up(code: number, reason: string): void {
    const socket = this.detach();
    // Codes below 3000 may not be sent by a page, other than 1000.
    socket?.close(code >= 3000 ? code : 1000, reason);
    this.ended(code);
  }

  private detach(): Socket | null {
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
    return socket;
  }

  private ended(code: number): void {
    this.detach();
    clearTimeout(this.seen_later);
    if (this.stopped) return;
    clearTimeout(this.retry);
    if (code === CLOSE.displaced) {
      // By itself it would push the other page out, and that one this, for ever.
      this.displaced = true;
      return this.listener.closed(code, null);
    }
    const wait = this.wait_after(code);
    this.listener.closed(code, wait);
    this.retry = setTimeout(() => this.open(), wait);
  }

  private wait_after(code: number): number {
    const max_ms = this.options.reconnect_max_ms ?? RECONNECT_MAX_MS;
    // Nothing a quick retry could mend: at the slowest pace from the start.
    if (code === CLOSE.signed_out || code === CLOSE.forbidden) this.attempt = 10;
    const random = (this.options.random ?? Math.random)();
    return reconnectDelay(this.attempt++, max_ms, random);
  }
}
