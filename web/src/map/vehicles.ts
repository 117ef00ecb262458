// Markers of vehicles: each glides from where it is shown to its newest position, and grows pale with age.
import { Marker, type Map as MapView } from "maplibre-gl";
import { freshness } from "../lib/freshness";
import { near } from "../lib/geo";
import { type Glide, glideTo, isMoving, poseAt, type Pose, rest } from "../lib/glide";
import type { View } from "../lib/state";
import type { Asset } from "../lib/wire";
import type { Ground } from "./ground";

interface Vehicle {
  marker: Marker;
  asset: Asset;
  glide: Glide;
  arrivedMs: number;
  turnDeg: number;
}

/** Trails follow their markers this often while something moves. */
const TRAIL_EVERY_MS = 250;
/** Between two positions whose interval is not known yet. */
const FIRST_INTERVAL_MS = 1000;
/** With more, names would hide the map; a chosen one still has its name. */
const MOST_NAMES = 40;

export class Vehicles {
  private readonly known = new Map<string, Vehicle>();
  private frame = 0;
  private trailedMs = 0;
  private selected: string | null = null;
  private now = 0;

  constructor(
    private readonly map: MapView,
    private readonly ground: Ground,
    private readonly isCalm: () => boolean,
    private readonly onSelect: (key: string) => void,
  ) {
    map.on("moveend", () => this.spread());
  }

  show(view: View, now: number): void {
    this.now = now;
    const shown = view.state.assets.filter(({ fix }) => fix);
    const keys = new Set(shown.map(({ key }) => key));
    for (const [key, vehicle] of this.known) {
      if (keys.has(key)) continue;
      vehicle.marker.remove();
      this.known.delete(key);
    }
    for (const asset of shown) this.put(asset, view);
    const isOneOfMany = shown.length > 1 || view.state.link.type === "place";
    const isNamed = isOneOfMany && shown.length <= MOST_NAMES;
    this.map.getContainer().classList.toggle("named", isNamed);
    this.dress();
    this.trailedMs = 0;
    this.run();
  }

  age(now: number): void {
    this.now = now;
    this.dress();
  }

  select(key: string | null): void {
    this.selected = key;
    this.dress();
  }

  redraw(): void {
    this.trailedMs = 0;
    this.run();
  }

  close(): void {
    cancelAnimationFrame(this.frame);
  }

  private put(asset: Asset, view: View): void {
    const fix = asset.fix!;
    const to: Pose = { time: fix.time, lat: fix.lat, lon: fix.lon };
    const clock = performance.now();
    const vehicle = this.known.get(asset.key);
    if (!vehicle) {
      const made = { marker: this.make(asset.key), asset, glide: rest(to), arrivedMs: clock, turnDeg: fix.heading ?? 0 };
      made.marker.setLngLat([fix.lon, fix.lat]).addTo(this.map);
      this.known.set(asset.key, made);
      return;
    }
    if (vehicle.asset.fix!.time !== fix.time || vehicle.asset.fix!.lat !== fix.lat || vehicle.asset.fix!.lon !== fix.lon) {
      const from = poseAt(vehicle.glide, clock);
      const intervalMs = this.isCalm() ? 0 : clock - vehicle.arrivedMs || FIRST_INTERVAL_MS;
      vehicle.glide = glideTo(from, { ...to, lon: near(to.lon, from.lon) }, view.trails[asset.key] ?? [], intervalMs, clock);
      vehicle.arrivedMs = clock;
    }
    // The shorter way round, however often it went round before.
    if (fix.heading !== undefined) vehicle.turnDeg = vehicle.turnDeg + ((fix.heading - vehicle.turnDeg + 540 + 360_000) % 360) - 180;
    vehicle.asset = asset;
  }

  private make(key: string): Marker {
    const element = document.createElement("div");
    element.className = "vehicle";
    // The same things are on the card, in words and by keyboard.
    element.innerHTML =
      '<svg viewBox="0 0 44 44"><path class="drop" d="M22 2c6.2 6.3 14 11.8 14 21.5a14 14 0 1 1-28 0C8 13.8 15.8 8.3 22 2z"/>' +
      '<path class="arrow" d="M22 13.5l6.5 16-6.5-3.7-6.5 3.7z"/></svg>' +
      '<svg class="disc" viewBox="0 0 44 44"><circle class="drop" cx="22" cy="22" r="13"/><circle class="arrow" cx="22" cy="22" r="5"/></svg><span></span>';
    element.addEventListener("click", (event) => {
      event.stopPropagation();
      this.onSelect(key);
    });
    const marker = new Marker({ element, anchor: "center", subpixelPositioning: true });
    for (const name of ["role", "aria-label", "tabindex"]) element.removeAttribute(name);
    element.setAttribute("aria-hidden", "true");
    return marker;
  }

  /** Shape and colour by motion and age. */
  private dress(): void {
    for (const [key, { marker, asset, turnDeg }] of this.known) {
      const element = marker.getElement();
      const isMovingNow = asset.motion === "moving" && asset.fix?.heading !== undefined;
      const fresh = freshness(asset, this.now);
      const names = `vehicle ${isMovingNow ? "moving" : "standing"} ${fresh}${key === this.selected ? " selected" : ""}`;
      if (element.dataset.state !== names) {
        element.classList.remove(...(element.dataset.state ?? "vehicle").split(" "));
        element.classList.add(...names.split(" "));
        element.dataset.state = names;
      }
      (element.firstElementChild as SVGElement).style.rotate = `${turnDeg}deg`;
      const label = element.lastElementChild!;
      if (label.textContent !== asset.name) label.textContent = asset.name;
    }
  }

  /** Names that would cover another one wait until there is room. */
  private spread(): void {
    const taken: DOMRect[] = [];
    for (const { marker } of this.known.values()) {
      const element = marker.getElement();
      const box = element.lastElementChild!.getBoundingClientRect();
      const isCrowded = taken.some((other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom);
      element.classList.toggle("crowded", isCrowded);
      if (!isCrowded && box.width) taken.push(box);
    }
  }

  private run(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.step());
  }

  private step(): void {
    const clock = performance.now();
    let isBusy = false;
    for (const { marker, glide } of this.known.values()) {
      const pose = poseAt(glide, clock);
      const { lng, lat } = marker.getLngLat();
      if (lng !== pose.lon || lat !== pose.lat) marker.setLngLat([pose.lon, pose.lat]);
      isBusy ||= isMoving(glide, clock);
    }
    if (!isBusy || clock - this.trailedMs >= TRAIL_EVERY_MS) {
      this.trailedMs = clock;
      this.ground.setPoses(new Map([...this.known].map(([key, { glide }]) => [key, poseAt(glide, clock)])));
    }
    if (isBusy) this.run();
    else this.spread();
  }
}
