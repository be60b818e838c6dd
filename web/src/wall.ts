// Opens the wall.
import { mount } from 'svelte';
import { browserPorts } from './browser';
import { Speaker } from './sound/chime';
import { WallState } from './state/wall.svelte';
import Wall from './view/Wall.svelte';
import { Api } from './wire/http';

export function open(target: HTMLElement): void {
  const ports = browserPorts();
  const speaker: Speaker = new Speaker((sound) => (wall.sound = sound));
  const by = ports.by || ports.screen;
  const wall: WallState = new WallState({ ...ports, by, api: new Api(), speaker });
  speaker.start();
  keepAwake();
  mount(Wall, { target, props: { wall, speaker } });
}

/** Asks that the picture stay on; a browser may refuse, a wall computer is set up anyway. */
function keepAwake(): void {
  const ask = () => {
    if (document.visibilityState === 'visible') navigator.wakeLock?.request('screen').catch(() => {});
  };
  document.addEventListener('visibilitychange', ask);
  ask();
}
