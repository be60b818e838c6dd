// Ties a screen to the real browser: its socket, clock, storage and memory.
import { ServerClock } from './wire/clock';
import { RECONNECT_MAX_MS, type LinkOptions, type Socket } from './wire/link';

/** A longer absence than this is a new start: nobody was watching, so nothing was missed. */
const AWAY_MAX_MS = 3_600_000;
/** How often the screen notes that it is alive, milliseconds. */
const REMEMBER_MS = 5_000;

/** What every screen needs of the browser. */
export function browserPorts() {
  const query = new URLSearchParams(location.search);
  const asked = query.get('screen');
  const screen = screenName(asked, sessionStorage);
  const clock = new ServerClock();
  const link: LinkOptions = {
    screen,
    connect: () => new WebSocket(liveUrl(location)) as unknown as Socket,
    monotonic: () => clock.monotonic(),
    reconnect_max_ms: reconnectMax(query.get('reconnect_ms')),
  };
  return {
    screen,
    clock,
    link,
    paint: (run: () => void) => void requestAnimationFrame(run),
    reload: () => location.reload(),
    make_key: randomKey,
    by: query.get('by')?.slice(0, 64) ?? '',
    // What belongs to a made-up name goes with the tab.
    ...awayMemory(screen, screen === asked ? localStorage : sessionStorage),
  };
}

export function liveUrl(at: Pick<Location, 'protocol' | 'host'>): string {
  return `${at.protocol === 'https:' ? 'wss:' : 'ws:'}//${at.host}/api/v1/live`;
}

/** The name the address gives, or a made-up one that is kept as long as `storage` lasts: a tab's
 *  own, since two pages of one name would push each other out. It does not begin like the name of
 *  a wall, because nobody needs to miss it. */
export function screenName(asked: string | null, storage: Storage): string {
  if (asked !== null && /^[a-z0-9_-]{1,64}$/.test(asked)) return asked;
  const kept = storage.getItem('sen.screen');
  if (kept !== null) return kept;
  const fresh = `page-${randomKey().slice(0, 8)}`;
  storage.setItem('sen.screen', fresh);
  return fresh;
}

export function reconnectMax(asked: string | null): number {
  const ms = Number(asked);
  return asked !== null && ms >= 1 && ms <= RECONNECT_MAX_MS ? ms : RECONNECT_MAX_MS;
}

/** 32 hexadecimal digits. `randomUUID` is missing on plain HTTP, where `getRandomValues` is not. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** When this screen last was live, over reloads: so that an episode during one is told. */
function awayMemory(screen: string, storage: Storage) {
  const key = `sen.live.${screen}`;
  const last = Number(storage.getItem(key) ?? Number.NaN);
  let noted = 0;
  return {
    away_since: Date.now() - last < AWAY_MAX_MS ? last : null,
    remember: (now: number) => {
      if (now - noted < REMEMBER_MS) return;
      noted = now;
      storage.setItem(key, String(Math.round(now)));
    },
  };
}
