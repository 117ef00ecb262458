import { describe, expect, test } from "vitest";
import { bodyOf, endOf, newDraft } from "../src/lib/draft";
import { LINK_TEXTS } from "../src/links/texts";

const NOW = new Date("2026-11-26T12:00:00.123Z");
const thing = { id: "281", name: "Truck 214" };
const place = { id: "77", name: "Dock" };

describe("the body of a new link", () => {
  test("is the vendor's own where no option is taken", () => {
    expect(bodyOf({ ...newDraft(), thing, name: " For client " }, NOW, 1000)).toEqual({
      name: "For client", type: "assetsLocation", assetsLocationLinkConfig: { assetId: "281" }, expiresAtTime: "2026-11-26T16:00:00Z",
    });
  });

  test("has every option in the extension, within its limits", () => {
    const draft = {
      ...newDraft(), thing, destination: place, length: "never" as const, trail: "minutes" as const, trailMinutes: 5000, endsOnArrival: true,
      planned: "2026-11-26T15:00", starts: "2026-11-26T13:00", withinDistance: 5, withinMinutes: 20, shownName: "Your van", description: "Dock 4",
    };
    expect(bodyOf(draft, NOW, 1609.344)).toEqual({
      name: "Truck 214", type: "assetsLocation", description: "Dock 4", assetsLocationLinkConfig: { assetId: "281", addressId: "77" },
      odograph: {
        startsAtTime: new Date("2026-11-26T13:00").toISOString().replace(".000", ""), trail: "minutes:1440", endsOnArrival: true,
        plannedArrivalTime: new Date("2026-11-26T15:00").toISOString().replace(".000", ""), discloseWithin: { meters: 8047, minutes: 20 }, shownName: "Your van",
      },
    });
  });

  test("leaves out what needs a destination without one, and what a kind does not have", () => {
    const draft = { ...newDraft(), thing, endsOnArrival: true, withinMinutes: 20, planned: "2026-11-26T15:00", shownName: "X", description: "D" };
    expect(bodyOf({ ...draft, kind: "tags" }, NOW, 1000)).toEqual({
      name: "Truck 214", type: "assetsLocation", assetsLocationLinkConfig: { tagIds: ["281"] }, description: "D", expiresAtTime: "2026-11-26T16:00:00Z",
    });
    expect(bodyOf({ ...draft, kind: "routes" }, NOW, 1000)).toEqual({
      name: "Truck 214", type: "assetsOnRoute", assetsOnRouteLinkConfig: { recurringRouteId: "281" }, expiresAtTime: "2026-11-26T16:00:00Z",
    });
    expect(bodyOf({ ...draft, kind: "addresses", destination: place }, NOW, 1000)).toMatchObject({ assetsNearLocationLinkConfig: { addressId: "281" } });
  });

  test("ends today at the maker's midnight", () => {
    const end = endOf("today", "", NOW)!;
    expect([end.getHours(), end.getMinutes(), end.getSeconds(), end > NOW]).toEqual([0, 0, 0, true]);
  });
});

test("the link maker says everything in every language", () => {
  const shape = (value: object): unknown => Object.entries(value).map(([key, inner]) => (typeof inner === "object" ? [key, shape(inner)] : [key, typeof inner]));
  for (const texts of Object.values(LINK_TEXTS)) expect(shape(texts)).toEqual(shape(LINK_TEXTS.en));
});
