// Carries orders to the server and watches the log for what came of them.
import { currentOf, textIn, type Api } from '../wire/http';
import { Refused } from '../wire/client';
import type { AlertRecord } from '../wire/nouns';
import {
  keyFor,
  orderId,
  settle,
  TELL_MS,
  withOrder,
  withoutOrder,
  wordsOf,
  type Order,
  type Orders,
  type Wanted,
} from './orders';

/** `done`: its record came back in the log. */
export type Outcome = 'done' | 'refused' | 'failed';

interface Ports {
  api: Pick<Api, 'command'>;
  find: (alert: string) => AlertRecord | undefined;
  now: () => number;
  make_key: () => string;
}

export class OrderBook {
  all = $state.raw<Orders>(new Map());
  private readonly waiting = new Map<string, (outcome: Outcome) => void>();

  constructor(private readonly ports: Ports) {}

  of(alert: string, act: string): Order | undefined {
    return this.all.get(orderId(alert, act));
  }

  /** Gives an order; the answer comes when the log has it, or when it is known not to. The same
   *  order while one is under way is not given again. */
  async give(wanted: Wanted, key?: string): Promise<Outcome | 'under_way'> {
    const { alert, act, body, rev } = wanted;
    const id = orderId(alert, act);
    const before = this.all.get(id);
    if (before?.phase === 'sending' || before?.phase === 'accepted') return 'under_way';
    const words = wordsOf(wanted);
    const sending = { rev: rev ?? Infinity, key: key ?? keyFor(before, words, this.ports.make_key), words };
    this.put(id, { phase: 'sending', ...sending });
    try {
      const answered = await this.ports.api.command(alert, act, body, sending.key, rev);
      const outcome = new Promise<Outcome>((resolve) => this.waiting.set(id, resolve));
      const passed = answered === undefined ? (rev ?? 0) : answered - 1;
      this.put(id, { phase: 'accepted', ...sending, rev: passed });
      return await outcome;
    } catch (error) {
      if (!(error instanceof Refused && error.is_final)) {
        this.put(id, { phase: 'failed', ...sending });
        return 'failed';
      }
      const until = this.ports.now() + TELL_MS;
      const told = { current: currentOf(error), text: textIn(error) };
      this.put(id, { phase: 'refused', rev: sending.rev, ...told, until });
      return 'refused';
    }
  }

  /** A person has read what became of it. */
  dismiss(alert: string, act: string): void {
    const order = this.of(alert, act);
    if (order?.phase === 'refused' || order?.phase === 'failed') {
      this.all = withoutOrder(this.all, orderId(alert, act));
    }
  }

  /** The log has moved on, or time has. */
  settle(): void {
    this.all = settle(this.all, this.ports.find, this.ports.now());
    for (const [id, resolve] of this.waiting) {
      if (this.all.has(id)) continue;
      this.waiting.delete(id);
      resolve('done');
    }
  }

  private put(id: string, order: Order): void {
    this.all = withOrder(this.all, id, order);
    this.settle();
  }
}
