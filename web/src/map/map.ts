// The map behind the card: markers, trails and shapes of a view. Loaded after the card is drawn.
import "../styles/map-fonts.css";
import "./map.css";
import { LngLatBounds, Map as MapView, ScaleControl, setWorkerUrl } from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import { mapStyle, type Theme } from "../lib/basemap-style";
import { around } from "../lib/geo";
import type { MapConfig } from "../lib/mapconfig";
import type { View } from "../lib/state";
import { subjects } from "../lib/subjects";
import { Ground } from "./ground";
import { Signs } from "./signs";
import { Vehicles } from "./vehicles";

export interface MapHandle {
  show(view: View, now: number): void;
  /** A second passed: positions grow old. */
  age(now: number): void;
  focus(key: string | null): void;
  setTheme(theme: Theme): void;
  setPadding(padding: Padding): void;
  recentre(): void;
  zoomBy(levels: number): void;
  close(): void;
}

interface Padding {
  top: number;
  bottom: number;
  left: number;
  right: number;
}

interface Options {
  /** Where it opens, so that no tile is loaded for anywhere else. */
  view: View;
  padding: Padding;
  theme: Theme;
  isMiles: boolean;
  isStill: boolean;
  label: string;
  onPan: (isPanned: boolean) => void;
  onSelect: (key: string) => void;
}

const EASE_MS = 900;
/** How far the zoom may be off the best one before the view is moved again by itself. */
const ZOOM_SLACK = 0.75;

/** Throws where there is no WebGL 2. */
export function openMap(container: HTMLElement, config: MapConfig, options: Options): MapHandle {
  setWorkerUrl(new URL(workerUrl, import.meta.url).href);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const closest = config.street ? 15.5 : 13.5;
  const start = around(subjects(options.view, null));
  const map = new MapView({
    container,
    style: mapStyle(config, options.theme),
    ...(start
      ? { bounds: start, fitBoundsOptions: { padding: within(container, options.padding), maxZoom: closest } }
      : { center: [0, 20] as [number, number], zoom: 1 }),
    // Without streets there is nothing to see nearer than this.
    maxZoom: config.street ? 19 : 16,
    attributionControl: config.street?.kind === "style" ? { compact: false } : false,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    fadeDuration: options.isStill ? 0 : 200,
    locale: { "Map.Title": options.label },
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new ScaleControl({ maxWidth: 90, unit: options.isMiles ? "imperial" : "metric" }), "bottom-right");

  const ground = new Ground(map, options.theme);
  const vehicles = new Vehicles(map, ground, () => calm.matches || options.isStill, options.onSelect);
  const signs = new Signs(map);
  let view: View | null = null;
  let theme = options.theme;
  let selected: string | null = null;
  let padding = options.padding;
  let isPanned = false;
  let isPlaced = start !== null;

  function setPanned(panned: boolean): void {
    if (panned === isPanned) return;
    isPanned = panned;
    options.onPan(panned);
  }

  /** Everything that matters into sight; by itself only where it is far from there. */
  function fit(isAsked: boolean): void {
    if (!view || (isPanned && !isAsked)) return;
    const box = around(subjects(view, selected));
    if (!box) return;
    const bounds = new LngLatBounds([box[0], box[1]], [box[2], box[3]]);
    const best = map.cameraForBounds(bounds, { padding: within(container, padding), maxZoom: closest });
    if (!best || best.zoom === undefined) return;
    if (!isAsked && isPlaced && Math.abs(best.zoom - map.getZoom()) < ZOOM_SLACK && isInSight(bounds)) return;
    map.easeTo({ ...best, duration: isPlaced && !calm.matches && !options.isStill ? EASE_MS : 0 });
    isPlaced = true;
  }

  function isInSight(bounds: LngLatBounds): boolean {
    const room = within(container, padding);
    return [bounds.getSouthWest(), bounds.getNorthEast()].every((corner) => {
      const { x, y } = map.project(corner);
      return x >= room.left - 20 && x <= container.clientWidth - room.right + 20 && y >= room.top - 20 && y <= container.clientHeight - room.bottom + 20;
    });
  }

  function draw(): void {
    if (!view) return;
    ground.setView(view);
    signs.show(view);
    fit(false);
  }

  map.on("movestart", (event) => {
    if (event.originalEvent) setPanned(true);
  });
  map.on("style.load", () => {
    ground.setTheme(theme);
    draw();
    vehicles.redraw();
  });
  map.once("load", () => map.once("idle", () => (document.body.dataset.ready = "1")));
  map.on("error", ({ error }) => console.warn(error.message));

  return {
    show(next, now) {
      view = next;
      vehicles.show(next, now);
      draw();
    },
    age: (now) => vehicles.age(now),
    focus(key) {
      if (key === selected) return;
      selected = key;
      vehicles.select(key);
      setPanned(false);
      fit(true);
    },
    setTheme(next) {
      if (next === theme) return;
      theme = next;
      map.setStyle(mapStyle(config, next));
    },
    setPadding(next) {
      padding = next;
      fit(false);
    },
    recentre() {
      setPanned(false);
      fit(true);
    },
    zoomBy(levels) {
      setPanned(true);
      map.easeTo({ zoom: map.getZoom() + levels, duration: calm.matches ? 0 : 250 });
    },
    close() {
      vehicles.close();
      map.remove();
    },
  };
}

/** On a small screen a card may leave less room than the padding asks for. */
function within({ clientWidth, clientHeight }: HTMLElement, padding: Padding): Padding {
  const shrink = (a: number, b: number, room: number) => Math.min(1, (room - 80) / Math.max(1, a + b));
  const across = shrink(padding.left, padding.right, clientWidth);
  const down = shrink(padding.top, padding.bottom, clientHeight);
  return { left: padding.left * across, right: padding.right * across, top: padding.top * down, bottom: padding.bottom * down };
}
