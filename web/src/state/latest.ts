// The latest value of every series, in a plain map outside reactivity: hundreds change each
// second, and only the few on show are ever read.
import type { Upsert } from '../wire/frames';
import type { Quality } from '../wire/nouns';

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

  /** Takes a row; false if a newer value is held already. */
  apply(row: Upsert): boolean {
    const key = seriesKey(row.device, row.metric);
    const held = this.values.get(key);
    if (held && held.at > row.at) return false;
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
