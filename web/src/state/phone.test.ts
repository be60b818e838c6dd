// What a phone keeps and what it can be called by.
import { describe, expect, test } from 'vitest';
import { isIos, keyBytes, type Surroundings } from '../wire/push';
import { PENDING_MAX, PENDING_MS, readPending, waitBefore, withoutPending, withPending, written } from './pending';
import { pushState, type PushState } from './push';

describe('acknowledgements that wait', () => {
  const one = { alert: 'a', key: 'k1', by: 'Lan', at: 1_000 };

  test('are kept over a reload, one an alert, with their keys', () => {
    const all = withPending(withPending([], one), { ...one, alert: 'b' });
    expect(readPending(written(all), 2_000)).toEqual(all);
    expect(withPending(all, { ...one, key: 'k2' }).map(({ alert, key }) => alert + key)).toEqual(['bk1', 'ak2']);
    expect(withoutPending(all, 'a').map(({ alert }) => alert)).toEqual(['b']);
  });

  test('are let go when they are old; what cannot be read is nothing', () => {
    expect(readPending(written([one]), 1_000 + PENDING_MS)).toEqual([]);
    for (const text of [null, '', '{', '{}', '[1]', '[{"alert":"a"}]']) expect(readPending(text, 0)).toEqual([]);
  });

  test('are bounded, and tried at growing distances', () => {
    let all: ReturnType<typeof withPending> = [];
    for (let index = 0; index < 2 * PENDING_MAX; index++) all = withPending(all, { ...one, alert: `a${index}` });
    expect([all.length, all.at(-1)?.alert]).toEqual([PENDING_MAX, `a${2 * PENDING_MAX - 1}`]);
    const waits = [0, 1, 2, 3, 4, 50].map(waitBefore);
    expect(waits).toEqual([...waits].sort((a, b) => a - b));
    expect(waits.at(-1)).toBe(15_000);
  });
});

describe('push', () => {
  const well: Surroundings = {
    secure: true,
    has_worker: true,
    has_push: true,
    is_ios: false,
    installed: false,
    permission: 'default',
    subscribed: false,
  };
  test.each<[Partial<Surroundings>, PushState]>([
    [{}, 'ask'],
    [{ permission: 'granted', subscribed: true }, 'on'],
    [{ permission: 'granted' }, 'ask'],
    [{ permission: 'denied' }, 'denied'],
    [{ secure: false, has_worker: false, permission: undefined }, 'insecure'],
    [{ is_ios: true, has_push: false, permission: undefined }, 'not_installed'],
    [{ is_ios: true, installed: true }, 'ask'],
    [{ has_push: false }, 'unsupported'],
    [{ has_worker: false }, 'unsupported'],
  ])('%j: %s', (more, state) => expect(pushState({ ...well, ...more })).toBe(state));

  test('an iPad that calls itself a Mac is one', () => {
    const mac = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)';
    expect([isIos(mac, 5), isIos(mac, 0), isIos('iPhone', 5), isIos('Android', 5)]).toEqual([true, false, true, false]);
  });

  test('the key of the server is base64url', () => {
    expect([...keyBytes('-_8A')]).toEqual([0xfb, 0xff, 0x00]);
  });
});
