// The service worker: shows push messages, and opens the alert when one is touched. It keeps no
// pages and no answers: what is old must not look like what is now. All it keeps is whose browser
// this is, which the page notes for it.

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

self.addEventListener('push', (event) => {
  event.waitUntil(show(read(event.data)));
});

/** `{"title","body","alert","severity","url"}`; whatever is missing, something is shown. */
function read(payload) {
  try {
    const told = payload ? payload.json() : {};
    return told && typeof told === 'object' ? told : {};
  } catch {
    return {};
  }
}

function show({ title, body, alert, severity, url }) {
  return self.registration.showNotification(String(title ?? 'Sen: cảnh báo mới'), {
    body: String(body ?? ''),
    // One message an alert: a newer one takes the place of the older, and is heard again.
    ...(alert ? { tag: `alert-${alert}`, renotify: true } : {}),
    requireInteraction: Number(severity) <= 2,
    icon: '/icon-192.png',
    badge: '/icon-192.png',
    lang: 'vi',
    timestamp: Date.now(),
    data: { url: at(url, alert) },
  });
}

/** Where a message leads: only to this very server. A centre that has not been told its own address
 *  sends an empty one. */
function at(url, alert) {
  const fallback = alert ? `/oncall?alert=${encodeURIComponent(alert)}` : '/oncall';
  try {
    const asked = new URL(String(url || fallback), self.location.origin);
    return asked.origin === self.location.origin ? asked.href : fallback;
  } catch {
    return fallback;
  }
}

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data?.url ?? '/oncall'));
});

async function open(url) {
  const target = new URL(url, self.location.origin);
  const windows = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  const same = windows.find((each) => new URL(each.url).pathname === target.pathname);
  if (!same) return self.clients.openWindow(target.href);
  await same.focus();
  return same.url === target.href ? same : same.navigate(target.href);
}

// A browser may change its subscription while no page is open: the server must know the new one.
self.addEventListener('pushsubscriptionchange', (event) => {
  event.waitUntil(renew(event.newSubscription));
});

async function renew(changed) {
  const cache = await self.caches.open('sen-push');
  const whose = await (await cache.match('/push-person'))?.json();
  if (!whose) return;
  const subscription = changed ?? (await subscribed());
  const answer = await self.fetch('/api/v1/oncall/push', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Idempotency-Key': self.crypto.randomUUID() },
    body: JSON.stringify({ ...whose, subscription }),
  });
  if (!answer.ok) throw new Error(`the new subscription was not taken: ${answer.status}`);
}

async function subscribed() {
  const { key } = await (await self.fetch('/api/v1/oncall/push-key')).json();
  return self.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
}
