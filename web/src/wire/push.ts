// The browser's side of Web Push: the service worker, the permission, the subscription.
const WORKER = '/sw.js';

export interface Surroundings {
  /** HTTPS, or this very machine. */
  secure: boolean;
  has_worker: boolean;
  has_push: boolean;
  /** iPhone or iPad: takes push messages only for pages on the home screen. */
  is_ios: boolean;
  installed: boolean;
  permission: NotificationPermission | undefined;
  subscribed: boolean;
}

/** What this browser is like just now. */
export async function surroundings(): Promise<Surroundings> {
  const has_worker = 'serviceWorker' in navigator;
  const standalone = (navigator as { standalone?: boolean }).standalone === true;
  return {
    secure: globalThis.isSecureContext === true,
    has_worker,
    has_push: 'PushManager' in globalThis,
    is_ios: isIos(navigator.userAgent, navigator.maxTouchPoints),
    installed: standalone || matchMedia('(display-mode: standalone)').matches,
    permission: 'Notification' in globalThis ? Notification.permission : undefined,
    subscribed: has_worker && (await subscription()) !== null,
  };
}

async function subscription(): Promise<PushSubscription | null> {
  const worker = await navigator.serviceWorker.getRegistration(WORKER);
  return (await worker?.pushManager?.getSubscription()) ?? null;
}

/** Asks the person, then the browser's push service; gives what the server has to know. Must be
 *  called by a touch: browsers ask for nothing else. */
export async function subscribe(key: string): Promise<unknown> {
  if ((await Notification.requestPermission()) !== 'granted') throw new Error('permission');
  await navigator.serviceWorker.register(WORKER);
  const worker = await navigator.serviceWorker.ready;
  const applicationServerKey = keyBytes(key);
  const options = { userVisibleOnly: true, applicationServerKey };
  try {
    return (await worker.pushManager.subscribe(options)).toJSON();
  } catch (error) {
    // A subscription under another key stands in the way after the centre was set up anew.
    const old = await worker.pushManager.getSubscription();
    if (!old) throw error;
    await old.unsubscribe();
    return (await worker.pushManager.subscribe(options)).toJSON();
  }
}

/** Notes for the service worker whose browser this is, as it tells the server: see `sw.js`. */
export async function noteWhose(person: string, by: string): Promise<void> {
  const cache = await caches.open('sen-push');
  await cache.put('/push-person', new Response(JSON.stringify({ person, by })));
}

/** iPads call themselves Macs, and no Mac has a screen for fingers. */
export function isIos(agent: string, touch_points: number): boolean {
  return /iPhone|iPad|iPod/.test(agent) || (/Macintosh/.test(agent) && touch_points > 1);
}

/** A base64url key as bytes. */
export function keyBytes(key: string): Uint8Array<ArrayBuffer> {
  const text = atob(key.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
