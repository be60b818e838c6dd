// Both languages say the same things, in whole letters, and write numbers and times as people do.
import { afterEach, describe, expect, test } from 'vitest';
import { age, clock, clockShort, date, decimal, plain, quantity, unit } from './format';
import { languageOf, pick, say, speak } from './language.svelte';
import { en } from './en';
import { vi } from './vi';

afterEach(() => speak('vi'));

const places = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

describe('words', () => {
  test('the same keys, none empty, with the same places to fill', () => {
    expect(Object.keys(en)).toEqual(Object.keys(vi));
    for (const key of Object.keys(vi) as (keyof typeof vi)[]) {
      expect([vi[key], en[key]].every((text) => text.trim() !== ''), key).toBe(true);
      expect(places(en[key]), key).toEqual(places(vi[key]));
    }
  });

  test('Vietnamese is composed and has its marks; English has none', () => {
    for (const [key, text] of Object.entries(vi)) expect(text, key).toBe(text.normalize('NFC'));
    const marked = Object.values(vi).filter((text) => /[ăâđêôơưĂÂĐÊÔƠƯ\u00c0-\u00ff\u1ea0-\u1ef9]/.test(text));
    expect(marked.length).toBeGreaterThan(0.9 * Object.keys(vi).length);
    for (const text of Object.values(en)) expect(text).not.toMatch(/[\u0102-\u01b0\u1ea0-\u1ef9]/);
  });

  test('the language is the one the address asks for', () => {
    expect(['', '?lang=vi', '?lang=en', '?lang=fr'].map(languageOf)).toEqual(['vi', 'vi', 'en', 'vi']);
    const text = { vi: 'Mực nước', en: 'Water level' };
    expect([pick(text), say('acknowledge.do')]).toEqual(['Mực nước', 'Xác nhận']);
    speak('en');
    expect([pick(text), say('acknowledge.do')]).toEqual(['Water level', 'Acknowledge']);
    expect(document.documentElement.lang).toBe('en');
  });

  test('places are filled, and text that looks like one is left alone', () => {
    expect(say('state.acknowledged', { by: 'Lan {by}' })).toBe('đã xác nhận: Lan {by}');
    expect(say('state.acknowledged')).toBe('đã xác nhận: {by}');
  });
});

describe('numbers, times, ages', () => {
  const at = Date.parse('2026-11-23T07:02:05Z');

  test('in Vietnamese', () => {
    expect([decimal(2.84, 2), decimal(6784, 0), decimal(-0.5, 1)]).toEqual(['2,84', '6.784', '-0,5']);
    expect([plain(1.6), plain(4), plain(1.625)]).toEqual(['1,6', '4', '1,63']);
    expect(date(at)).toBe('Thứ Hai, 23/11/2026');
  });

  test('in English', () => {
    speak('en');
    expect([decimal(2.84, 2), decimal(6784, 0)]).toEqual(['2.84', '6,784']);
    expect(date(at)).toMatch(/^Monday.* 23\/11\/2026$/);
  });

  test('times are those of Vietnam, past midnight too', () => {
    expect([clock(at), clockShort(at)]).toEqual(['14:02:05', '14:02']);
    expect(clock(Date.parse('2026-11-23T17:00:00Z'))).toBe('00:00:00');
  });

  test.each([
    [-5_000, '0 giây'],
    [59_999, '59 giây'],
    [60_000, '1 phút'],
    [3_599_000, '59 phút'],
    [3_600_000, '1 giờ'],
    [47 * 3_600_000, '47 giờ'],
    [49 * 3_600_000, '2 ngày'],
  ])('an age of %d ms', (ms, written) => {
    expect(age(ms)).toBe(written);
  });

  test('units as people write them', () => {
    const written = { m: 'm', 'ug/m3': 'µg/m³', '1': '', '{xe}/h': 'xe/h', Cel: '°C', MBy: 'MB' };
    for (const [ucum, people] of Object.entries(written)) expect(unit(ucum)).toBe(people);
    expect([quantity('1,62', 'm'), quantity('118', '1')]).toEqual(['1,62\u00a0m', '118']);
  });
});
