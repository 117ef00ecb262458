// The largest thing on the card of one asset: when it comes, or how far it is. Pure.
import type { Format } from "./format";
import type { Asset, Eta } from "./wire";

export interface Headline {
  label: string;
  big: string;
  side: string;
  note: string;
  isLate: boolean;
}

/** A band narrower than this is told as one time. */
const NARROW_MS = 6 * 60_000;
/** Less than this off the plan is on time. */
export const ON_TIME_MS = 3 * 60_000;

export function headline(asset: Asset, isBound: boolean, now: number, format: Format): Headline | null {
  const { texts } = format;
  const plan = planNote(asset, now, format);
  if (asset.arrived !== undefined) {
    return { label: texts.arrived, big: format.time(asset.arrived), side: "", note: plan.note, isLate: false };
  }
  if (asset.eta) return { ...etaWords(asset.eta, now, format), ...plan };
  if (isBound && asset.distanceM !== undefined) {
    return { label: texts.distanceLeft, big: format.distance(asset.distanceM), side: texts.straightLine, ...plan };
  }
  return null;
}

export function etaWords(eta: Eta, now: number, format: Format): Pick<Headline, "label" | "big" | "side"> {
  const { texts } = format;
  const isNarrow = eta.latest - eta.earliest < NARROW_MS;
  return {
    label: isNarrow ? texts.arriving : texts.arrivingBetween,
    big: isNarrow ? format.time(eta.at) : `${format.time(eta.earliest)} – ${format.time(eta.latest)}`,
    side: eta.at - now < 60_000 ? texts.anyMinute : texts.inSpan(format.span(Math.round((eta.at - now) / 60_000) * 60_000)),
  };
}

function planNote(asset: Asset, now: number, format: Format): Pick<Headline, "note" | "isLate"> {
  if (asset.planned === undefined) return { note: "", isLate: false };
  const planned = format.texts.plannedFor(format.moment(asset.planned, now));
  const lateMs = (asset.arrived ?? asset.eta?.at ?? Math.max(now, asset.planned)) - asset.planned;
  if (lateMs < ON_TIME_MS) return { note: planned, isLate: false };
  return { note: `${planned} · ${format.texts.late(format.span(Math.round(lateMs / 60_000) * 60_000))}`, isLate: true };
}

/** `4 min behind plan`, `On time`, or "" where it is not known. */
export function planWords(lateS: number | undefined, format: Format): string {
  if (lateS === undefined) return "";
  const { texts } = format;
  if (Math.abs(lateS) * 1000 < ON_TIME_MS) return texts.onTime;
  const span = format.span(Math.abs(lateS) * 1000);
  return lateS > 0 ? texts.behindPlan(span) : texts.aheadOfPlan(span);
}

/** When the link ends, or "" if it does not end by itself. */
export function endWords(link: { ends?: number; endsOnArrival: boolean }, now: number, format: Format): string {
  const { texts } = format;
  if (link.ends === undefined) return link.endsOnArrival ? texts.linkEndsOnArrival : "";
  const when = format.dayAndTime(link.ends, now);
  return link.endsOnArrival ? texts.linkEndsBy(when) : texts.linkEnds(when);
}
