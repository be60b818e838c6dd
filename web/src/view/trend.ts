// The chart of 24 hours: uPlot with the wall's type, the time of Vietnam and the tile's levels.
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { spanOf, type Columns } from '../state/trail';
import type { Level } from '../wire/http';
import type { Severity } from '../wire/nouns';
import { clockShort, plain } from '../words/format';
import { PALETTE, SEVERITY_COLOUR } from './palette';
import { SHAPES } from './shapes';

const ZONE = 'Asia/Ho_Chi_Minh';
/** A level is drawn if it is at most this many times the trend's own span away from it. */
const LEVEL_REACH = 1.5;
const BADGE_UNITS = 2.1;

/** The value range of the chart: the trend, every level it has reached, and the next one if it
 *  is near, with some air. */
export function rangeOf(columns: Columns, levels: Level[]): [number, number] {
  const known = columns.value.filter((value) => value !== null);
  if (known.length === 0) return [0, 1];
  let least = known.reduce((a, b) => Math.min(a, b));
  let most = known.reduce((a, b) => Math.max(a, b));
  const span = most - least || Math.abs(most) || 1;
  for (const { at } of levels) {
    if (at > most && at - most <= LEVEL_REACH * span) {
      most = at;
      break;
    }
  }
  const lowest = levels[0]?.at;
  if (lowest !== undefined && lowest < least && least - lowest <= LEVEL_REACH * span) least = lowest;
  const air = 0.08 * (most - least || Math.abs(most) || 1);
  return [least - air, most + air];
}

/** One chart, kept for months; `show` changes what it draws. */
export class TrendChart {
  private readonly plot: uPlot;
  private levels: Level[] = [];
  private columns: Columns = { at: [], value: [] };
  private span: [from: number, to: number] = [0, 0];

  constructor(
    place: HTMLElement,
    private readonly unit_px: number,
  ) {
    this.plot = new uPlot(this.options(place), [[], []], place);
  }

  /** `from`: where the picture begins; by itself at the first point. */
  show(columns: Columns, levels: Level[], to: number, from = to - spanOf(columns, to)): void {
    this.columns = columns;
    this.levels = levels;
    this.span = [from, to];
    this.plot.setData([columns.at.map((ms) => ms / 1_000), columns.value]);
  }

  resize(width: number, height: number): void {
    if (width > 0 && height > 0) this.plot.setSize({ width, height });
  }

  close(): void {
    this.plot.destroy();
  }

  private options(place: HTMLElement): uPlot.Options {
    const unit = this.unit_px;
    const axis: uPlot.Axis = {
      font: `${1.33 * unit}px 'Inter Variable'`,
      stroke: PALETTE.muted,
      grid: { stroke: PALETTE.line, width: 1 },
      ticks: { show: false },
      gap: 0.4 * unit,
    };
    return {
      width: Math.max(1, place.clientWidth),
      height: Math.max(1, place.clientHeight),
      padding: [1.1 * unit, 2.5 * unit, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), ZONE),
      scales: {
        x: { time: true, range: () => [this.span[0] / 1_000, this.span[1] / 1_000] },
        y: { range: () => rangeOf(this.columns, this.levels) },
      },
      axes: [
        {
          ...axis,
          space: 4.8 * unit,
          size: 2.4 * unit,
          incrs: [1, 5, 15, 30, 60, 120, 180, 360, 480, 720].map((minutes) => minutes * 60),
          values: (_, splits) => splits.map((seconds) => clockShort(seconds * 1_000)),
        },
        {
          ...axis,
          space: 2.1 * unit,
          size: 5.2 * unit,
          values: (_, splits) => splits.map((value) => plain(value)),
        },
      ],
      series: [{}, { stroke: PALETTE.text, width: 0.16 * unit, points: { show: false }, spanGaps: false }],
      hooks: { drawAxes: [(plot) => this.drawLevels(plot)], draw: [(plot) => this.drawLast(plot)] },
    };
  }

  /** The levels: a dashed line in the colour of the severity, with its shape and numeral. */
  private drawLevels(plot: uPlot): void {
    const { ctx, bbox } = plot;
    const badge_px = BADGE_UNITS * this.unit_px * devicePixelRatio;
    let worse_y = -Infinity;
    // Worst first: where levels lie close together, its badge is the one that is drawn.
    for (const { at, severity } of this.levels.toSorted((a, b) => a.severity - b.severity)) {
      const y = plot.valToPos(at, 'y', true);
      if (y < bbox.top || y > bbox.top + bbox.height) continue;
      ctx.save();
      ctx.strokeStyle = SEVERITY_COLOUR[severity];
      ctx.lineWidth = 0.12 * this.unit_px * devicePixelRatio;
      ctx.setLineDash([this.unit_px, 0.6 * this.unit_px]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.restore();
      if (Math.abs(y - worse_y) < badge_px) continue;
      worse_y = y;
      const x = bbox.left + bbox.width + 0.2 * this.unit_px * devicePixelRatio;
      drawBadge(ctx, severity, x, y, badge_px);
    }
  }

  /** A dot at the last value, so that the eye finds "now". */
  private drawLast(plot: uPlot): void {
    const index = this.columns.value.findLastIndex((value) => value !== null);
    const [at, value] = [this.columns.at[index], this.columns.value[index]];
    if (at === undefined || value === undefined || value === null) return;
    const { ctx } = plot;
    ctx.save();
    ctx.fillStyle = PALETTE.text;
    ctx.beginPath();
    const x = plot.valToPos(at / 1_000, 'x', true);
    ctx.arc(x, plot.valToPos(value, 'y', true), 0.4 * this.unit_px * devicePixelRatio, 0, 2 * Math.PI);
    ctx.fill();
    ctx.restore();
  }
}

/** The badge of a severity, its left edge at `x`, its middle at `y`, in canvas pixels. */
function drawBadge(
  ctx: CanvasRenderingContext2D,
  severity: Severity,
  x: number,
  y: number,
  size_px: number,
): void {
  const { path, numeral_y } = SHAPES[severity];
  ctx.save();
  ctx.translate(x, y - size_px / 2);
  ctx.scale(size_px / 100, size_px / 100);
  ctx.fillStyle = SEVERITY_COLOUR[severity];
  ctx.fill(new Path2D(path));
  ctx.fillStyle = PALETTE.dark;
  ctx.font = "750 66px 'Inter Variable'";
  ctx.textAlign = 'center';
  ctx.textBaseline = 'alphabetic';
  ctx.fillText(String(severity), 50, numeral_y + 66 * 0.3635);
  ctx.restore();
}
