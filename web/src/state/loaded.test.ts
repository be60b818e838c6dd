// What is asked for over HTTP: asked again while nobody answers, and the later asking counts.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Refused } from '../wire/client';
import { Loaded } from './loaded.svelte';

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, 'warn').mockImplementation(() => {});
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test('comes by itself once the server answers', async () => {
  let answers = 0;
  const loaded = new Loaded(() => (++answers < 3 ? Promise.reject(new TypeError('network')) : Promise.resolve('here')));
  await loaded.load();
  expect([loaded.failed, loaded.value]).toEqual([true, undefined]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect([loaded.failed, loaded.value, answers]).toEqual([false, 'here', 3]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(answers).toBe(3);
});

test('what is refused for good is not asked again', async () => {
  let answers = 0;
  const loaded = new Loaded(() => Promise.reject((++answers, new Refused(404, {}))));
  await loaded.load();
  await vi.advanceTimersByTimeAsync(60_000);
  expect([loaded.failed, answers]).toEqual([true, 1]);
});

test('of two answers the later asking counts, in whichever order they come', async () => {
  const open: ((value: string) => void)[] = [];
  const loaded = new Loaded(() => new Promise<string>((resolve) => open.push(resolve)));
  const both = [loaded.load(), loaded.load()];
  open[1]!('new');
  open[0]!('old');
  await Promise.all(both);
  expect([loaded.value, loaded.busy]).toEqual(['new', false]);
});
