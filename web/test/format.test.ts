import { describe, expect, test } from "vitest";
import { makeFormat } from "../src/lib/format";
import { freshness, motionLine, seenLine } from "../src/lib/freshness";
import { endWords, headline, planWords } from "../src/lib/headline";
import { TEXTS, type Language } from "../src/lib/texts";
import { habitsOf, offsetMin } from "../src/lib/units";
import type { Asset } from "../src/lib/wire";

const NOON = Date.UTC(2026, 10, 26, 12, 0);
const MINUTE = 60_000;
const of = (locale: string, zone = "Europe/Lisbon", own = "Europe/Lisbon") => makeFormat(habitsOf([locale], own), zone);
/** Intl puts spaces of several kinds between numbers and units. */
const plain = (text: string) => text.replace(/[\u00a0\u202f\u2009]/g, " ");

describe("habits", () => {
  test.each([
    [["de-CH"], "de", false], [["en-GB"], "en", true], [["en-US"], "en", true], [["en-AU"], "en", false],
    [["es-US", "en"], "es", true], [["pt-PT", "fr"], "fr", false], [["nl"], "en", false], [[], "en", true], [["not a tag"], "en", true],
  ] as const)("of %j are %s, in miles: %s", (wanted, language, isMiles) => {
    expect(habitsOf(wanted, "UTC")).toMatchObject({ language, isMiles });
  });

  test("keep the clock of a viewer whose language is not one of ours", () => {
    expect(makeFormat(habitsOf(["pt-PT"], "UTC"), "UTC").time(NOON + 180 * MINUTE)).toBe("15:00");
  });
});

describe("times", () => {
  test("are in the zone of the link", () => {
    expect(of("en-GB", "Europe/Madrid").time(NOON)).toBe("13:00");
    expect(plain(of("en-US", "America/New_York").time(NOON))).toBe("7:00 AM");
  });

  test("have their day where it is not today", () => {
    const format = of("en-GB");
    expect(format.moment(NOON + MINUTE, NOON)).toBe("12:01");
    expect(format.moment(NOON + 24 * 60 * MINUTE, NOON)).toBe("tomorrow at 12:00");
    expect(format.moment(NOON - 13 * 60 * MINUTE, NOON)).toBe("yesterday at 23:00");
    expect(format.moment(NOON + 72 * 60 * MINUTE, NOON)).toMatch(/^Sun.* 29 Nov at 12:00$/);
    expect(format.dayAndTime(NOON, NOON)).toBe("today at 12:00");
  });

  test("name their zone where the viewer's clock differs from it, and else not", () => {
    expect(of("en-GB", "Europe/Berlin", "Europe/Lisbon").zoneName(NOON)).toBe("Central European Standard Time");
    expect(of("en-GB", "Europe/London", "Europe/Lisbon").zoneName(NOON)).toBe("");
  });

  test("survive a zone that the browser does not know", () => {
    expect(of("en-GB", "Mars/Olympus").time(NOON)).toBe("12:00");
  });

  test("know offsets with summer time and halves of hours", () => {
    expect(offsetMin("Asia/Kolkata", NOON)).toBe(330);
    expect(offsetMin("Europe/Lisbon", Date.UTC(2026, 6, 1))).toBe(60);
    expect(offsetMin("America/St_Johns", NOON)).toBe(-210);
  });
});

describe("quantities", () => {
  test.each([[40_000, "40 s"], [59_600, "1 min"], [12 * MINUTE, "12 min"], [65 * MINUTE, "1 h 5 min"], [120 * MINUTE, "2 h"], [75 * 60 * MINUTE, "3 days"], [-5, "0 s"]])(
    "a span of %i ms is %s", (ms, text) => expect(plain(of("en-GB").span(ms))).toBe(text));

  test.each([["de-DE", 42, "40 m"], ["de-DE", 820, "800 m"], ["de-DE", 1234, "1,2 km"], ["de-DE", 9960, "10 km"], ["de-DE", 104_400, "104 km"], ["en-US", 104_400, "65 mi"], ["en-US", 2000, "1.2 mi"], ["en-US", 61, "200 ft"]])(
    "in %s %i m are %s", (locale, m, text) => expect(plain(of(locale as string).distance(m as number))).toBe(text));

  test.each([[0, "north"], [22, "north"], [23, "northeast"], [180, "south"], [337, "northwest"], [338, "north"], [359.9, "north"], [-90, "west"]])(
    "%i degrees are %s", (heading, text) => expect(of("en-GB").compass(heading)).toBe(text));

  test("the server's line is said in the viewer's words and units", () => {
    expect(plain(of("de-DE").near("12 km from Lyon, FR"))).toBe("12 km von Lyon, FR");
    expect(plain(of("en-US").near("12 km from Lyon, FR"))).toBe("7 mi from Lyon, FR");
    expect(of("fr-FR").near("Lyon, FR")).toBe("près de Lyon, FR");
  });
});

