// Which units and clock a viewer is used to, and where one zone's clock differs from another's. Pure.
export interface Habits {
  /** Of the texts: en, es, de or fr. */
  language: "en" | "es" | "de" | "fr";
  /** For Intl: the viewer's own where its language is one of ours, else the language. */
  locale: string;
  hourCycle: Intl.LocaleHourCycleKey | undefined;
  isMiles: boolean;
  /** The viewer's own zone. */
  timeZone: string;
}

const LANGUAGES = ["en", "es", "de", "fr"] as const;
/** Where roads are signed in miles. */
const MILES = new Set(["US", "GB", "LR", "MM", "PR", "VI", "GU", "AS", "MP", "GG", "JE", "IM"]);

export function habitsOf(wanted: readonly string[], timeZone: string): Habits {
  const known = wanted.filter(isLocale);
  const locale = known.find((tag) => LANGUAGES.includes(languageOf(tag) as never)) ?? "en";
  const own = new Intl.Locale(known[0] ?? "en");
  const region = own.region ?? own.maximize().region ?? "";
  const hourCycle = new Intl.DateTimeFormat(own.baseName, { hour: "numeric" }).resolvedOptions().hourCycle;
  return { language: languageOf(locale) as Habits["language"], locale, hourCycle: hourCycle as never, isMiles: MILES.has(region), timeZone };
}

function languageOf(tag: string): string {
  return new Intl.Locale(tag).language;
}

function isLocale(tag: string): boolean {
  try {
    return Intl.getCanonicalLocales(tag).length === 1;
  } catch {
    return false;
  }
}

/** Minutes that a zone's clock is ahead of UTC at a moment; 0 for a zone that this browser doesn't know. */
export function offsetMin(timeZone: string, at: number): number {
  try {
    const parts = new Intl.DateTimeFormat("en-US", {
      timeZone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric",
    }).formatToParts(at);
    const of = (type: string) => Number(parts.find((part) => part.type === type)?.value);
    const shown = Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute"));
    return Math.round((shown - Math.floor(at / 60_000) * 60_000) / 60_000);
  } catch {
    return 0;
  }
}

/** The zone if this browser knows it, else UTC. */
export function knownZone(timeZone: string): string {
  try {
    new Intl.DateTimeFormat("en", { timeZone });
    return timeZone;
  } catch {
    return "UTC";
  }
}
