// The badges of the severities as pictures for the map.
import { SEVERITIES, type Severity } from '../../wire/nouns';
import { PALETTE, SEVERITY_COLOUR } from '../palette';
import { SHAPES } from '../shapes';

export function iconName(severity: Severity, hollow: boolean): string {
  return `severity-${severity}${hollow ? '-hollow' : ''}`;
}

export interface Icon {
  name: string;
  image: ImageData;
}

/** Every badge, filled and hollow, `size` pixels wide. */
export function drawIcons(size: number): Icon[] {
  return SEVERITIES.flatMap((severity) =>
    [false, true].flatMap((hollow) => {
      const image = drawIcon(severity, hollow, size);
      return image ? [{ name: iconName(severity, hollow), image }] : [];
    }),
  );
}

function drawIcon(severity: Severity, hollow: boolean, size: number): ImageData | null {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = size;
  const brush = canvas.getContext('2d');
  if (!brush) return null;
  const { path, numeral_y } = SHAPES[severity];
  const colour = SEVERITY_COLOUR[severity];
  const outline = new Path2D(path);
  brush.scale(size / 112, size / 112);
  brush.translate(6, 6);
  brush.lineJoin = 'round';
  // A dark rim sets the badge off from the land and from its neighbours.
  brush.lineWidth = 12;
  brush.strokeStyle = PALETTE.dark;
  brush.stroke(outline);
  brush.fillStyle = hollow ? PALETTE.dark : colour;
  brush.fill(outline);
  brush.lineWidth = hollow ? 7 : 3;
  brush.strokeStyle = colour;
  brush.stroke(outline);
  brush.fillStyle = hollow ? colour : PALETTE.dark;
  brush.font = "750 62px 'Inter Variable'";
  brush.textAlign = 'center';
  brush.textBaseline = 'alphabetic';
  // Inter's numerals are 0.727 em high: half of that below the middle.
  brush.fillText(String(severity), 50, numeral_y + 62 * 0.3635);
  return brush.getImageData(0, 0, size, size);
}
