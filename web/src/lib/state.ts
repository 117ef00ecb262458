// What the page shows, and how each event changes it. Pure: no DOM, no clock, no network.
import type { Asset, Ended, Poll, State, Update } from "./wire";

export type Point = [number, number, number];

/** A page of points that were shown while the stream was away. */
export interface Missed {
  key: string;
  points: Point[];
}

export type FeedEvent =
  | { type: "state"; data: State }
  | { type: "missed"; data: Missed }
  | { type: "update"; data: Update }
  | { type: "poll"; data: Poll }
  | { type: "ended"; data: Ended };

/** `state.assets` carry no trail of their own: `trails` has it by key, oldest first, one point a moment. */
export interface View {
  state: State;
  trails: Record<string, Point[]>;
}

/** Longest trail kept; beyond it every other point of its older half goes. A page may stay open for days. */
export const TRAIL_POINTS = 4000;

export function first(state: State): View {
  const trails: Record<string, Point[]> = {};
  for (const asset of state.assets) {
    if (asset.fix && asset.trail) trails[asset.key] = merged([], asset.trail as Point[]);
  }
  return { state: { ...state, assets: ordered(state, state.assets.map(withoutTrail)) }, trails };
}

/** The view after an event. `ended` leaves nothing: the caller shows another page. */
export function apply(view: View, event: FeedEvent): View | null {
  switch (event.type) {
    case "state":
      return first(event.data);
    case "missed":
      return withPoints(view, event.data.key, event.data.points);
    case "update":
      return updated(view, event.data);
    case "poll":
      return Object.entries(event.data.missed).reduce(
        (after, [key, points]) => withPoints(after, key, points as Point[]),
        first(event.data.state),
      );
    case "ended":
      return null;
  }
}

function updated(view: View, update: Update): View {
  const assets = new Map(view.state.assets.map((asset) => [asset.key, asset]));
  const trails = { ...view.trails };
  for (const asset of update.assets) {
    const known = assets.get(asset.key);
    assets.set(asset.key, isOlder(asset, known) ? (known as Asset) : withoutTrail(asset));
    if (!asset.fix) delete trails[asset.key];
    else if (asset.trail) trails[asset.key] = merged(trails[asset.key] ?? [], asset.trail as Point[]);
  }
  for (const key of update.gone) {
    assets.delete(key);
    delete trails[key];
  }
  const link = update.link ?? view.state.link;
  const state: State = { ...view.state, now: update.now, link };
  if (update.place) state.place = update.place;
  if (update.route) state.route = update.route;
  state.assets = ordered(state, [...assets.values()]);
  return { state, trails };
}

/** An update that was overtaken by a newer position of the same asset. */
function isOlder(asset: Asset, known: Asset | undefined): boolean {
  return !!asset.fix && !!known?.fix && asset.fix.time < known.fix.time;
}

/** Points of an asset that is not shown (any more) are dropped: where a trail ends would tell where it is. */
function withPoints(view: View, key: string, points: Point[]): View {
  if (!view.state.assets.some((asset) => asset.key === key && asset.fix)) return view;
  return { ...view, trails: { ...view.trails, [key]: merged(view.trails[key] ?? [], points) } };
}

function withoutTrail(asset: Asset): Asset {
  const { trail: _, ...rest } = asset;
  return rest;
}

/** Both, in the order of their times, each moment once. Late points find their place. */
export function merged(trail: Point[], points: Point[]): Point[] {
  const last = trail[trail.length - 1];
  const inOrder = points.every((point, at) => point[0] > (at ? points[at - 1][0] : (last?.[0] ?? -Infinity)));
  if (inOrder) return thinned([...trail, ...points]);
  const byTime = new Map([...trail, ...points].map((point) => [point[0], point]));
  return thinned([...byTime.values()].sort((a, b) => a[0] - b[0]));
}

function thinned(trail: Point[]): Point[] {
  if (trail.length <= TRAIL_POINTS) return trail;
  const half = trail.length >> 1;
  return trail.filter((_, at) => at >= half || at % 2 === 0);
}

/** Near a place: inside first, then by distance, those that are not shown last. Otherwise by name. */
export function ordered(state: State, assets: Asset[]): Asset[] {
  const byName = (a: Asset, b: Asset) => a.name.localeCompare(b.name, undefined, { numeric: true });
  if (state.link.type !== "place") return assets.sort(byName);
  const rank = (asset: Asset) => (asset.where === "inside" ? 0 : asset.fix ? 1 : 2);
  const metres = (asset: Asset) => (asset.where === "inside" ? 0 : (asset.distanceM ?? Infinity));
  return assets.sort((a, b) => rank(a) - rank(b) || metres(a) - metres(b) || byName(a, b));
}
