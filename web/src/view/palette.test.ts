// The colours keep the contrast that the wall needs, for every kind of eyes.
import { describe, expect, test } from 'vitest';
import { SEVERITIES } from '../wire/nouns';
import { PALETTE, SEVERITY_COLOUR, STAGE_COLOUR } from './palette';

type Rgb = [number, number, number];

/** Linear light, 0 to 1. */
function linear(hex: string): Rgb {
  const part = (at: number) => {
    const share = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  return [part(1), part(3), part(5)];
}

function luminance([r, g, b]: Rgb): number {
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** WCAG 2 contrast ratio. */
function contrast(one: string, other: string): number {
  const [a, b] = [luminance(linear(one)), luminance(linear(other))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

/** Complete colour blindness, as linear light: Machado, Oliveira and Fernandes 2009, severity 1. */
const EYES: Record<string, [Rgb, Rgb, Rgb]> = {
  normal: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protan: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deutan: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritan: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

function seenBy(eyes: [Rgb, Rgb, Rgb], [r, g, b]: Rgb): Rgb {
  const clamp = (value: number) => Math.min(1, Math.max(0, value));
  return eyes.map(([x, y, z]) => clamp(x * r + y * g + z * b)) as Rgb;
}

/** CIE L*a*b* of linear sRGB light under D65. */
function lab([r, g, b]: Rgb): Rgb {
  const curve = (t: number) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
  const x = curve((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047);
  const y = curve(0.2126 * r + 0.7152 * g + 0.0722 * b);
  const z = curve((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

function distance(one: Rgb, other: Rgb): number {
  return Math.hypot(...one.map((value, index) => value - (other[index] ?? 0)));
}

const GROUNDS = [PALETTE.background, PALETTE.panel] as const;

describe('contrast', () => {
  test.each([
    ['text', PALETTE.text, 7],
    ['muted', PALETTE.muted, 4.5],
    ['trend', PALETTE.trend, 4.5],
    ['live', PALETTE.live, 3],
    ['station', PALETTE.station, 3],
  ])('%s on every ground', (_, colour, least) => {
    for (const ground of GROUNDS) expect(contrast(colour, ground)).toBeGreaterThanOrEqual(least);
  });

  test.each(SEVERITIES)('severity %d as words, as a badge, and its numeral', (severity) => {
    const colour = SEVERITY_COLOUR[severity];
    for (const ground of GROUNDS) expect(contrast(colour, ground)).toBeGreaterThanOrEqual(4.3);
    expect(contrast(PALETTE.dark, colour)).toBeGreaterThanOrEqual(4.5);
  });

  test.each(Object.entries(STAGE_COLOUR))('stage %s under its numeral, and on every ground', (_, colour) => {
    expect(contrast(PALETTE.dark, colour)).toBeGreaterThanOrEqual(4.5);
    for (const ground of GROUNDS) expect(contrast(colour, ground)).toBeGreaterThanOrEqual(4.5);
  });

  test('text on a raised panel, as on buttons', () => {
    expect(contrast(PALETTE.text, PALETTE.raised)).toBeGreaterThanOrEqual(7);
  });
});

describe('severities stay apart', () => {
  const pairs = SEVERITIES.flatMap((a) => SEVERITIES.filter((b) => b > a).map((b) => [a, b] as const));

  test.each(Object.entries(EYES))('for %s eyes', (_, eyes) => {
    for (const [a, b] of pairs) {
      const [one, other] = [a, b].map((each) => lab(seenBy(eyes, linear(SEVERITY_COLOUR[each as 1]))));
      expect(distance(one!, other!), `${a} and ${b}`).toBeGreaterThan(25);
    }
  });

  test('the usual orange beside yellow would not pass', () => {
    const [one, other] = ['#ff9f1a', '#ffe04d'].map((hex) => lab(seenBy(EYES['deutan']!, linear(hex))));
    expect(distance(one!, other!)).toBeLessThan(25);
  });

  test('no other colour looks like one of them', () => {
    for (const severity of SEVERITIES) {
      for (const colour of Object.values(PALETTE)) {
        const apart = distance(lab(linear(colour)), lab(linear(SEVERITY_COLOUR[severity])));
        expect(apart, `${colour} and ${severity}`).toBeGreaterThan(25);
      }
    }
  });
});
