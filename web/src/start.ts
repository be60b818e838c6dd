// Opens the start page, which leads to the screens.
import { mount } from 'svelte';
import Start from './view/Start.svelte';

export function open(target: HTMLElement, page: string): void {
  mount(Start, { target, props: { known: page === '' } });
}
