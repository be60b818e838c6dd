// The trails of tiles: filled in one request each, and gone on with live.
import { describe, expect, test } from 'vitest';
import { device, T0, tile } from '../testing/alerts';
import { Api } from '../wire/http';
import { LatestValues } from './latest';
import { STEP_MS } from './trail';
import { TrailBook } from './trails';

const START = Math.floor(T0 / STEP_MS) * STEP_MS;
const NOW = START + 30_000;
const many = tile({ id: 'all rivers', device: undefined, kind: 'river', statistic: 'sum' });
const rivers = Array.from({ length: 300 }, (_, index) => device({ id: `river-${index}` }));

class Server {
  readonly asked: string[] = [];
  status = 200;
  body: unknown = { step_ms: STEP_MS, items: [[START - STEP_MS, 1, 3, 9], [START, 4, 5.5, 6]] };
  readonly api = new Api((url) => {
    this.asked.push(url);
    return Promise.resolve(new Response(JSON.stringify(this.body), { status: this.status }));
  });
}

function bookOf(...tiles: Parameters<TrailBook['want']>[0]): TrailBook {
  const book = new TrailBook();
  book.want(tiles, [device(), ...rivers]);
  return book;
}

function latestOf(value: number, at: number): LatestValues {
  const latest = new LatestValues();
  for (const { id } of rivers) latest.apply({ device: id, metric: 'water_level_m', value, at, quality: 0 });
  return latest;
}

describe('trails', () => {
  test('one request a tile, however many devices it is over', async () => {
    const server = new Server();
    const book = bookOf(tile(), many);
    await book.load(server.api, NOW);
    expect(server.asked.map((url) => url.split('?')[0])).toEqual([
      '/api/v1/wall/tiles/level-my-tho/history',
      '/api/v1/wall/tiles/all%20rivers/history',
    ]);
    expect(server.asked[0]).toContain(`from=${NOW - 24 * 3_600_000}`);
    for (const each of [tile(), many]) expect(book.columns(each, NOW).value).toEqual([9, 1, 4, 6]);
  });

  test('later only what came since, and nothing after a short interruption', async () => {
    const server = new Server();
    const book = bookOf(many);
    await book.load(server.api, NOW);
    await book.load(server.api, NOW + STEP_MS / 2);
    expect(server.asked).toHaveLength(1);
    await book.load(server.api, NOW + 10 * STEP_MS);
    expect(server.asked[1]).toContain(`from=${NOW - STEP_MS}`);
  });

  test('a history that is refused leaves what is heard live; an unreachable server is asked again', async () => {
    const server = new Server();
    const book = bookOf(tile());
    server.status = 422;
    await book.load(server.api, NOW);
    book.add({ device: 'stn-my-tho', metric: 'water_level_m', value: 1.5, at: NOW, quality: 0 });
    expect(book.columns(tile(), NOW).value).toEqual([1.5]);
    const away = new Api(() => Promise.reject(new TypeError('no network')));
    await expect(bookOf(many).load(away, NOW)).rejects.toThrow('no network');
  });

  test('readings of other series, and those not believed, leave no trail', () => {
    const book = bookOf(tile());
    const row = { device: 'stn-my-tho', metric: 'water_level_m', value: 9, at: NOW, quality: 1 as const };
    book.add(row);
    book.add({ ...row, quality: 0, metric: 'flow' });
    expect(book.columns(tile(), NOW).at).toEqual([]);
  });

  test('many devices go on as what the tile says, and stop when all fell silent', () => {
    const book = bookOf(many);
    book.note(latestOf(2, NOW), NOW);
    book.note(latestOf(3, NOW), NOW + STEP_MS);
    book.note(latestOf(4, NOW), NOW + 10 * STEP_MS);
    expect(book.columns(many, NOW + 10 * STEP_MS).value).toEqual([600]);
  });
});
