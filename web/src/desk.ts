// Opens the desk.
import { mount } from 'svelte';
import { browserPorts } from './browser';
import { Speaker } from './sound/chime';
import { DeskState } from './state/desk.svelte';
import Desk from './view/desk/Desk.svelte';
import './view/forms.css';
import { DeskApi } from './wire/desk_api';

const NAME = 'sen.name';
const LETTERS = 'sen.letters';

export function open(target: HTMLElement): void {
  const ports = browserPorts();
  const speaker: Speaker = new Speaker((sound) => (desk.sound = sound));
  const desk: DeskState = new DeskState({
    ...ports,
    by: ports.by || (localStorage.getItem(NAME) ?? ''),
    api: new DeskApi(),
    address: {
      now: () => location,
      push: (url) => history.pushState(null, '', url),
      replace: (url) => history.replaceState(null, '', url),
    },
    keep_name: (name) => localStorage.setItem(NAME, name),
    letters: localStorage.getItem(LETTERS) !== 'off',
    keep_letters: (on) => localStorage.setItem(LETTERS, on ? 'on' : 'off'),
    speaker,
  });
  addEventListener('popstate', () => desk.arrived());
  mount(Desk, { target, props: { desk, speaker } });
}
