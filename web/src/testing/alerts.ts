// Alerts and tiles for tests: whole ones, with only what matters spelled out.
import type { Device, Tile } from '../wire/http';
import type { AlertRecord } from '../wire/nouns';

export const T0 = Date.parse('2026-11-23T14:00:00+07:00');

export function alertRecord(more: Partial<AlertRecord> = {}): AlertRecord {
  return {
    id: 'b5d4045c3f466fa91fe2',
    rev: 1,
    kind: 'raised',
    state: 'unacknowledged',
    rule: 'flood-my-tho-3',
    severity: 1,
    field: 'environment',
    device: 'stn-my-tho',
    metric: 'water_level_m',
    area: '28261',
    value: 1.62,
    limit: 1.6,
    event_time: T0,
    started_at: T0,
    recorded_at: T0,
    late: false,
    text: { vi: 'Mực nước Mỹ Tho trên báo động III', en: 'Mỹ Tho water level above alarm III' },
    rule_version: '5f2c9a01b7d3',
    level: 0,
    group: '',
    latched: false,
    chattering: false,
    drill: false,
    notes: [],
    members: [],
    attributes: {},
    ...more,
  };
}

export function device(more: Partial<Device> = {}): Device {
  return {
    id: 'stn-my-tho',
    name: { vi: 'Trạm Mỹ Tho (sông Tiền)', en: 'Mỹ Tho station (Tiền river)' },
    kind: 'river',
    field: 'environment',
    area: '28261',
    lat: 10.348,
    lon: 106.365,
    interval_ms: 10_000,
    units: { water_level_m: 'm' },
    names: { water_level_m: { vi: 'Mực nước', en: 'Water level' } },
    ...more,
  };
}

export function tile(more: Partial<Tile> = {}): Tile {
  return {
    id: 'level-my-tho',
    field: 'environment',
    label: { vi: 'Nước Mỹ Tho', en: 'Mỹ Tho level' },
    metric: 'water_level_m',
    unit: 'm',
    digits: 2,
    levels: [
      { at: 1.4, severity: 3 },
      { at: 1.6, severity: 1 },
    ],
    device: 'stn-my-tho',
    ...more,
  };
}
