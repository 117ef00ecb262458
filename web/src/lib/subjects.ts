// What the map and the sketch must have in sight. Pure.
import { type LonLat, ring } from "./geo";
import type { View } from "./state";

/** Points to fit, the ones that matter most first; of a single asset without a destination also its trail. */
export function subjects(view: View, selected: string | null): LonLat[] {
  const { state, trails } = view;
  const shown = state.assets.filter(({ fix }) => fix);
  const chosen = shown.find(({ key }) => key === selected);
  const points = (chosen ? [chosen] : shown).map(({ fix }): LonLat => [fix!.lon, fix!.lat]);
  if (chosen) return points;
  if (state.route) points.push(...state.route.stops.filter((stop) => stop.state !== "skipped").map(({ lon, lat }): LonLat => [lon, lat]));
  if (state.place) points.push(...(ring(state.place) ?? [[state.place.lon, state.place.lat] as LonLat]));
  if (points.length === 1 && shown.length === 1) {
    points.push(...(trails[shown[0].key] ?? []).map(([, lat, lon]): LonLat => [lon, lat]));
  }
  return points;
}