describe("what a customer is told of a position", () => {
  const asset = (ageMs: number, more: Partial<Asset> = {}): Asset => ({
    key: "a", name: "A", motion: "moving", ...more, fix: { time: NOON - ageMs, lat: 1, lon: 2, heading: 0, speedKmh: 82, near: "Lyon, FR" },
  });
  const format = of("de-DE");

  test("is honest about its age", () => {
    const english = of("en-GB");
    expect(seenLine(asset(4000), NOON, english)).toBe("Live");
    expect(seenLine(asset(12 * MINUTE), NOON, english)).toBe("Last seen 12 min ago");
    expect(seenLine(asset(140 * MINUTE), NOON, english)).toBe("No signal since 09:40");
    expect(seenLine({ key: "a", name: "A" }, NOON, english)).toBe("No position yet");
  });

  test("is patient with what stands", () => {
    expect(freshness(asset(40 * MINUTE), NOON)).toBe("offline");
    expect(freshness(asset(40 * MINUTE, { motion: "stopped" }), NOON)).toBe("stale");
  });

  test("does not claim that something moves which was not heard of", () => {
    expect(plain(motionLine(asset(1000), NOON, format))).toBe("Fährt nach Norden mit 82 km/h");
    expect(motionLine(asset(5 * MINUTE), NOON, format)).toBe("War zuletzt in Fahrt");
    expect(motionLine(asset(1000, { motion: "stopped", since: NOON - 14 * MINUTE }), NOON, format)).toBe("Steht seit 11:46");
  });
});

describe("a headline", () => {
  const format = of("en-GB");
  const asset: Asset = { key: "a", name: "A", distanceM: 104_000 };

  test("gives a band where the server knows one, and the plan beside it", () => {
    const eta = { at: NOON + 20 * MINUTE, earliest: NOON + 12 * MINUTE, latest: NOON + 33 * MINUTE };
    expect(headline({ ...asset, eta, planned: NOON + 5 * MINUTE }, true, NOON, format)).toEqual({
      label: "Arriving between", big: "12:12 – 12:33", side: "in 20 min", note: "Planned for 12:05 · 15 min late", isLate: true,
    });
  });

  test("invents no clock: without an estimate it is the distance", () => {
    expect(headline(asset, true, NOON, of("de-DE"))).toMatchObject({ label: "Entfernung zum Ziel", side: "Luftlinie" });
    expect(headline(asset, false, NOON, format)).toBeNull();
  });

  test("says when it arrived", () => {
    expect(headline({ ...asset, arrived: NOON }, true, NOON, format)).toMatchObject({ label: "Arrived", big: "12:00" });
  });

  test("of a run says how late it is", () => {
    expect([0, 150, 240, -600, undefined].map((late) => planWords(late, format))).toEqual(["On time", "On time", "4 min behind plan", "10 min ahead of plan", ""]);
  });

  test("says when the link ends", () => {
    expect(endWords({ endsOnArrival: false }, NOON, format)).toBe("");
    expect(endWords({ ends: NOON + MINUTE, endsOnArrival: false }, NOON, format)).toBe("This link ends today at 12:01");
    expect(endWords({ ends: NOON + MINUTE, endsOnArrival: true }, NOON, format)).toBe("This link ends on arrival, at the latest today at 12:01");
  });
});

describe("texts", () => {
  const LANGUAGES = Object.keys(TEXTS) as Language[];
  const leaves = (value: unknown, path = ""): [string, string][] =>
    typeof value === "function" ? [[path, value("⟨1⟩", "⟨2⟩")]]
    : typeof value === "object" ? Object.entries(value as object).flatMap(([key, inner]) => leaves(inner, `${path}.${key}`))
    : [[path, value as string]];

  test.each(LANGUAGES)("of %s say something everywhere and lose no argument", (language) => {
    const english = leaves(TEXTS.en);
    const own = leaves(TEXTS[language]);
    expect(own.map(([path]) => path)).toEqual(english.map(([path]) => path));
    for (const [at, [path, text]] of own.entries()) {
      expect(text, path).not.toBe("");
      expect([text.includes("⟨1⟩"), text.includes("⟨2⟩")], path).toEqual([english[at][1].includes("⟨1⟩"), english[at][1].includes("⟨2⟩")]);
    }
  });
});
