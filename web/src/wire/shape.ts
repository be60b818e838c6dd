// Reading JSON that came from outside: every getter either gives the asked type or throws
// `Malformed`, so that nothing unchecked gets past the wire.

/** What was wrong with a piece of JSON, in words for the log. */
export class Malformed extends Error {}

export type Json = Record<string, unknown>;

export function object(value: unknown, what = 'value'): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Malformed(`${what} is not an object`);
  }
  return value as Json;
}

export function array(from: Json, key: string): unknown[] {
  const value = from[key];
  if (!Array.isArray(value)) throw new Malformed(`${key} is not an array`);
  return value;
}

/** A row of so many numbers. */
export function numbers(value: unknown, length: number, what: string): number[] {
  const row: unknown[] = Array.isArray(value) ? value : [];
  if (row.length !== length || !row.every(Number.isFinite)) {
    throw new Malformed(`${what} is not ${length} numbers`);
  }
  return row as number[];
}

export function string(from: Json, key: string): string {
  const value = from[key];
  if (typeof value !== 'string') throw new Malformed(`${key} is not a string`);
  // Composed once, here: a decomposed letter would be measured and sorted differently.
  return value.normalize('NFC');
}

export function optionalString(from: Json, key: string): string | undefined {
  return from[key] === undefined || from[key] === null ? undefined : string(from, key);
}

export function number(from: Json, key: string): number {
  const value = from[key];
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new Malformed(`${key} is not a number`);
  }
  return value;
}

export function optionalNumber(from: Json, key: string): number | undefined {
  return from[key] === undefined || from[key] === null ? undefined : number(from, key);
}

/** A whole number from 0: a seq, a rev, a count. */
export function count(from: Json, key: string): number {
  const value = number(from, key);
  if (!Number.isSafeInteger(value) || value < 0) throw new Malformed(`${key} is not a count`);
  return value;
}

export function flag(from: Json, key: string): boolean {
  const value = from[key];
  if (typeof value !== 'boolean') throw new Malformed(`${key} is not true or false`);
  return value;
}

/** One of a closed set of words. */
export function word<T extends string>(from: Json, key: string, words: readonly T[]): T {
  const value = string(from, key);
  const found = words.find((each) => each === value);
  if (found === undefined) throw new Malformed(`${key} is none of ${words.join(', ')}`);
  return found;
}

/** An RFC 3339 time with offset, as milliseconds UTC. */
export function time(from: Json, key: string): number {
  const ms = Date.parse(string(from, key));
  if (Number.isNaN(ms)) throw new Malformed(`${key} is not a time`);
  return ms;
}

export function optionalTime(from: Json, key: string): number | undefined {
  return from[key] === undefined || from[key] === null ? undefined : time(from, key);
}

/** What `of` makes of a field; undefined where it is absent or null. */
export function optional<T>(from: Json, key: string, of: (value: unknown) => T): T | undefined {
  return from[key] === undefined || from[key] === null ? undefined : of(from[key]);
}

/** An array; empty where it is absent or null. */
export function optionalArray(from: Json, key: string): unknown[] {
  return from[key] === undefined || from[key] === null ? [] : array(from, key);
}
