// Acknowledgements on their way: asked for, refused, failed. "Done" is never said here; it is
// seen when the record comes back in the alert log. Pure.
import type { AlertRecord } from '../wire/nouns';

export type Order =
  | { phase: 'sending'; rev: number; key: string }
  /** The server said yes; the record is not back yet. */
  | { phase: 'accepted'; rev: number; key: string }
  /** Somebody was first, or the alert changed: told until then, milliseconds UTC. */
  | { phase: 'refused'; rev: number; current: AlertRecord | undefined; until: number }
  /** Nobody answered: may be tried again under the same key. */
  | { phase: 'failed'; rev: number; key: string };

export type Orders = ReadonlyMap<string, Order>;

export function withOrder(orders: Orders, alert: string, order: Order): Orders {
  return new Map(orders).set(alert, order);
}

/** How long a refusal is told, milliseconds. */
export const TELL_MS = 10_000;

/** Drops what the book has overtaken (a newer rev of the alert has come, or it is gone), and
 *  refusals that have been told. */
export function settle(
  orders: Orders,
  find: (id: string) => AlertRecord | undefined,
  now: number,
): Orders {
  const left = [...orders].filter(([id, order]) => {
    if (order.phase === 'refused') return now < order.until;
    const record = find(id);
    return record !== undefined && record.state !== 'normal' && record.rev <= order.rev;
  });
  return left.length === orders.size ? orders : new Map(left);
}

/** The key to send under: the failed try's own, so that the server carries it out once. */
export function keyFor(order: Order | undefined, rev: number, make: () => string): string {
  return order?.phase === 'failed' && order.rev === rev ? order.key : make();
}
