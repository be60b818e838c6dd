// Numbers, units, times and ages as people of the province write them. Times are always those of
// Vietnam, wherever the screen stands.
import { language, say } from './language.svelte';

const ZONE = 'Asia/Ho_Chi_Minh';

/** One formatter for each way of writing: making one costs more than using it a hundred times. */
const made = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat>();

function once<T extends Intl.NumberFormat | Intl.DateTimeFormat>(key: string, make: () => T): T {
  const name = `${language()} ${key}`;
  const held = made.get(name) as T | undefined;
  if (held) return held;
  const fresh = make();
  made.set(name, fresh);
  return fresh;
}

function locale(): string {
  return language() === 'vi' ? 'vi-VN' : 'en-GB';
}

/** `2,84`: with exactly `digits` digits after the comma. */
export function decimal(value: number, digits: number): string {
  const places = Math.min(Math.max(digits, 0), 6);
  const make = () =>
    new Intl.NumberFormat(locale(), { minimumFractionDigits: places, maximumFractionDigits: places });
  return once(`decimal ${places}`, make).format(value);
}

/** Up to two digits after the comma, for values whose precision is not configured. */
export function plain(value: number): string {
  const make = () => new Intl.NumberFormat(locale(), { maximumFractionDigits: 2 });
  return once('plain', make).format(value);
}

/** `14:02:05`. */
export function clock(ms: number): string {
  return once('clock', () => time({ second: '2-digit' })).format(ms);
}

/** `14:02`. */
export function clockShort(ms: number): string {
  return once('clock short', () => time({})).format(ms);
}

function time(more: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const shape = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone: ZONE } as const;
  return new Intl.DateTimeFormat('en-GB', { ...shape, ...more });
}

/** `Thứ Hai, 23/11/2026`. */
export function date(ms: number): string {
  const make = () =>
    new Intl.DateTimeFormat(locale(), {
      weekday: 'long',
      day: '2-digit',
      month: '2-digit',
      year: 'numeric',
      timeZone: ZONE,
    });
  return once('date', make).format(ms);
}

/** `14 phút`: the largest whole unit. Never below zero: a device's clock may run ahead a little. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return say('age.seconds', { n: seconds });
  if (seconds < 3_600) return say('age.minutes', { n: Math.floor(seconds / 60) });
  if (seconds < 48 * 3_600) return say('age.hours', { n: Math.floor(seconds / 3_600) });
  return say('age.days', { n: Math.floor(seconds / 86_400) });
}

/** UCUM codes that people write otherwise. */
const WRITTEN: Record<string, string> = {
  '1': '',
  '[pH]': 'pH',
  Cel: '°C',
  deg: '°',
  'ug/m3': 'µg/m³',
  'mg/m3': 'mg/m³',
  'm3/s': 'm³/s',
  'm3/h': 'm³/h',
  'kW.h': 'kWh',
  MBy: 'MB',
  'uS/cm': 'µS/cm',
  '[NTU]': 'NTU',
  'W/m2': 'W/m²',
};

/** A UCUM unit as people write it; `{xe}/h` is an annotation and loses its braces. */
export function unit(ucum: string): string {
  return WRITTEN[ucum] ?? ucum.replace(/\{([^}]*)\}/g, '$1');
}

/** A value with its unit, with a space that does not break. */
export function quantity(written: string, ucum: string): string {
  const behind = unit(ucum);
  return behind === '' ? written : `${written}\u00a0${behind}`;
}
