// The frames are read from the same files as the server's tests read.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { hello, parseFrame, seen } from './frames';
import { Malformed } from './shape';

const FOLDER = '../tests/fixtures/live';
const OF_THE_SCREEN = ['hello', 'seen'];
const OF_THE_SERVER = ['welcome', 'snapshot', 'alert', 'skip', 'live', 'heartbeat', 'tick'];

const fixtures = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.json'))
  .map((name) => {
    const raw = readFileSync(`${FOLDER}/${name}`, 'utf8');
    return { name, raw, json: JSON.parse(raw) as Record<string, unknown> };
  });

function fixture(name: string): string {
  const found = fixtures.find((each) => each.name === `${name}.json`);
  if (!found) throw new Error(`no fixture ${name}`);
  return found.raw;
}

describe('frames of the server', () => {
  const ours = fixtures.filter(({ json }) => !OF_THE_SCREEN.includes(String(json['type'])));

  test('there is a fixture of each', () => {
    const types = new Set(ours.map(({ json }) => json['type']));
    expect([...types]).toEqual(expect.arrayContaining(OF_THE_SERVER));
  });

  test.each(ours)('$name is read', ({ raw, json }) => {
    expect(parseFrame(raw).type).toBe(json['type']);
  });

  test('an alert keeps what it says, with times in milliseconds', () => {
    expect(parseFrame(fixture('alert'))).toMatchObject({
      seq: 43,
      prev: 42,
      record: {
        id: 'b5d4045c3f466fa91fe2',
        severity: 1,
        state: 'unacknowledged',
        area: '28261',
        event_time: Date.parse('2026-11-23T14:02:05.120+07:00'),
        text: { vi: 'Mực nước Mỹ Tho trên báo động III: 1,62 m' },
      },
    });
  });

  test('an alert of silence has neither value nor limit nor area', () => {
    const frame = parseFrame(fixture('alert-silent'));
    expect(frame.type === 'alert' && frame.record).toMatchObject({
      metric: undefined,
      value: undefined,
      limit: undefined,
      area: undefined,
    });
  });

  test('an alert tells who put it aside, and what was written down', () => {
    const at = '2026-11-23T14:02:05+07:00';
    const more = {
      ...(JSON.parse(fixture('alert')) as object),
      kind: 'shelved',
      level: 2,
      group: 'flood/28261',
      shelving: { by: 'Lan', at, reason: 'Đang sửa trạm', until: at, one_shot: true },
      suppression: { cause: 'dependency', alert: 'b', device: 'gw-1', at },
      assignment: { to: 'Đội 2', by: 'Lan', at },
      notes: [{ by: 'Lan', at, text: 'Đã gọi' }],
      closing: { by: 'Lan', at, cause: 'false_alarm', note: '' },
      out_of_service: 'out-1',
      members: ['a', 'b'],
      attributes: { alertname: 'DiskFull' },
    };
    const frame = parseFrame(JSON.stringify(more));
    const ms = Date.parse(at);
    expect(frame.type === 'alert' && frame.record).toMatchObject({
      kind: 'shelved',
      shelving: { until: ms, one_shot: true },
      suppression: { cause: 'dependency', device: 'gw-1', at: ms },
      assignment: { to: 'Đội 2' },
      notes: [{ text: 'Đã gọi', at: ms }],
      closing: { cause: 'false_alarm' },
      out_of_service: 'out-1',
      members: ['a', 'b'],
      attributes: { alertname: 'DiskFull' },
    });
  });

  test('the centre: what is set and what is not', () => {
    const at = '2026-11-23T14:02:05+07:00';
    const said = (more: object) => parseFrame(JSON.stringify({ type: 'centre', ...more }));
    expect(said({ stage: null, advice: null, floods: [], drill: null, alerting: null })).toEqual({
      type: 'centre',
      centre: { floods: [] },
    });
    const full = said({
      stage: { stage: 3, since: at, by: 'Lan', reason: 'Bão số 9' },
      advice: { stage: 4, alerts: ['a'] },
      floods: [{ desk: 'environment', started_at: at, first_out: 'a', raised: 41 }],
      drill: { since: at, by: 'Lan', reason: 'Diễn tập' },
      alerting: { ok: false, since: at, latency_ms: null },
      weather: 'unknown fields are ignored',
    });
    expect(full.type === 'centre' && full.centre).toMatchObject({
      stage: { stage: 3, since: Date.parse(at) },
      advice: { stage: 4 },
      floods: [{ desk: 'environment', raised: 41 }],
      drill: { by: 'Lan' },
      alerting: { ok: false, latency_ms: undefined },
    });
    for (const wrong of [{ stage: { stage: 6, since: at, by: 'x' } }, { alerting: { ok: 1, since: at } }]) {
      expect(() => said(wrong)).toThrow(Malformed);
    }
  });

  test('a tick keeps its good rows and leaves out what is not a row', () => {
    const rows = [['a', 'm', 1, 2, 0], ['a', 'm', null, 2, 0], ['a', 'm', 1, 2, 7], 'row', ['a']];
    expect(parseFrame(JSON.stringify({ type: 'tick', upserts: rows }))).toEqual({
      type: 'tick',
      upserts: [{ device: 'a', metric: 'm', value: 1, at: 2, quality: 0 }],
    });
  });

  test('unknown types and unknown fields are ignored', () => {
    expect(parseFrame('{"type":"weather","v":9}')).toEqual({ type: 'unknown' });
    const more = { ...(JSON.parse(fixture('skip')) as object), why: 'later' };
    expect(parseFrame(JSON.stringify(more))).toEqual({ type: 'skip', prev: 43, to: 47 });
  });

  test.each([
    ['not JSON', '{'],
    ['no object', '[]'],
    ['no type', '{}'],
    ['a type that is no string', '{"type":7}'],
    ['a seq that is no count', '{"type":"skip","prev":-1,"to":3}'],
    ['a missing field', '{"type":"heartbeat","head":3}'],
    ['a time that is none', '{"type":"heartbeat","head":3,"now":"soon"}'],
    ['a mode of its own', fixture('welcome').replace('"resume"', '"guess"')],
    ['a fifth severity', fixture('alert').replace('"severity":1', '"severity":5')],
    ['a state of its own', fixture('alert').replace('"unacknowledged"', '"sleeping"')],
  ])('%s is refused', (_, raw) => {
    expect(() => parseFrame(raw)).toThrow(Malformed);
  });

  test('decomposed letters are composed on the way in', () => {
    const raw = fixture('alert').replace('Mực nước Mỹ Tho', 'Mực nước Mỹ Tho'.normalize('NFD'));
    const frame = parseFrame(raw);
    expect(frame.type === 'alert' && frame.record.text.vi).toContain('Mực nước Mỹ Tho');
  });
});

describe('frames of the screen', () => {
  test('hello and seen are what the fixtures say', () => {
    const resume = { epoch: '9f86d081884c7d659a2feaa0c55ad015', seq: 41 };
    expect(hello('wall-1', resume)).toEqual(JSON.parse(fixture('hello')));
    expect(seen(42)).toEqual(JSON.parse(fixture('seen')));
  });
});
