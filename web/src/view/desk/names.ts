// How the desk names alerts, devices, rules and places.
import type { DeskState } from '../../state/desk.svelte';
import type { Reach } from '../../wire/desk';
import type { AlertRecord } from '../../wire/nouns';
import { language, pick, say } from '../../words/language.svelte';
import { areaNames } from '../place';
import { placeWords, standingOf } from '../telling';

/** Area codes by name, as the map gives them. */
export function areasOf(desk: DeskState): Map<string, string> {
  return areaNames(desk.map, language());
}

export function headline(desk: DeskState, alert: AlertRecord): string {
  return pick(desk.rules.get(alert.rule)?.name ?? alert.text);
}

export function place(desk: DeskState, alert: AlertRecord, areas: Map<string, string>): string {
  return placeWords(alert, desk.devices.get(alert.device), areas);
}

/** Everything a search looks through. */
export function said(desk: DeskState, alert: AlertRecord, areas: Map<string, string>): string {
  const { id, rule, device, metric = '', text, assignment } = alert;
  const words = [headline(desk, alert), place(desk, alert, areas), standingOf(alert), assignment?.to ?? ''];
  return [...words, text.vi, text.en, id, rule, device, metric].join(' ');
}

export function ruleName(desk: DeskState, rule: string): string {
  const known = desk.rules.get(rule);
  return known ? pick(known.name) : rule;
}

export function deviceName(desk: DeskState, device: string): string {
  const known = desk.devices.get(device);
  return known ? pick(known.name) : device;
}

/** What a reach takes in, in words. */
export function reachWords(desk: DeskState, reach: Reach, areas: Map<string, string>): string {
  const parts = [
    reach.rule && say('reach.rule_is', { name: ruleName(desk, reach.rule) }),
    reach.device && say('reach.device_is', { name: deviceName(desk, reach.device) }),
    reach.area && say('reach.area_is', { name: areas.get(reach.area) ?? reach.area }),
  ];
  return parts.filter(Boolean).join(' · ');
}
