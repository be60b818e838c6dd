// The colours: one source for the style sheet, the map and the chart, checked by a test for
// contrast and for colour-blind eyes. The four of the severities are used for nothing else.
import type { StageNumber } from '../wire/centre';
import type { Severity } from '../wire/nouns';

export const PALETTE = {
  background: '#1b2126',
  panel: '#242b31',
  raised: '#2d353c',
  line: '#3a444c',
  text: '#d7dde1',
  muted: '#97a3ab',
  trend: '#b9c3ca',
  land: '#2b343b',
  border: '#3d4850',
  outline: '#75828b',
  water: '#46586a',
  station: '#aab5bc',
  dark: '#14181c',
  live: '#6fcf8e',
} as const;

export const SEVERITY_COLOUR: Record<Severity, string> = {
  1: '#ff4d4d',
  2: '#ff8c00',
  3: '#fff59d',
  4: '#6fb7ff',
};

/** The colours of the levels of disaster risk (Decision 18/2021/QĐ-TTg, Annex XII): light blue,
 *  light yellow, orange, red, purple. Always with a numeral, in a strip of five, so that none is
 *  taken for a severity. */
export const STAGE_COLOUR: Record<StageNumber, string> = {
  1: '#a9d6f5',
  2: '#f3e6ae',
  3: '#f2a868',
  4: '#f27d7d',
  5: '#c9a2f2',
};

/** Hands the colours to the style sheet as custom properties. */
export function applyPalette(root: HTMLElement): void {
  for (const [name, colour] of Object.entries(PALETTE)) {
    root.style.setProperty(`--${name}`, colour);
  }
  for (const [severity, colour] of Object.entries(SEVERITY_COLOUR)) {
    root.style.setProperty(`--severity-${severity}`, colour);
  }
  for (const [stage, colour] of Object.entries(STAGE_COLOUR)) {
    root.style.setProperty(`--stage-${stage}`, colour);
  }
}
