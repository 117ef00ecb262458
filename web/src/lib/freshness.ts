// How fresh a position is, in a customer's words. Pure.
import type { Format } from "./format";
import type { Asset } from "./wire";

export type Freshness = "live" | "stale" | "offline" | "none";

/** A vehicle that moves reports more often than this; so does the connection of one that stands, as a rule. */
export const LIVE_MS = 120_000;
/** Silence after which "last seen" would sound too sure: sooner on the road than in a yard. */
const OFFLINE_MOVING_MS = 20 * 60_000;
const OFFLINE_STOPPED_MS = 90 * 60_000;

export function freshness(asset: Asset | undefined, now: number): Freshness {
  if (!asset?.fix) return "none";
  const ageMs = now - asset.fix.time;
  if (ageMs < LIVE_MS) return "live";
  return ageMs < (asset.motion === "moving" ? OFFLINE_MOVING_MS : OFFLINE_STOPPED_MS) ? "stale" : "offline";
}

/** `just now`, `4 s ago`. */
export function age(asset: Asset, now: number, format: Format): string {
  const ms = now - (asset.fix?.time ?? now);
  return ms < 3000 ? format.texts.justNow : format.texts.ago(format.span(ms));
}

/** A whole line: `Live`, `Last seen 12 min ago`, `No signal since 09:41`. */
export function seenLine(asset: Asset | undefined, now: number, format: Format): string {
  const { texts } = format;
  switch (freshness(asset, now)) {
    case "none":
      return texts.noPosition;
    case "live":
      return texts.live;
    case "stale":
      return texts.lastSeen(format.span(now - asset!.fix!.time));
    case "offline":
      return texts.noSignalSince(format.moment(asset!.fix!.time, now));
  }
}

/** `Moving north at 82 km/h`, `Stopped since 09:12`; of an old position what was so then. */
export function motionLine(asset: Asset, now: number, format: Format): string {
  const { texts } = format;
  const { fix, motion, since } = asset;
  if (!fix || !motion) return "";
  if (motion === "stopped") return since === undefined ? texts.stopped : texts.stoppedSince(format.moment(since, now));
  if (freshness(asset, now) !== "live") return texts.wasMoving;
  const direction = fix.heading === undefined ? "" : format.compass(fix.heading);
  const speed = fix.speedKmh === undefined ? "" : format.speed(fix.speedKmh);
  if (direction && speed) return texts.movingTowardsAt(direction, speed);
  if (direction) return texts.movingTowards(direction);
  return speed ? texts.movingAt(speed) : texts.moving;
}
