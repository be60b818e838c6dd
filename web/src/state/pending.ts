// Acknowledgements that a person has given and the server does not have yet: kept over reloads, each
// under its own key, so that however often it is sent it is carried out once. Pure.

export interface Pending {
  alert: string;
  key: string;
  by: string;
  /** When the person pressed, milliseconds UTC. */
  at: number;
}

/** Most kept: somebody on call takes alerts one by one. */
export const PENDING_MAX = 50;
/** Older ones are let go: by then somebody else has answered, or the alert is over. */
export const PENDING_MS = 12 * 3_600_000;
/** Waits between tries, milliseconds; the last one goes on. */
const WAITS_MS = [1_000, 2_000, 4_000, 8_000, 15_000];

export function withPending(all: readonly Pending[], one: Pending): Pending[] {
  return [...all.filter(({ alert }) => alert !== one.alert), one].slice(-PENDING_MAX);
}

export function withoutPending(all: readonly Pending[], alert: string): Pending[] {
  return all.filter((each) => each.alert !== alert);
}

export function waitBefore(attempt: number): number {
  return WAITS_MS[Math.min(attempt, WAITS_MS.length - 1)]!;
}

export function written(all: readonly Pending[]): string {
  return JSON.stringify(all);
}

/** What an earlier life of this page left behind; nothing of what cannot be read. */
export function readPending(text: string | null, now: number): Pending[] {
  try {
    const all = JSON.parse(text ?? '[]') as unknown;
    return Array.isArray(all) ? all.filter((each) => isPending(each) && now - each.at < PENDING_MS) : [];
  } catch {
    return [];
  }
}

function isPending(value: unknown): value is Pending {
  const { alert, key, by, at } = (value ?? {}) as Record<string, unknown>;
  return [alert, key, by].every((each) => typeof each === 'string') && typeof at === 'number';
}
