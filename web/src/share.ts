import "./styles/base.css";
import { mount } from "svelte";
import App from "./app/App.svelte";
import type { MapConfig } from "./lib/mapconfig";
import { habitsOf } from "./lib/units";
import type { State } from "./lib/wire";

const initial = inlined<State>("odograph-state");
const mapConfig = inlined<MapConfig>("odograph-map");
// What was said for browsers without scripts grows old, and may be hidden later.
document.querySelectorAll("noscript").forEach((element) => element.remove());
const habits = habitsOf(navigator.languages, Intl.DateTimeFormat().resolvedOptions().timeZone);
document.documentElement.lang = habits.language;
const theme = localStorageOr("odograph-theme");
if (theme) document.documentElement.dataset.theme = theme;

mount(App, {
  target: document.getElementById("app")!,
  props: { initial, mapConfig, habits, base: location.pathname.replace(/\/+$/, "") },
});

/** What the server put into the page, taken out of it: the page keeps no second copy. */
function inlined<T>(id: string): T {
  const element = document.getElementById(id)!;
  const value = JSON.parse(element.textContent!) as T;
  element.remove();
  return value;
}

/** Storage may be forbidden; a page that remembers no colours is no reason to fail. */
function localStorageOr(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}
