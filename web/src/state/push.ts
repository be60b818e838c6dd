// Whether this browser can be called by push, and if not, why not. Pure.

import type { Surroundings } from '../wire/push';

export type PushState = 'on' | 'ask' | 'insecure' | 'not_installed' | 'unsupported' | 'denied';

export function pushState(at: Surroundings): PushState {
  if (!at.secure) return 'insecure';
  if (at.is_ios && !at.installed) return 'not_installed';
  if (!at.has_worker || !at.has_push || at.permission === undefined) return 'unsupported';
  if (at.permission === 'denied') return 'denied';
  return at.permission === 'granted' && at.subscribed ? 'on' : 'ask';
}
