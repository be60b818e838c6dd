// Opens the desk.
import { mount } from 'svelte';
import { browserPorts } from './browser';
import { DeskState } from './state/desk.svelte';
import Desk from './view/desk/Desk.svelte';
import './view/forms.css';
import { DeskApi } from './wire/desk_api';

const NAME = 'sen.name';

export function open(target: HTMLElement): void {
  const ports = browserPorts();
  const desk = new DeskState({
    ...ports,
    by: ports.by || (localStorage.getItem(NAME) ?? ''),
    api: new DeskApi(),
    address: {
      now: () => location,
      push: (url) => history.pushState(null, '', url),
      replace: (url) => history.replaceState(null, '', url),
    },
    keep_name: (name) => localStorage.setItem(NAME, name),
  });
  addEventListener('popstate', () => desk.arrived());
  mount(Desk, { target, props: { desk } });
}
