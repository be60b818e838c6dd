// How the map looks: layers and their colours. No tiles, no glyph files, nothing from elsewhere.
import type { ExpressionSpecification, StyleSpecification } from 'maplibre-gl';
import type * as GeoJSON from 'geojson';
import type { ProvinceMap } from '../../wire/http';
import { PALETTE, SEVERITY_COLOUR } from '../palette';
import { shortName } from '../place';
import { labelPoint } from './geometry';

const FONT = ['Inter Variable'];
/** Names of what stands first when there is no room for all. */
const RANKS: Record<string, number> = { smart_city_ward: 0, ward: 1 };

const EMPTY: GeoJSON.FeatureCollection = { type: 'FeatureCollection', features: [] };

/** The style of the map; `unit_px` is a hundredth of the picture's width. */
export function styleOf(unit_px: number, map: ProvinceMap): StyleSpecification {
  return {
    version: 8,
    sources: {
      province: {
        type: 'geojson',
        data: map as unknown as GeoJSON.FeatureCollection,
        promoteId: 'code',
        tolerance: 0.1,
      },
      names: { type: 'geojson', data: EMPTY },
      stations: { type: 'geojson', data: EMPTY, promoteId: 'id' },
      marks: { type: 'geojson', data: EMPTY, promoteId: 'id' },
      taken: { type: 'geojson', data: EMPTY },
    },
    layers: [...landLayers(unit_px), ...stationLayers(unit_px)],
  };
}

function bySeverity(otherwise: string): ExpressionSpecification {
  const state: ExpressionSpecification = ['coalesce', ['feature-state', 'severity'], 0];
  const cases = Object.entries(SEVERITY_COLOUR).flatMap(([level, colour]) => [Number(level), colour]);
  return ['match', state, ...cases, otherwise] as unknown as ExpressionSpecification;
}

function landLayers(unit_px: number): StyleSpecification['layers'] {
  const only = (layer: string): ExpressionSpecification => ['==', ['get', 'layer'], layer];
  return [
    { id: 'ground', type: 'background', paint: { 'background-color': PALETTE.background } },
    {
      id: 'land',
      type: 'fill',
      source: 'province',
      filter: only('area'),
      paint: { 'fill-color': PALETTE.land },
    },
    {
      id: 'alerted',
      type: 'fill',
      source: 'province',
      filter: only('area'),
      paint: {
        'fill-color': bySeverity(PALETTE.land),
        'fill-opacity': ['case', ['!=', ['feature-state', 'severity'], null], 0.2, 0],
      },
    },
    {
      id: 'borders',
      type: 'line',
      source: 'province',
      filter: only('area'),
      paint: { 'line-color': PALETTE.border, 'line-width': 0.06 * unit_px },
    },
    {
      id: 'river',
      type: 'line',
      source: 'province',
      filter: only('river'),
      layout: { 'line-cap': 'round', 'line-join': 'round' },
      paint: { 'line-color': PALETTE.water, 'line-width': 0.5 * unit_px },
    },
    {
      id: 'outline',
      type: 'line',
      source: 'province',
      filter: only('outline'),
      layout: { 'line-join': 'round' },
      paint: { 'line-color': PALETTE.outline, 'line-width': 0.14 * unit_px },
    },
  ];
}

function stationLayers(unit_px: number): StyleSpecification['layers'] {
  const shown: ExpressionSpecification = ['boolean', ['feature-state', 'shown'], true];
  const silent: ExpressionSpecification = ['boolean', ['feature-state', 'silent'], false];
  const halo = {
    'text-halo-color': PALETTE.background,
    'text-halo-width': 0.16 * unit_px,
  };
  return [
    {
      id: 'stations',
      type: 'circle',
      source: 'stations',
      paint: {
        'circle-radius': ['case', shown, 0.3 * unit_px, 0.2 * unit_px],
        'circle-color': ['case', silent, PALETTE.background, PALETTE.station],
        'circle-opacity': ['case', shown, 0.9, 0.4],
        'circle-stroke-color': ['case', silent, PALETTE.station, PALETTE.background],
        'circle-stroke-width': 0.09 * unit_px,
        'circle-stroke-opacity': ['case', shown, 0.9, 0.4],
      },
    },
    {
      id: 'names',
      type: 'symbol',
      source: 'names',
      layout: {
        'text-field': ['get', 'name'],
        'text-font': FONT,
        'text-size': 1.35 * unit_px,
        'text-padding': 0.2 * unit_px,
        'text-max-width': 20,
        'symbol-sort-key': ['get', 'rank'],
      },
      paint: { 'text-color': PALETTE.muted, ...halo },
    },
    // Below the marks in this list, so it is laid out after them and keeps clear of them all.
    {
      id: 'mark-names',
      type: 'symbol',
      source: 'marks',
      layout: {
        'symbol-sort-key': ['-', ['get', 'order']],
        'text-field': ['get', 'name'],
        'text-font': FONT,
        'text-size': 1.4 * unit_px,
        'text-variable-anchor': ['left', 'right', 'top', 'bottom'],
        'text-radial-offset': 1.2,
        'text-justify': 'auto',
        'text-max-width': 8,
      },
      paint: { 'text-color': PALETTE.text, ...halo },
    },
    {
      id: 'marks',
      type: 'symbol',
      source: 'marks',
      layout: {
        'icon-image': ['get', 'icon'],
        'icon-allow-overlap': true,
        'symbol-sort-key': ['get', 'order'],
      },
    },
    // On top, so it is laid out first: what stands over the map, for the names to keep clear of.
    {
      id: 'taken',
      type: 'symbol',
      source: 'taken',
      layout: { 'icon-image': ['get', 'id'], 'icon-allow-overlap': true },
    },
  ];
}

/** Names of wards; the rest of the communes are found by their marks. */
export function nameCollection(map: ProvinceMap, lang: 'vi' | 'en'): GeoJSON.FeatureCollection {
  const areas = map.features.filter(({ properties }) => properties.layer === 'area');
  const ranked = areas.some(({ properties }) => (properties.kind ?? '') in RANKS);
  const features = areas.flatMap((area): GeoJSON.Feature[] => {
    const rank = ranked ? RANKS[area.properties.kind ?? ''] : 1;
    const at = labelPoint(area);
    const written = (lang === 'en' && area.properties.name_en) || area.properties.name;
    if (rank === undefined || !at || !written) return [];
    const properties = { name: shortName(written.normalize('NFC')), rank };
    return [{ type: 'Feature', properties, geometry: { type: 'Point', coordinates: at } }];
  });
  return { type: 'FeatureCollection', features };
}
