// MapLibre behind the few words the wall needs. Made once and kept for months: what changes is
// feature state, and one small source of marks with one update in flight at a time.
import type * as GeoJSON from 'geojson';
import { Map as GlMap, setWorkerUrl, type GeoJSONSource } from 'maplibre-gl';
import 'maplibre-gl/dist/maplibre-gl.css';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url';
import type { ProvinceMap } from '../../wire/http';
import type { Severity } from '../../wire/nouns';
import { drawIcons } from './icons';
import { pointAt, viewAround, type Box, type View } from './room';
import { nameCollection, styleOf } from './style';

setWorkerUrl(workerUrl);

/** Most marks on the map; the worst stay. */
export const MARKS_MAX = 200;
/** A lost WebGL context that has not come back by then is given up, milliseconds. */
const RESTORE_MS = 10_000;
/** A map that is not there by then will not come, milliseconds. */
const OPEN_MS = 30_000;
const ICON_UNITS = 2.6;
/** Between the province and whatever is near. */
const MARGIN_UNITS = 0.9;
/** A pixel of an icon that only holds a place stands for so many. */
const TAKEN_PX = 8;

export interface Station {
  id: string;
  lon: number;
  lat: number;
}

export interface MapMark extends Station {
  name: string;
  icon: string;
  /** Drawn in this order; the last is on top. */
  order: number;
}

export interface StationState {
  /** Whether it belongs to the field on show. */
  shown: boolean;
  silent: boolean;
}

export class MapStage {
  private readonly told = new Map<string, string>();
  private painted_areas = new Set<string>();
  private waiting: MapMark[] | null = null;
  private in_flight = false;
  private restore_timer: ReturnType<typeof setTimeout> | undefined;

  private constructor(private readonly gl: GlMap) {}

  /** Throws where there is no WebGL, or when a part of the map cannot be loaded. `taken` is asked
   *  once for what stands over the map; `lost` is called when the picture is gone for good. */
  static async open(
    place: HTMLElement,
    map: ProvinceMap,
    unit_px: number,
    taken: () => Box[],
    lost: () => void,
  ): Promise<MapStage> {
    // The letters on the map are drawn from the page's own font, so it must be there first.
    await Promise.all([
      document.fonts.load("500 24px 'Inter Variable'", 'Mỹ Tho'),
      document.fonts.load("750 24px 'Inter Variable'", '1'),
    ]);
    const boxes = taken();
    const picture = { width: place.clientWidth, height: place.clientHeight };
    const view = viewAround(map, picture, boxes, MARGIN_UNITS * unit_px);
    const gl = new GlMap({
      container: place,
      style: styleOf(unit_px, map),
      interactive: false,
      attributionControl: false,
      fadeDuration: 0,
      renderWorldCopies: false,
      ...view,
    });
    const stage = new MapStage(gl);
    try {
      await stage.begin(unit_px);
      if (view) stage.keepClear([...boxes, ...sidesOf(picture)], view, picture);
    } catch (error) {
      // With it goes its worker, which may be what did not load; the next map begins with another.
      stage.close();
      throw error;
    }
    stage.watch(lost);
    gl.on('error', (event) => console.warn('map', event.error.message));
    return stage;
  }

  private async begin(unit_px: number): Promise<void> {
    const { gl } = this;
    const ratio = devicePixelRatio;
    for (const { name, image } of drawIcons(Math.round(ICON_UNITS * unit_px * ratio))) {
      gl.once('style.load', () => gl.addImage(name, image, { pixelRatio: ratio }));
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve, reject) => {
      gl.once('load', () => resolve());
      gl.once('error', (event) => reject(event.error));
      timer = setTimeout(() => reject(new Error('the map did not come')), OPEN_MS);
    }).finally(() => clearTimeout(timer));
  }

  /** Names keep clear of these boxes as of one another: each holds its place with an icon that
   *  nobody sees. */
  private keepClear(boxes: Box[], view: View, picture: { width: number; height: number }): void {
    const points = boxes.map((box, index) => {
      const [width, height] = [box.width, box.height].map((px) => Math.ceil(px / TAKEN_PX));
      const image = new ImageData(Math.max(1, width!), Math.max(1, height!));
      this.gl.addImage(`taken-${index}`, image, { pixelRatio: 1 / TAKEN_PX });
      const middle: [number, number] = [box.left + box.width / 2, box.top + box.height / 2];
      const [lon, lat] = pointAt(view, picture, middle);
      return { id: `taken-${index}`, lon, lat };
    });
    void this.source('taken')?.setData(collection(points));
  }

  /** Puts the stations on the map; afterwards only their state changes. */
  setStations(stations: Station[]): void {
    this.told.clear();
    void this.source('stations')?.setData(collection(stations));
  }

  /** Writes the names of the areas in another language. */
  setLanguage(map: ProvinceMap, lang: 'vi' | 'en'): void {
    void this.source('names')?.setData(nameCollection(map, lang));
  }

  setStationState(id: string, state: StationState): void {
    const said = `${state.shown} ${state.silent}`;
    if (this.told.get(id) === said) return;
    this.told.set(id, said);
    this.gl.setFeatureState({ source: 'stations', id }, { ...state });
  }

  setAreas(worst: Map<string, Severity>): void {
    for (const code of this.painted_areas) {
      if (!worst.has(code)) this.gl.removeFeatureState({ source: 'province', id: code });
    }
    for (const [code, severity] of worst) {
      this.gl.setFeatureState({ source: 'province', id: code }, { severity });
    }
    this.painted_areas = new Set(worst.keys());
  }

  /** Shows these marks, the worst last. Faster calls than the map can take are merged. */
  setMarks(marks: MapMark[]): void {
    this.waiting = marks.slice(-MARKS_MAX);
    if (!this.in_flight) void this.drain();
  }

  close(): void {
    clearTimeout(this.restore_timer);
    this.gl.remove();
  }

  private async drain(): Promise<void> {
    this.in_flight = true;
    while (this.waiting) {
      const marks = this.waiting;
      this.waiting = null;
      // Resolves when the worker has taken it.
      await this.source('marks')?.setData(collection(marks));
    }
    this.in_flight = false;
  }

  private source(name: string): GeoJSONSource | undefined {
    return this.gl.getSource<GeoJSONSource>(name);
  }

  private watch(lost: () => void): void {
    this.gl.on('webglcontextlost', () => {
      this.restore_timer = setTimeout(lost, RESTORE_MS);
    });
    this.gl.on('webglcontextrestored', () => clearTimeout(this.restore_timer));
  }
}

/** The sides of the picture: a name over one would be cut off. */
function sidesOf({ width, height }: { width: number; height: number }): Box[] {
  const side = { top: 0, width: TAKEN_PX, height };
  return [
    { ...side, left: 0 },
    { ...side, left: width - TAKEN_PX },
  ];
}

function collection(points: (Station & object)[]): GeoJSON.FeatureCollection {
  return {
    type: 'FeatureCollection',
    features: points.map(({ lon, lat, ...properties }) => ({
      type: 'Feature',
      properties,
      geometry: { type: 'Point', coordinates: [lon, lat] },
    })),
  };
}
