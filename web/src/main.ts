// Where the page begins: mounts the screen that the address asks for.
import { mount } from 'svelte';
import App from './App.svelte';

const place = document.getElementById('app');
if (place) mount(App, { target: place });
