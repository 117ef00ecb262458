// Shapes on the map out of what the page knows. Pure; GeoJSON order: longitude first.
import type { Point } from "./state";
import type { Fence, Place } from "./wire";

export type LonLat = [number, number];

const EARTH_RADIUS_M = 6_371_008.8;
const RADIANS = Math.PI / 180;
/** Points of a trail further apart than this, in time and space, are not joined by a line: what was between is unknown. */
const GAP_MS = 10 * 60_000;
const GAP_M = 3_000;

/** The longitude that is nearest to another one: beyond 180 where the antimeridian lies between. */
export function near(lon: number, to: number): number {
  return lon + 360 * Math.round((to - lon) / 360);
}

export function distanceM(a: LonLat, b: LonLat): number {
  const [lat1, lat2] = [a[1] * RADIANS, b[1] * RADIANS];
  const h = Math.sin((lat2 - lat1) / 2) ** 2 + Math.cos(lat1) * Math.cos(lat2) * Math.sin(((b[0] - a[0]) * RADIANS) / 2) ** 2;
  return 2 * EARTH_RADIUS_M * Math.asin(Math.min(1, Math.sqrt(h)));
}

/** Ring of a geofence, closed; null where the place has none. */
export function ring(place: Place): LonLat[] | null {
  const fence: Fence | undefined = place.fence;
  if (fence?.vertices?.length) {
    const points = fence.vertices.map(([lat, lon]): LonLat => [near(lon, place.lon), lat]);
    return [...points, points[0]];
  }
  return fence?.radiusM ? circle([place.lon, place.lat], fence.radiusM) : null;
}

function circle([lon, lat]: LonLat, radiusM: number): LonLat[] {
  const r = radiusM / EARTH_RADIUS_M;
  return Array.from({ length: 97 }, (_, at): LonLat => {
    const bearing = (at / 96) * 2 * Math.PI;
    const lat2 = Math.asin(Math.sin(lat * RADIANS) * Math.cos(r) + Math.cos(lat * RADIANS) * Math.sin(r) * Math.cos(bearing));
    const lon2 = Math.atan2(
      Math.sin(bearing) * Math.sin(r) * Math.cos(lat * RADIANS),
      Math.cos(r) - Math.sin(lat * RADIANS) * Math.sin(lat2),
    );
    return [lon + lon2 / RADIANS, lat2 / RADIANS];
  });
}

/** Pieces of a trail up to a moment, ending in the position shown then; broken where nothing was heard for long. */
export function pieces(trail: Point[], end: { time: number; lat: number; lon: number }): LonLat[][] {
  const found: LonLat[][] = [];
  let before: Point | null = null;
  for (const point of [...trail.filter(([time]) => time < end.time), [end.time, end.lat, end.lon] as Point]) {
    const at: LonLat = [near(point[2], end.lon), point[1]];
    const piece = found[found.length - 1];
    if (before && piece && !isGap(before, point)) piece.push(at);
    else found.push([at]);
    before = point;
  }
  return found.filter((piece) => piece.length > 1);
}

function isGap(a: Point, b: Point): boolean {
  return b[0] - a[0] > GAP_MS && distanceM([a[2], a[1]], [near(b[2], a[2]), b[1]]) > GAP_M;
}

/** West, south, east, north around points, longitudes near the first. */
export function around(points: LonLat[]): [number, number, number, number] | null {
  if (!points.length) return null;
  const lons = points.map(([lon]) => near(lon, points[0][0]));
  const lats = points.map(([, lat]) => lat);
  return [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)];
}
