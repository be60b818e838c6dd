// The latest value of every series, in a plain map outside reactivity: hundreds change each
// second, and only the few on show are ever read.
import type { Upsert } from '../wire/frames';
import type { Quality } from '../wire/nouns';

/** Most series kept of devices that are not in the registry: names that somebody makes up must not
 *  fill the page's memory over months. What goes beyond is not kept; no tile could show it. */
export const STRANGERS_MAX = 20_000;

export interface Latest {
  value: number;
  /** Event time, milliseconds UTC. */
  at: number;
  quality: Quality;
}

export function seriesKey(device: string, metric: string): string {
  return `${device}/${metric}`;
}

export class LatestValues {
  private readonly values = new Map<string, Latest>();
  /** When each device last measured anything, by event time. */
  private readonly heard = new Map<string, number>();
  /** The devices of the registry; before it is here every device is a stranger. */
  private known: ReadonlySet<string> = new Set();
  /** Series of devices that are not among them. */
  private strangers = 0;

  /** The registry is here: these devices are always kept. */
  know(devices: ReadonlySet<string>): void {
    this.known = devices;
    this.strangers = 0;
    for (const key of this.values.keys()) {
      // Neither a device's id nor a metric has a slash.
      if (!devices.has(key.slice(0, key.indexOf('/')))) this.strangers += 1;
    }
  }

  /** Takes a row; false if a newer value is held already, or if it is of one stranger too many. */
  apply(row: Upsert): boolean {
    const key = seriesKey(row.device, row.metric);
    const held = this.values.get(key);
    if (held && held.at > row.at) return false;
    if (!held && !this.known.has(row.device)) {
      if (this.strangers >= STRANGERS_MAX) return false;
      this.strangers += 1;
    }
    this.values.set(key, { value: row.value, at: row.at, quality: row.quality });
    if ((this.heard.get(row.device) ?? -Infinity) < row.at) this.heard.set(row.device, row.at);
    return true;
  }

  get(device: string, metric: string): Latest | undefined {
    return this.values.get(seriesKey(device, metric));
  }

  heardAt(device: string): number | undefined {
    return this.heard.get(device);
  }

  get size(): number {
    return this.values.size;
  }
}
