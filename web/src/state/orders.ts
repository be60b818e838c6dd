// Orders about alerts on their way: asked for, refused, failed. "Done" is never said by an answer;
// it is seen when the record comes back in the alert log. Pure.
import type { AlertRecord, Text } from '../wire/nouns';

/** What a person asks for, about one alert. */
export interface Wanted {
  alert: string;
  /** The last part of the command's path, such as `acknowledge`. */
  act: string;
  body: object;
  /** The revision the person saw, where another one means that somebody was first. */
  rev?: number | undefined;
}

/** `rev` is the revision that the log has to pass before the order is seen to be done. */
export type Order =
  | { phase: 'sending'; rev: number; key: string; words: string }
  /** The server said yes; the record is not back yet. */
  | { phase: 'accepted'; rev: number; key: string; words: string }
  /** Somebody was first, or it cannot be done: told until then, milliseconds UTC. */
  | { phase: 'refused'; rev: number; current: AlertRecord | undefined; text: Text | undefined; until: number }
  /** Nobody answered: may be tried again under the same key. */
  | { phase: 'failed'; rev: number; key: string; words: string };

export type Orders = ReadonlyMap<string, Order>;

/** Under which key of `Orders` an order stands. */
export function orderId(alert: string, act: string): string {
  return `${alert} ${act}`;
}

export function withOrder(orders: Orders, id: string, order: Order): Orders {
  return new Map(orders).set(id, order);
}

export function withoutOrder(orders: Orders, id: string): Orders {
  const left = new Map(orders);
  left.delete(id);
  return left;
}

/** How long a refusal is told, milliseconds. */
export const TELL_MS = 10_000;

/** Drops what the book has overtaken (a newer rev of the alert has come, or it is gone), and
 *  refusals that have been told. */
export function settle(
  orders: Orders,
  find: (alert: string) => AlertRecord | undefined,
  now: number,
): Orders {
  const left = [...orders].filter(([id, order]) => {
    if (order.phase === 'refused') return now < order.until;
    const record = find(id.slice(0, id.indexOf(' ')));
    return record !== undefined && record.state !== 'normal' && record.rev <= order.rev;
  });
  return left.length === orders.size ? orders : new Map(left);
}

/** All that makes an order this one and no other. */
export function wordsOf({ body, rev }: Wanted): string {
  return JSON.stringify([body, rev]);
}

/** The key to send under: the failed try's own, so that the server carries it out once. */
export function keyFor(order: Order | undefined, words: string, make: () => string): string {
  return order?.phase === 'failed' && order.words === words ? order.key : make();
}
