import { describe, expect, test } from "vitest";
import { glideTo, isMoving, LONGEST_GLIDE_MS, poseAt, rest } from "../src/lib/glide";
import type { Point } from "../src/lib/state";

const from = { time: 0, lat: 10, lon: 20 };
const to = { time: 10_000, lat: 10.01, lon: 20.01 };

describe("a glide", () => {
  test("begins where the marker is and ends on the newest position, never beyond it", () => {
    const glide = glideTo(from, to, [], 5000, 100);
    expect(poseAt(glide, 100)).toEqual(from);
    expect(poseAt(glide, 2600).lat).toBeCloseTo(10.005);
    for (const clock of [5100, 6000, 1e9]) expect(poseAt(glide, clock)).toEqual(to);
    expect(isMoving(glide, 5099)).toBe(true);
    expect(isMoving(glide, 5100)).toBe(false);
  });

  test("takes no longer than the interval, nor than the drive itself took", () => {
    expect(glideTo(from, to, [], 5000, 0).tookMs).toBe(5000);
    expect(glideTo(from, to, [], 60_000, 0).tookMs).toBe(10_000);
    expect(glideTo(from, { ...to, time: 60_000 }, [], 60_000, 0).tookMs).toBe(LONGEST_GLIDE_MS);
  });

  test("goes along the points between", () => {
    const between: Point[] = [[-5, 0, 0], [5000, 10, 20.01], [20_000, 0, 0]];
    expect(poseAt(glideTo(from, to, between, 10_000, 0), 5000)).toEqual({ time: 5000, lat: 10, lon: 20.01 });
  });

  test.each([
    ["far away", { ...to, lat: 11 }, 5000], ["after a long silence", { ...to, time: 3_600_000 }, 5000],
    ["without motion", to, 0], ["back in time", { ...to, time: -1 }, 5000],
  ])("is a jump %s", (_, target, interval) => {
    const glide = glideTo(from, target, [], interval, 0);
    expect(glide.tookMs).toBe(0);
    expect(poseAt(glide, 0)).toEqual(target);
  });

  test("stays at rest", () => expect(poseAt(rest(to), 123)).toEqual(to));
});
