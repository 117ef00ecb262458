// What a screen reader is told of the page. Pure.
import type { Format } from "./format";
import { freshness, motionLine, seenLine } from "./freshness";
import { etaWords, headline, planWords } from "./headline";
import type { Asset, Route, State, Stop } from "./wire";

/** One sentence: what the card and the map show. */
export function spoken(state: State, now: number, format: Format): string {
  const { texts } = format;
  const parts: string[] = [];
  if (state.link.hidden) parts.push(texts.hidden[state.link.hidden].title);
  if (state.route) parts.push(...ofRoute(state.route, driverOf(state), now, format));
  else if (!state.link.hidden) parts.push(...ofAssets(state, now, format));
  return `${parts.filter(Boolean).join(", ")}.`;
}

/** What must be told at once when it changes; what only moves can wait. */
export function turn(state: State): string {
  const stop = state.route && currentStop(state.route);
  return JSON.stringify([
    state.link.hidden,
    state.assets.map(({ key, fix, where, arrived }) => [key, !!fix, where, arrived !== undefined]).sort(),
    state.route?.state,
    stop && [stop.name, stop.state],
  ]);
}

function driverOf({ route, assets }: State): Asset | undefined {
  return route?.asset === undefined ? undefined : assets.find(({ key }) => key === route.asset);
}

/** The stop that it is at, else the one that it goes to. */
export function currentStop(route: Route): Stop | undefined {
  return route.stops.find(({ state }) => state === "here" || state === "next");
}

/** Of a run that is not under way: that it is to come, or over; else "". */
export function runIntro(route: Route | undefined, now: number, format: Format): string {
  const { texts } = format;
  if (!route || route.state === "none") return texts.noRun;
  if (route.state === "ended") return texts.runEnded;
  return route.state === "planned" && route.starts !== undefined ? texts.startsAt(format.moment(route.starts, now)) : "";
}

function ofRoute(route: Route, driver: Asset | undefined, now: number, format: Format): string[] {
  const { texts } = format;
  const parts = [route.name, runIntro(route, now, format)];
  if (route.state !== "underway") return parts;
  const stop = currentStop(route);
  if (stop?.state === "here") parts.push(`${texts.atStop}: ${stop.name}`);
  if (stop?.state === "next") {
    parts.push(`${texts.nextStop}: ${stop.name}`);
    if (stop.eta) parts.push(Object.values(etaWords(stop.eta, now, format)).slice(0, 2).join(" "));
    else if (stop.planned !== undefined) parts.push(texts.planned(format.time(stop.planned)));
  }
  parts.push(planWords(route.lateS, format));
  if (driver) parts.push(...whereabouts(driver, now, format));
  return parts;
}

function ofAssets({ link, assets, place }: State, now: number, format: Format): string[] {
  const { texts } = format;
  const [one] = assets;
  if (link.type === "place") {
    const here = assets.filter(({ where }) => where === "inside").length;
    return [texts.countHere(here), assets.length > here ? texts.countComing(assets.length - here) : ""];
  }
  if (!one || assets.length > 1) return [texts.vehicles(assets.length)];
  const top = headline(one, !!place, now, format);
  return [...whereabouts(one, now, format), top ? `${top.label} ${top.big}` : ""];
}

function whereabouts(one: Asset, now: number, format: Format): string[] {
  const seen = freshness(one, now) === "live" ? motionLine(one, now, format) : seenLine(one, now, format);
  return [one.name, seen, one.fix ? format.near(one.fix.near) : ""];
}
