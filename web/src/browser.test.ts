// What ties a screen to a browser: names, addresses, waits.
import { beforeEach, expect, test } from 'vitest';
import { liveUrl, reconnectMax, screenName } from './browser';

beforeEach(() => sessionStorage.clear());

test('the name of the address counts; a made-up one stays for the tab alone', () => {
  expect(screenName('wall-1', sessionStorage)).toBe('wall-1');
  expect(sessionStorage).toHaveLength(0);
  const mine = screenName(null, sessionStorage);
  expect(mine).toMatch(/^[a-z0-9_-]{1,64}$/);
  expect(mine).not.toMatch(/^wall/);
  expect(screenName('Not A Name', sessionStorage)).toBe(mine);
  sessionStorage.clear();
  expect(screenName(null, sessionStorage), 'another tab').not.toBe(mine);
});

test('the socket is where the page is, as safe as the page', () => {
  expect(liveUrl({ protocol: 'http:', host: 'sen:8080' })).toBe('ws://sen:8080/api/v1/live');
  expect(liveUrl({ protocol: 'https:', host: 'sen' })).toBe('wss://sen/api/v1/live');
});

test.each([
  [null, 10_000],
  ['500', 500],
  ['0', 10_000],
  ['20000', 10_000],
  ['soon', 10_000],
])('the longest wait for %s', (asked, wait_ms) => {
  expect(reconnectMax(asked)).toBe(wait_ms);
});
