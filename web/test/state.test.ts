import { describe, expect, test } from "vitest";
import { apply, first, merged, type Point, TRAIL_POINTS, type View } from "../src/lib/state";
import type { Asset, State, Update } from "../src/lib/wire";

const fix = (time: number, lat = 1) => ({ time, lat, lon: 2, near: "Lyon, FR" });
const asset = (key: string, more: Partial<Asset> = {}): Asset => ({ key, name: key, fix: fix(100), ...more });
const state = (assets: Asset[], type: State["link"]["type"] = "asset"): State => ({
  now: 1000, link: { type, name: "n", org: "o", timeZone: "UTC", endsOnArrival: false }, assets,
});
const update = (more: Partial<Update>): { type: "update"; data: Update } => ({ type: "update", data: { now: 2000, assets: [], gone: [], ...more } });
const points = (...times: number[]): Point[] => times.map((time) => [time, 1, 2]);
const times = (view: View | null, key: string) => view?.trails[key]?.map(([time]) => time);

describe("a view", () => {
  test("takes the trails of its first state out of the assets", () => {
    const view = first(state([asset("a", { trail: points(1, 2) })]));
    expect(times(view, "a")).toEqual([1, 2]);
    expect(view.state.assets[0]).not.toHaveProperty("trail");
  });

  test("replaces an asset whole and adds to its trail", () => {
    const view = apply(first(state([asset("a", { trail: points(1, 2), planned: 5 })])), update({ assets: [asset("a", { fix: fix(200), trail: points(3) })] }));
    expect(view?.state.assets[0].fix?.time).toBe(200);
    expect(view?.state.assets[0].planned).toBeUndefined();
    expect(times(view, "a")).toEqual([1, 2, 3]);
  });

  test("puts late points in by their time, each moment once", () => {
    const view = apply(first(state([asset("a", { trail: points(1, 4) })])), update({ assets: [asset("a", { trail: points(3, 2, 4) })] }));
    expect(times(view, "a")).toEqual([1, 2, 3, 4]);
  });

  test("does not go back to a position that was overtaken, and keeps its late points", () => {
    const view = apply(first(state([asset("a", { fix: fix(300), trail: points(1) })])), update({ assets: [asset("a", { fix: fix(200), trail: points(200) })] }));
    expect(view?.state.assets[0].fix?.time).toBe(300);
    expect(times(view, "a")).toEqual([1, 200]);
  });

  test("drops position and trail of an asset that is hidden, and of one that is gone", () => {
    const begun = first(state([asset("a", { trail: points(1) }), asset("b", { trail: points(1) })]));
    const view = apply(begun, update({ assets: [asset("a", { fix: undefined })], gone: ["b"] }));
    expect(view?.state.assets.map(({ key }) => key)).toEqual(["a"]);
    expect(view?.trails).toEqual({});
    expect(JSON.stringify(view)).not.toContain("Lyon");
  });

  test("has no place for missed points of what is not shown", () => {
    const begun = first(state([asset("a", { fix: undefined })]));
    expect(apply(begun, { type: "missed", data: { key: "a", points: points(1) } })?.trails).toEqual({});
    expect(apply(begun, { type: "missed", data: { key: "stranger", points: points(1) } })?.trails).toEqual({});
  });

  test("takes missed pages in whatever order they come", () => {
    let view: View | null = first(state([asset("a", { trail: points(9) })]));
    for (const page of [points(5, 6), points(1, 2), points(6, 7)]) view = apply(view!, { type: "missed", data: { key: "a", points: page } });
    expect(times(view, "a")).toEqual([1, 2, 5, 6, 7, 9]);
  });

  test("is another one after a state: nothing of the old stays", () => {
    const view = apply(first(state([asset("a", { trail: points(1) })])), { type: "state", data: state([asset("b")]) });
    expect(view?.state.assets.map(({ key }) => key)).toEqual(["b"]);
    expect(view?.trails).toEqual({});
  });

  test("comes from a poll like from a state and its missed pages", () => {
    const poll = { state: state([asset("a", { trail: points(2) })]), missed: { a: points(1), b: points(1) }, cursor: "c", hasMore: false };
    expect(apply(first(state([])), { type: "poll", data: poll as never })?.trails).toEqual({ a: points(1, 2) });
  });

  test("is nothing once the link ended", () => {
    expect(apply(first(state([asset("a")])), { type: "ended", data: { reason: "expired" } })).toBeNull();
  });

  test("keeps link, place and route until they are told anew", () => {
    const place = { name: "p", lat: 1, lon: 2 };
    const begun = { ...first(state([asset("a")])) };
    begun.state.place = place;
    const view = apply(begun, update({ link: { ...begun.state.link, name: "other" } }));
    expect(view?.state.place).toEqual(place);
    expect(view?.state.link.name).toBe("other");
  });

  test("lists near a place inside first, then by distance, the unseen last", () => {
    const assets = [
      asset("far", { where: "coming", distanceM: 900 }), asset("unseen", { fix: undefined, where: "coming" }),
      asset("near", { where: "coming", distanceM: 100 }), asset("here", { where: "inside", distanceM: 999 }),
    ];
    expect(first(state(assets, "place")).state.assets.map(({ key }) => key)).toEqual(["here", "near", "far", "unseen"]);
  });

  test("lists by name as people count", () => {
    expect(first(state([asset("Van 10"), asset("Van 9")])).state.assets.map(({ key }) => key)).toEqual(["Van 9", "Van 10"]);
  });
});

describe("a trail", () => {
  test("stays bounded and keeps its newest points", () => {
    let trail: Point[] = [];
    for (let time = 0; time < 3 * TRAIL_POINTS; time += 1) trail = merged(trail, [[time, 1, 2]]);
    expect(trail.length).toBeLessThanOrEqual(TRAIL_POINTS);
    expect(trail.at(-1)?.[0]).toBe(3 * TRAIL_POINTS - 1);
    expect(trail[0][0]).toBe(0);
  });
});
