// The service worker in a world of its own: what it shows and where a touch leads.
import { readFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';

type Told = Record<string, unknown>;

function worker() {
  const heard = new Map<string, (event: object) => void>();
  const shown: { title: string; options: Told }[] = [];
  const opened: string[] = [];
  const windows: { url: string; focus: () => Promise<void>; navigate: (url: string) => Promise<void> }[] = [];
  const self = {
    addEventListener: (type: string, run: (event: object) => void) => heard.set(type, run),
    location: { origin: 'https://sen' },
    registration: {
      showNotification: (title: string, options: Told) => Promise.resolve(void shown.push({ title, options })),
    },
    clients: {
      matchAll: () => Promise.resolve(windows),
      openWindow: (url: string) => Promise.resolve(void opened.push(url)),
    },
  };
  new Function('self', readFileSync('public/sw.js', 'utf8'))(self);
  const say = async (type: string, event: object) => {
    let work: Promise<unknown> = Promise.resolve();
    heard.get(type)!({ ...event, waitUntil: (promise: Promise<unknown>) => (work = promise) });
    await work;
  };
  const push = (payload: unknown) => say('push', { data: payload === undefined ? null : { json: () => payload } });
  const touch = (url: string) => say('notificationclick', { notification: { close: vi.fn(), data: { url } } });
  return { shown, opened, windows, push, touch, say };
}

test('shows what the payload says, one message an alert', async () => {
  const { push, shown } = worker();
  await push({ title: 'Báo động III', body: 'Mỹ Tho 1,72 m', alert: 'a1', severity: 1, url: '/oncall?alert=a1' });
  expect(shown[0]).toMatchObject({
    title: 'Báo động III',
    options: { body: 'Mỹ Tho 1,72 m', tag: 'alert-a1', renotify: true, requireInteraction: true, data: { url: 'https://sen/oncall?alert=a1' } },
  });
});

test('shows something whatever came, since a push that shows nothing is taken away', async () => {
  const { push, say, shown } = worker();
  await push(undefined);
  await push([]);
  await say('push', { data: { json: () => { throw new SyntaxError('not JSON'); } } });
  expect(shown.map(({ title }) => title)).toEqual(Array(3).fill('Sen: cảnh báo mới'));
});

test('a message never leads to another server', async () => {
  const { push, shown } = worker();
  await push({ title: 'x', alert: 'a/1', url: 'https://evil.example/oncall' });
  expect(shown[0]?.options['data']).toEqual({ url: '/oncall?alert=a%2F1' });
});

test('a touch brings up the page that is open, or opens one', async () => {
  const { touch, opened, windows } = worker();
  await touch('https://sen/oncall?alert=a1');
  expect(opened).toEqual(['https://sen/oncall?alert=a1']);
  const window = { url: 'https://sen/oncall', focus: vi.fn(() => Promise.resolve()), navigate: vi.fn(() => Promise.resolve()) };
  windows.push(window);
  await touch('https://sen/oncall?alert=a2');
  expect([window.focus.mock.calls.length, window.navigate.mock.calls, opened.length]).toEqual([1, [['https://sen/oncall?alert=a2']], 1]);
});
