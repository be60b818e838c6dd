// What is said of an alert in words, the same on every screen.
import { hasEnded } from '../state/alerts';
import type { Order } from '../state/orders';
import type { Device } from '../wire/http';
import type { AlertRecord, Suppression } from '../wire/nouns';
import { clockShort, plain, quantity } from '../words/format';
import { pick, say } from '../words/language.svelte';
import { placeOf, plainName } from './place';

/** Device and commune. */
export function placeWords(
  alert: AlertRecord,
  device: Device | undefined,
  areas: Map<string, string>,
): string {
  const where = device && plainName(pick(device.name));
  return [where, placeOf(alert.area, device, areas)].filter(Boolean).join(', ');
}

/** The value, and the limit while it is broken; undefined where nothing was measured. */
export function measuredOf(
  alert: AlertRecord,
  device: Device | undefined,
): { value: string; limit?: string } | undefined {
  if (alert.value === undefined) return undefined;
  const ucum = (alert.metric !== undefined && device?.units[alert.metric]) || '';
  if (alert.limit === undefined || hasEnded(alert)) return { value: quantity(plain(alert.value), ucum) };
  return { value: plain(alert.value), limit: quantity(plain(alert.limit), ucum) };
}

export function standingOf(alert: AlertRecord): string {
  if (alert.kind === 'superseded') return say('state.superseded');
  if (alert.state !== 'acknowledged') return say(`state.${alert.state}`);
  const by = alert.acknowledgement?.by;
  return by ? say('state.acknowledged', { by }) : say('state.acknowledged_unknown');
}

/** What became of an order that was not carried out; undefined while there is nothing to tell. */
export function refusalOf(order: Order | undefined): string | undefined {
  if (order?.phase === 'failed') return say('acknowledge.failed');
  if (order?.phase !== 'refused') return undefined;
  if (order.text) return pick(order.text);
  const taken = order.current?.acknowledgement;
  if (taken) return say('acknowledge.first', { by: taken.by, time: clockShort(taken.at) });
  return say(order.current ? 'acknowledge.changed' : 'acknowledge.gone');
}

export function explanationOf(suppression: Suppression): string {
  const { cause, by, reason, device, entry } = suppression;
  const parts = { by: by ?? '', reason: reason ?? '', device: device ?? '', entry: entry ?? '' };
  return say(`explanation.${cause}`, parts);
}
