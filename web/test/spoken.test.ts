import { expect, test } from "vitest";
import { makeFormat } from "../src/lib/format";
import { spoken, turn } from "../src/lib/spoken";
import type { Asset, Route, State } from "../src/lib/wire";

const NOW = Date.UTC(2025, 5, 1, 12, 0);
const format = makeFormat({ language: "en", locale: "en-GB", hourCycle: "h23", isMiles: false, timeZone: "UTC" }, "UTC");
const FIX = { time: NOW, lat: 52, lon: 4, near: "Rotterdam, NL" };
const VAN: Asset = { key: "a", name: "Van", motion: "stopped", fix: FIX };

function state(parts: Partial<State>, hidden?: State["link"]["hidden"]): State {
  const link = { type: "asset", name: "Link", org: "Acme", timeZone: "UTC", endsOnArrival: false, hidden } as State["link"];
  return { now: NOW, link, assets: [VAN], ...parts };
}

function route(parts: Partial<Route>): Route {
  const stops = [
    { name: "Dock", lat: 1, lon: 1, state: "done" as const },
    { name: "Shop", lat: 1, lon: 1, state: "next" as const, planned: NOW + 600_000 },
  ];
  return { name: "Round", state: "underway", stops, lateS: 480, asset: "a", ...parts };
}

test("one vehicle is told with what it does and where", () => {
  expect(spoken(state({}), NOW, format)).toBe("Van, Stopped, near Rotterdam, NL.");
  expect(spoken(state({}, "private"), NOW, format)).toBe("Position not shown here.");
});

test("a run under way is told by its next stop, how late it is and who drives", () => {
  const told = spoken(state({ route: route({}) }), NOW, format);
  expect(told).toMatch(/^Round, Next stop: Shop, planned 12:10, 8 min behind plan, Van, Stopped, near Rotterdam/);
});

test("a run to come is told by its start, and no vehicle is made up", () => {
  const planned = state({ assets: [], route: route({ state: "planned", starts: NOW + 3_600_000, asset: undefined }) });
  expect(spoken(planned, NOW, format)).toMatch(/^Round, Starts .*13:00\.$/);
  expect(spoken(state({ assets: [], route: route({ state: "ended" }) }), NOW, format)).toBe("Round, All stops are done.");
});

test("what turns is told at once, what only moves is not", () => {
  const before = turn(state({}));
  expect(turn(state({ assets: [{ ...VAN, motion: "moving", fix: { ...FIX, lat: 53 } }] }))).toBe(before);
  const turned = [
    state({}, "private"),
    state({ assets: [] }),
    state({ assets: [VAN, { ...VAN, key: "b" }] }),
    state({ assets: [{ ...VAN, fix: undefined }] }),
    state({ assets: [{ ...VAN, arrived: NOW }] }),
    state({ route: route({}) }),
  ].map(turn);
  expect(new Set([before, ...turned]).size).toBe(7);
});
