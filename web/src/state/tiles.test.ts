// What tiles say, over one device and over many.
import { describe, expect, test } from 'vitest';
import { alertRecord, device, T0, tile } from '../testing/alerts';
import { FIELDS } from '../wire/nouns';
import { LatestValues } from './latest';
import { AlertBook } from './alerts';
import { alertOn, devicesOf, mainTile, readTile, severityAt, severityOf, tilesOf } from './tiles';

function latestOf(...rows: [device: string, value: number, age_ms: number][]): LatestValues {
  const latest = new LatestValues();
  for (const [id, value, age_ms] of rows) {
    latest.apply({ device: id, metric: 'water_level_m', value, at: T0 - age_ms, quality: 0 });
  }
  return latest;
}

describe('one device', () => {
  const read = (value: number, age_ms: number) =>
    readTile(tile(), [device()], latestOf(['stn-my-tho', value, age_ms]), T0, 0);

  test.each([
    [1.39, undefined],
    [1.4, 3],
    [1.59, 3],
    [1.6, 1],
  ])('%d reaches severity %s', (value, severity) => {
    expect(severityAt(tile().levels, value)).toBe(severity);
    expect(read(value, 0).severity).toBe(severity);
  });

  test('a lost value keeps its number and loses its colour', () => {
    expect(read(1.7, 60_000)).toMatchObject({ value: 1.7, freshness: 'lost', severity: undefined });
  });

  test('a device of no registry is judged all the same', () => {
    const reading = readTile(tile(), [], latestOf(['stn-my-tho', 1, 0]), T0, 0);
    expect(reading).toMatchObject({ value: 1, freshness: 'fresh' });
  });
});

describe('many devices', () => {
  const many = tile({ device: undefined, kind: 'river', statistic: 'mean' });
  const devices = ['a', 'b', 'c'].map((id) => device({ id }));

  test.each([
    ['mean', 2],
    ['sum', 4],
    ['max', 3],
    ['min', 1],
  ] as const)('%s leaves out who is silent, and says so', (statistic, value) => {
    const latest = latestOf(['a', 1, 0], ['b', 3, 0], ['c', 100, 3_600_000]);
    expect(readTile({ ...many, statistic }, devices, latest, T0, 0)).toMatchObject({
      value,
      freshness: 'fresh',
      coverage: { heard: 2, all: 3 },
    });
  });

  test('all silent is lost, none heard is no reading, and neither is 0', () => {
    const lost = readTile(many, devices, latestOf(['a', 1, 3_600_000]), T0, 0);
    expect(lost).toMatchObject({ value: undefined, freshness: 'lost' });
    const none = readTile(many, devices, latestOf(), T0, 0);
    expect(none).toMatchObject({ value: undefined, freshness: 'none', at: undefined });
  });

  test('only devices of the kind that measure it', () => {
    const all = [device({ id: 'a' }), device({ id: 'b', kind: 'rain' }), device({ id: 'c', units: {} })];
    expect(devicesOf(many, all).map(({ id }) => id)).toEqual(['a']);
  });
});

describe('a tile and its open alerts', () => {
  const opened = (...records: Parameters<typeof alertRecord>[0][]) => {
    const book = new AlertBook();
    records.forEach((record, index) => book.apply(alertRecord({ id: `a${index}`, ...record })));
    return book.open();
  };
  const plain = tile({ levels: [] });
  const read = (of: typeof plain, value: number) =>
    readTile(of, [device()], latestOf(['stn-my-tho', value, 0]), T0, 0);

  test('the worst one of its device and metric counts, levels or not', () => {
    const open = opened(
      { severity: 3 },
      { severity: 2, state: 'acknowledged' },
      { severity: 1, device: 'elsewhere' },
      { severity: 1, metric: 'rain_mm' },
      { severity: 1, metric: undefined },
    );
    const alert = alertOn(plain, [device()], open);
    expect(alert).toEqual({ severity: 2, unacknowledged: false });
    expect(severityOf(read(plain, 0.1), alert)).toBe(2);
    expect(severityOf(read(tile(), 1.7), alert)).toBe(2);
  });

  test('without one its levels say', () => {
    expect(alertOn(tile(), [device()], opened({ state: 'normal' }))).toBeUndefined();
    expect(severityOf(read(tile(), 1.7), undefined)).toBe(1);
    expect(severityOf(read(tile(), 1.0), undefined)).toBeUndefined();
  });

  test('a tile over many devices counts those of every one of them, and no others', () => {
    const many = tile({ device: undefined, kind: 'river', statistic: 'mean', levels: [] });
    const open = opened({ severity: 1, device: 'x' }, { severity: 4, device: 'b' });
    const devices = ['a', 'b'].map((id) => device({ id }));
    expect(alertOn(many, devices, open)?.severity).toBe(4);
  });
});

describe('which tiles are shown', () => {
  const tiles = FIELDS.flatMap((field) =>
    [1, 2, 3, 4, 5, 6, 7].map((index) => tile({ id: `${field}-${index}`, field })),
  );

  test('six of a field', () => {
    const shown = tilesOf(tiles, 'security').map(({ id }) => id);
    expect(shown).toEqual([1, 2, 3, 4, 5, 6].map((index) => `security-${index}`));
  });

  test('of all fields the first of each, then a second', () => {
    const shown = tilesOf(tiles, 'all').map(({ id }) => id);
    expect(shown).toEqual([...FIELDS.map((field) => `${field}-1`), 'socio_economy-2']);
  });

  test('the chart takes the worst, or the first with levels', () => {
    const [plain, levelled, bad] = [tile({ id: 'p', levels: [] }), tile({ id: 'l' }), tile({ id: 'b' })];
    const worst = mainTile([plain, levelled, bad], (each) => (each.id === 'b' ? 2 : undefined));
    expect(worst?.id).toBe('b');
    expect(mainTile([plain, levelled, bad], () => undefined)?.id).toBe('l');
    expect(mainTile([], () => undefined)).toBeUndefined();
  });
});
