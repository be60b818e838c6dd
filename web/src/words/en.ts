// Every word on the screens, in English. The type makes sure that none is missing.
import type { vi } from './vi';

export const en: Record<keyof typeof vi, string> = {
  'field.all': 'All',
  'field.socio_economy': 'Socio-economy',
  'field.security': 'Security',
  'field.transport': 'Transport',
  'field.environment': 'Environment',
  'field.public_services': 'Public services',

  'severity.1': 'Critical',
  'severity.2': 'High',
  'severity.3': 'Medium',
  'severity.4': 'Low',
  'severity.normal': 'Normal',

  'state.unacknowledged': 'not acknowledged',
  'state.acknowledged': 'acknowledged: {by}',
  'state.acknowledged_unknown': 'acknowledged',
  'state.returned_unacknowledged': 'over, not acknowledged',
  'state.normal': 'over',
  'state.superseded': 'replaced by a newer alert',

  'freshness.fresh': 'live',
  'freshness.stale': 'stale',
  'freshness.lost': 'signal lost',
  'freshness.suspect': 'suspect',
  'freshness.none': 'no data',

  'link.opening': 'Connecting',
  'link.replaying': 'Catching up',
  'link.live': 'Live',
  'link.behind': 'Catching up',
  'link.slow': 'Slow signal',
  'link.lost': 'Disconnected',
  'link.displaced': 'Opened elsewhere',
  'link.signed_out': 'Not signed in',
  'link.forbidden': 'Not allowed',

  'cover.title': 'NO SIGNAL SINCE {time}',
  'cover.body': 'The figures behind this cover are old. The screen is reconnecting by itself.',
  'cover.retry': 'Next try in {seconds} s',
  'cover.trying': 'Trying to connect…',
  'cover.displaced': 'This screen was opened elsewhere',
  'cover.displaced_body': 'The figures behind this cover are not kept up to date any more.',
  'cover.take_over': 'Use it here',

  'sound.on': 'Sound on',
  'sound.blocked': 'Sound is off',
  'sound.muted': 'Muted',
  'sound.enable': 'press to turn on',

  'header.counts': 'open / not acknowledged',
  'header.count': 'severity {severity}: {open} open, {unacknowledged} not acknowledged',
  'header.test_mode': 'TEST MODE — not signed in',

  'tabs.label': 'Fields',
  'tabs.pinned': 'pinned',
  'tabs.turning': 'turning',

  'tile.coverage': '{heard}/{all} points',
  'tile.empty': 'This field has no tiles yet.',

  'alerts.title': 'Open alerts',
  'alerts.none': 'No open alerts',
  'alerts.checked': 'Checked at {time}',
  'alerts.page': '{shown} / {all}',
  'alerts.page_number': 'page {page}/{pages}',
  'alerts.before': 'Previous page',
  'alerts.after': 'Next page',
  'alerts.limit': 'limit',
  'alerts.late': 'found late',
  'alerts.loading': 'Loading alerts…',
  'alerts.waiting': '{count} new alerts, press to see',
  'alerts.waiting_critical': 'New: {name}',

  'acknowledge.do': 'Acknowledge',
  'acknowledge.sending': 'sending…',
  'acknowledge.failed': 'Not sent. Try again',
  'acknowledge.first': '{by} acknowledged it at {time}',
  'acknowledge.changed': 'The alert has just changed, look again',
  'acknowledge.gone': 'This alert is gone',
  'acknowledge.label': 'Acknowledge: {text}',

  'missed.title': 'Missed while disconnected: {count}',
  'missed.done': 'Seen',
  'missed.page': '{from}–{to} / {all}',
  'missed.before': 'Earlier ones',
  'missed.after': 'Later ones',

  'map.label': 'Map of the province',
  'map.schematic': 'Schematic, not the official boundaries',
  'map.loading': 'Loading the map…',
  'map.simple': 'Simple map',
  'map.normal': 'Normal station',
  'map.silent': 'Silent station',

  'trend.none': 'Nothing yet',

  'age.seconds': '{n} s',
  'age.minutes': '{n} min',
  'age.hours': '{n} h',
  'age.days': '{n} d',

  'start.title': 'Operations centre',
  'start.wall': 'Open the wall',
  'start.unknown': 'There is no such page.',
};
