// Moves a marker from the position it shows to the newest one, along the points between. Pure.
//
// Nothing is extrapolated: the marker is late by at most the interval that passed between two positions, and
// rests on the newest one until there is another.
import type { Point } from "./state";

export interface Pose {
  /** Of the position shown, in the fix's own time: a trail is drawn up to it. */
  time: number;
  lat: number;
  lon: number;
}

export interface Glide {
  path: Point[];
  startedMs: number;
  tookMs: number;
}

/** Longer gaps are not travelled but jumped: what happened in them is unknown. */
export const LONGEST_GLIDE_MS = 20_000;
const JUMP_DEG = 0.5;
const JUMP_MS = 10 * 60_000;

export function rest(at: Pose): Glide {
  return { path: [[at.time, at.lat, at.lon]], startedMs: 0, tookMs: 0 };
}

/** `between`: points of the trail, oldest first. `intervalMs`: between the arrivals of the last two positions. */
export function glideTo(from: Pose, to: Pose, between: Point[], intervalMs: number, clockMs: number): Glide {
  const isJump = Math.abs(to.lat - from.lat) > JUMP_DEG || Math.abs(to.lon - from.lon) > JUMP_DEG || to.time - from.time > JUMP_MS;
  const tookMs = Math.min(intervalMs, Math.max(0, to.time - from.time), LONGEST_GLIDE_MS);
  if (isJump || tookMs <= 0) return rest(to);
  const inside = between.filter(([time]) => time > from.time && time < to.time);
  return { path: [[from.time, from.lat, from.lon], ...inside, [to.time, to.lat, to.lon]], startedMs: clockMs, tookMs };
}

export function poseAt(glide: Glide, clockMs: number): Pose {
  const { path, startedMs, tookMs } = glide;
  const last = path[path.length - 1];
  const done = tookMs ? Math.min(1, Math.max(0, (clockMs - startedMs) / tookMs)) : 1;
  if (done === 1) return { time: last[0], lat: last[1], lon: last[2] };
  const time = path[0][0] + done * (last[0] - path[0][0]);
  const after = Math.max(1, path.findIndex((point) => point[0] > time));
  const [t0, lat0, lon0] = path[after - 1];
  const [t1, lat1, lon1] = path[after];
  const part = (time - t0) / (t1 - t0);
  return { time, lat: lat0 + part * (lat1 - lat0), lon: lon0 + part * (lon1 - lon0) };
}

export function isMoving(glide: Glide, clockMs: number): boolean {
  return glide.tookMs > 0 && clockMs < glide.startedMs + glide.tookMs;
}
