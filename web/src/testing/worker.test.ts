// The service worker in a world of its own: what it shows and where a touch leads.
import { readFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';

type Told = Record<string, unknown>;

function worker() {
  const heard = new Map<string, (event: object) => void>();
  const shown: { title: string; options: Told }[] = [];
  const opened: string[] = [];
  const kept = new Map<string, unknown>();
  const sent: { url: string; init: RequestInit | undefined }[] = [];
  const asked: Told[] = [];
  const windows: { url: string; focus: () => Promise<void>; navigate: (url: string) => Promise<void> }[] = [];
  const self = {
    addEventListener: (type: string, run: (event: object) => void) => heard.set(type, run),
    location: { origin: 'https://sen' },
    registration: {
      showNotification: (title: string, options: Told) => Promise.resolve(void shown.push({ title, options })),
      pushManager: {
        subscribe: (options: Told) => {
          asked.push(options);
          return Promise.resolve({ endpoint: 'https://push/fresh' });
        },
      },
    },
    crypto,
    caches: {
      open: (name: string) =>
        Promise.resolve({ match: (path: string) => Promise.resolve(kept.has(name + path) ? Response.json(kept.get(name + path)) : undefined) }),
    },
    fetch: (url: string, init?: RequestInit) => {
      sent.push({ url, init });
      return Promise.resolve(Response.json(url.endsWith('/push-key') ? { key: 'BKey' } : {}));
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
  return { shown, opened, windows, kept, sent, asked, push, touch, say };
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

test.each([
  ['', 'a/1', 'https://sen/oncall?alert=a%2F1'],
  [undefined, 'a/1', 'https://sen/oncall?alert=a%2F1'],
  [null, undefined, 'https://sen/oncall'],
  ['', undefined, 'https://sen/oncall'],
  ['https://sen/desk/alerts/a1', 'a1', 'https://sen/desk/alerts/a1'],
])('the address %j of a message about %j leads to %s', async (url, alert, wanted) => {
  const { push, shown, touch, opened } = worker();
  await push({ title: 'x', alert, url });
  await touch((shown[0]?.options['data'] as { url: string }).url);
  expect(opened).toEqual([wanted]);
});

test('a subscription that the browser changed is told to the server, for the person that was noted', async () => {
  const { say, kept, sent, asked } = worker();
  await say('pushsubscriptionchange', {});
  expect(sent).toEqual([]);
  kept.set('sen-push/push-person', { person: 'lan', by: 'Lan' });
  await say('pushsubscriptionchange', { newSubscription: { endpoint: 'https://push/given' } });
  await say('pushsubscriptionchange', { newSubscription: null });
  expect(sent.map(({ url }) => url)).toEqual(['/api/v1/oncall/push', '/api/v1/oncall/push-key', '/api/v1/oncall/push']);
  const told = (at: number) => JSON.parse(String(sent[at]?.init?.body)) as unknown;
  expect(told(0)).toEqual({ person: 'lan', by: 'Lan', subscription: { endpoint: 'https://push/given' } });
  expect(told(2)).toEqual({ person: 'lan', by: 'Lan', subscription: { endpoint: 'https://push/fresh' } });
  expect(asked).toEqual([{ userVisibleOnly: true, applicationServerKey: 'BKey' }]);
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
