// Where the page begins: hands out the colours and the language, and opens the screen that the
// address asks for. Each screen is loaded by itself, so that the wall does not carry the desk.
import './app.css';
import { applyPalette } from './view/palette';
import { languageOf, speak } from './words/language.svelte';

interface Screen {
  open(target: HTMLElement, page: string): void;
}

/** How long to wait before a screen that could not be loaded is tried again, milliseconds. */
const AGAIN_MS = 5_000;

const SCREENS: Record<string, (() => Promise<Screen>) | undefined> = {
  wall: () => import('./wall'),
  desk: () => import('./desk'),
  oncall: () => import('./oncall'),
};

applyPalette(document.documentElement);
speak(languageOf(location.search));

const page = location.pathname.split('/')[1] ?? '';
const load = SCREENS[page] ?? (() => import('./start'));
document.documentElement.dataset['page'] = page in SCREENS ? page : 'start';

load().then(
  (screen) => {
    const target = document.getElementById('app');
    if (target) screen.open(target, page);
  },
  (error: unknown) => {
    console.warn('the screen was not loaded', String(error));
    setTimeout(reloadWhenThere, AGAIN_MS);
  },
);

/** The server may be of another edition than the one this page came from; or it is gone for a
 *  moment, and a reload would end in the browser's own page, which does not come back. */
function reloadWhenThere(): void {
  fetch(location.href, { cache: 'no-store' }).then(
    () => location.reload(),
    () => setTimeout(reloadWhenThere, AGAIN_MS),
  );
}
