// Which language is spoken now, and how a word is looked up in it.
import type { Text } from '../wire/nouns';
import { en } from './en';
import { vi, type WordKey } from './vi';

export type Language = 'vi' | 'en';

const WORDS: Record<Language, Record<WordKey, string>> = { vi, en };

let spoken = $state<Language>('vi');

export function language(): Language {
  return spoken;
}

export function speak(next: Language): void {
  spoken = next;
  document.documentElement.lang = next;
}

/** The language an address asks for: Vietnamese unless it says `?lang=en`. */
export function languageOf(search: string): Language {
  return new URLSearchParams(search).get('lang') === 'en' ? 'en' : 'vi';
}

/** The word of a key in the spoken language, its `{places}` filled in. */
export function say(key: WordKey, fill: Record<string, string | number> = {}): string {
  return WORDS[spoken][key].replace(/\{(\w+)\}/g, (place, name: string) =>
    name in fill ? String(fill[name]) : place,
  );
}

/** A text of the server in the spoken language. */
export function pick(text: Text): string {
  return text[spoken];
}
