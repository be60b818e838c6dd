// Opens the phone of somebody on call.
import { mount } from 'svelte';
import { browserPorts } from './browser';
import { OnCallState } from './state/oncall.svelte';
import './view/forms.css';
import OnCall from './view/oncall/OnCall.svelte';
import { OnCallApi } from './wire/oncall_api';

export function open(target: HTMLElement): void {
  const is_visible = () => document.visibilityState === 'visible';
  const state = new OnCallState({ ...browserPorts(), api: new OnCallApi(), storage: localStorage, is_visible });
  addEventListener('online', () => state.hurry());
  document.addEventListener('visibilitychange', () => {
    if (is_visible()) state.hurry();
  });
  mount(OnCall, { target, props: { state } });
}
