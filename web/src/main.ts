// Where the page begins: hands out the colours and the language, mounts the screen.
import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { applyPalette } from './view/palette';
import { languageOf, speak } from './words/language.svelte';

applyPalette(document.documentElement);
speak(languageOf(location.search));

const place = document.getElementById('app');
if (place) mount(App, { target: place });
