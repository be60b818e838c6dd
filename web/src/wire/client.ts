// Asking the server over HTTP: a bound for every answer, pages of lists, commands under a key.
import * as shape from './shape';

/** Longest wait for an answer, milliseconds. */
const ANSWER_MS = 10_000;
/** Most pages read of one list: 100,000 items. */
const PAGES_MAX = 100;

/** The server answered, but not with what was asked for. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly problem: unknown,
  ) {
    super(`status ${status}`);
  }

  /** Whether asking again in the same words could do any good. */
  get is_final(): boolean {
    return this.status >= 400 && this.status < 500 && this.status !== 429;
  }
}

export type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

export class Client {
  constructor(
    private readonly fetch: Fetch = (url, init) => globalThis.fetch(url, init),
    private readonly base = '/api/v1',
  ) {}

  protected get(path: string): Promise<unknown> {
    return this.ask(path, { headers: { Accept: 'application/json' } });
  }

  /** Gives an order under a key: the same key twice is carried out once. `rev` is the revision the
   *  caller saw; another one means that somebody was first. */
  protected post(
    path: string,
    body: object,
    key: string,
    rev?: number,
    patience_ms = ANSWER_MS,
  ): Promise<unknown> {
    const headers = {
      'Content-Type': 'application/json',
      'Idempotency-Key': key,
      ...(rev === undefined ? {} : { 'If-Match': `"${rev}"` }),
    };
    return this.ask(path, { method: 'POST', headers, body: JSON.stringify(body) }, patience_ms);
  }

  protected async list<T>(path: string, of: (item: unknown) => T, more: Query = {}): Promise<T[]> {
    const items: T[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < PAGES_MAX; page++) {
      const query = queryOf({ limit: '1000', ...more, cursor });
      const answer = shape.object(await this.get(`${path}?${query}`));
      items.push(...shape.array(answer, 'items').map(of));
      cursor = nextOf(answer);
      if (cursor === undefined) break;
    }
    return items;
  }

  private async ask(path: string, init: RequestInit, patience_ms = ANSWER_MS): Promise<unknown> {
    const signal = AbortSignal.timeout(patience_ms);
    const response = await this.fetch(this.base + path, { ...init, signal });
    if (response.ok) return (await response.json()) as unknown;
    throw new Refused(response.status, await response.json().catch(() => undefined));
  }
}

export type Query = Record<string, string | undefined>;

/** The parts that are given, as a query. */
export function queryOf(parts: Query): URLSearchParams {
  const given = Object.entries(parts).filter(([, value]) => value !== undefined && value !== '');
  return new URLSearchParams(given as [string, string][]);
}

function nextOf(answer: shape.Json): string | undefined {
  const next = answer['next'];
  return next === null || next === undefined ? undefined : String(next);
}
