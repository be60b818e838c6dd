// The marks of the map in the terms of its devices. Pure.
import { freshness } from '../state/freshness';
import type { Mark } from '../state/marks';
import type { Tab } from '../state/rotation';
import type { Device } from '../wire/http';
import { iconName } from './map/icons';
import type { MapMark, StationState } from './map/stage';
import { shortName } from './place';

/** Only the worst marks have their names beside them: more could not be read from afar. */
const NAMED_MAX = 8;

/** The marks to draw, the most urgent last so that it lies on top. */
export function mapMarks(
  marks: Map<string, Mark>,
  devices: Map<string, Device>,
  lang: 'vi' | 'en',
): MapMark[] {
  const drawn = [...marks].flatMap(([id, mark]): MapMark[] => {
    const device = devices.get(id);
    if (!device) return [];
    const icon = iconName(mark.severity, !mark.unacknowledged);
    const order = -2 * mark.severity + (mark.unacknowledged ? 1 : 0);
    const name = shortName(device.name[lang]);
    return [{ id, lon: device.lon, lat: device.lat, name, icon, order }];
  });
  drawn.sort((a, b) => a.order - b.order);
  return drawn.map((mark, index) =>
    index < drawn.length - NAMED_MAX ? { ...mark, name: '' } : mark,
  );
}

/** How the plain dot of a station looks. `heard_at` is when it last measured anything. */
export function stationState(
  device: Device,
  tab: Tab,
  heard_at: number | undefined,
  now: number,
): StationState {
  const latest = heard_at === undefined ? undefined : { value: 0, at: heard_at, quality: 0 as const };
  const state = freshness(latest, device.interval_ms, now);
  return { shown: tab === 'all' || device.field === tab, silent: state === 'lost' || state === 'none' };
}
