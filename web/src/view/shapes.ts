// The shape of each severity, in a box of 100: colour is never alone.
import type { Severity } from '../wire/nouns';

export interface Shape {
  /** SVG path in a box of 100 by 100. */
  path: string;
  /** Where the numeral's middle stands, from the top. */
  numeral_y: number;
}

export const SHAPES: Record<Severity, Shape> = {
  1: { path: 'M31 4H69L96 31V69L69 96H31L4 69V31Z', numeral_y: 50 },
  2: { path: 'M50 5L97 92H3Z', numeral_y: 65 },
  3: { path: 'M9 9H91V91H9Z', numeral_y: 50 },
  4: { path: 'M50 4A46 46 0 1 1 50 96A46 46 0 1 1 50 4Z', numeral_y: 50 },
};
