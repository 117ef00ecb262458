// Markers that stand still: the destination's pin and the stops of a route.
import { Marker, type Map as MapView } from "maplibre-gl";
import type { View } from "../lib/state";
import type { Stop } from "../lib/wire";

export class Signs {
  private markers: Marker[] = [];
  private shown = "";

  constructor(private readonly map: MapView) {}

  show({ state: { place, route, link } }: View): void {
    const drawn = JSON.stringify([place, route?.stops.map(({ lat, lon, state, name }) => [lat, lon, state, name])]);
    if (drawn === this.shown) return;
    this.shown = drawn;
    for (const marker of this.markers) marker.remove();
    this.markers = [];
    route?.stops.forEach((stop, at) => this.put(stopSign(stop, at), stop, "center"));
    // Near a place, the place is what the whole page is about.
    if (place) this.put(pin(link.type === "place" ? "" : place.name), place, "bottom");
  }

  private put(element: HTMLElement, at: { lat: number; lon: number }, anchor: "bottom" | "center"): void {
    const marker = new Marker({ element, anchor }).setLngLat([at.lon, at.lat]).addTo(this.map);
    for (const name of ["role", "aria-label", "tabindex"]) element.removeAttribute(name);
    element.setAttribute("aria-hidden", "true");
    this.markers.push(marker);
  }
}

function pin(name: string): HTMLElement {
  const element = document.createElement("div");
  element.className = "pin";
  element.innerHTML =
    '<svg viewBox="0 0 36 46"><path d="M18 2C9.2 2 2 9 2 17.8 2 29.6 18 44 18 44s16-14.4 16-26.2C34 9 26.8 2 18 2z"/><circle cx="18" cy="17.5" r="6"/></svg><span></span>';
  if (name) element.lastElementChild!.textContent = name;
  else element.lastElementChild!.remove();
  return element;
}

function stopSign(stop: Stop, at: number): HTMLElement {
  const element = document.createElement("div");
  element.className = `stop ${stop.state}`;
  element.textContent = stop.state === "done" ? "✓" : stop.state === "skipped" ? "–" : String(at + 1);
  return element;
}
