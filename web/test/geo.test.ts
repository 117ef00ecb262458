import { describe, expect, test } from "vitest";
import { around, distanceM, near, pieces, ring } from "../src/lib/geo";
import { credits } from "../src/lib/mapconfig";
import { type Point } from "../src/lib/state";

const MINUTE = 60_000;

describe("shapes", () => {
  test("of a circle keep their radius", () => {
    const edge = ring({ name: "p", lat: 60, lon: 179.99, fence: { radiusM: 5000 } })!;
    for (const point of edge) expect(distanceM([179.99, 60], point)).toBeCloseTo(5000, 0);
    expect(edge[0][0]).toBeCloseTo(edge.at(-1)![0]);
  });

  test("of a polygon over the antimeridian stay in one piece", () => {
    const edge = ring({ name: "p", lat: 0, lon: 180, fence: { vertices: [[1, 179], [1, -179], [-1, -179]] } })!;
    expect(edge.map(([lon]) => lon)).toEqual([179, 181, 181, 179]);
    expect(around(edge)).toEqual([179, -1, 181, 1]);
  });

  test("are nothing without a fence", () => expect(ring({ name: "p", lat: 0, lon: 0 })).toBeNull());

  test("know the nearest way round", () => expect([near(-179, 179), near(10, 20), near(179, -179)]).toEqual([181, 10, -181]));
});

describe("a trail on the map", () => {
  const trail: Point[] = [[0, 1, 1], [MINUTE, 1, 1.01], [60 * MINUTE, 1, 2], [61 * MINUTE, 1, 2.01], [99 * MINUTE, 9, 9]];

  test("ends where the marker is and is broken where nothing was heard", () => {
    expect(pieces(trail, { time: 62 * MINUTE, lat: 1, lon: 2.02 })).toEqual([[[1, 1], [1.01, 1]], [[2, 1], [2.01, 1], [2.02, 1]]]);
  });

  test("does not run ahead of a marker that is still on its way", () => {
    expect(pieces(trail, { time: MINUTE / 2, lat: 1, lon: 1.005 })).toEqual([[[1, 1], [1.005, 1]]]);
  });

  test("is not broken by a long stop", () => {
    expect(pieces([[0, 1, 1]], { time: 600 * MINUTE, lat: 1, lon: 1.001 })).toHaveLength(1);
  });
});

describe("credits", () => {
  test("are text and https links, whatever markup comes", () => {
    expect(credits(['<a href="https://x.example/c">© X &amp; Y</a>, <b>Z</b>', 'GeoNames', '<img src=x onerror=alert(1)><a href="javascript:1">w</a>'])).toEqual([
      { text: "© X & Y", url: "https://x.example/c" }, { text: ", Z", url: "" }, { text: "GeoNames", url: "" }, { text: "w", url: "" },
    ]);
  });
});
