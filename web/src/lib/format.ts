// Times, spans, distances and speeds in a viewer's words. Pure: the clock comes in by argument.
import { TEXTS, type Texts } from "./texts";
import { type Habits, knownZone, offsetMin } from "./units";

const METRES_PER_MILE = 1609.344;
const METRES_PER_FOOT = 0.3048;
const DAY_MS = 86_400_000;

export interface Format {
  texts: Texts;
  /** `14:32`, or `2:32 PM`. */
  time(at: number): string;
  /** `14:32` of today, else with its day: `yesterday at 14:32`, `Fri 27 Nov at 14:32`. */
  moment(at: number, now: number): string;
  /** As `moment`, with the day always: `today at 14:32`. */
  dayAndTime(at: number, now: number): string;
  /** `40 s`, `12 min`, `1 h 5 min`, `3 days`. */
  span(ms: number): string;
  distance(m: number): string;
  speed(kmh: number): string;
  compass(headingDeg: number): string;
  /** The server's line for a position, its kilometres in the viewer's units and words. */
  near(text: string): string;
  /** Name of the zone of all times, where its clock differs from the viewer's; else "". */
  zoneName(now: number): string;
  number(value: number): string;
}

export function makeFormat(habits: Habits, wantedZone: string): Format {
  const texts: Texts = TEXTS[habits.language];
  const timeZone = knownZone(wantedZone);
  const { locale, hourCycle, isMiles } = habits;
  const clock = new Intl.DateTimeFormat(locale, { timeZone, hour: hourCycle === "h23" || hourCycle === "h24" ? "2-digit" : "numeric", minute: "2-digit", ...(hourCycle && { hourCycle }) });
  const weekday = new Intl.DateTimeFormat(locale, { timeZone, weekday: "short", day: "numeric", month: "short" });
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  const days = new Intl.NumberFormat(locale, { style: "unit", unit: "day", unitDisplay: "long", maximumFractionDigits: 0 });

  const numbers = new Map<string, Intl.NumberFormat>(); // making one takes longer than all its uses in a second

  function measured(value: number, unit: string, digits = 0): string {
    const key = `${unit} ${digits}`;
    let made = numbers.get(key);
    if (!made) {
      made = new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: digits });
      numbers.set(key, made);
    }
    return made.format(value);
  }

  const dayOf = (at: number) => Math.floor((at + offsetMin(timeZone, at) * 60_000) / DAY_MS);

  function dayName(at: number, now: number): string {
    const ahead = dayOf(at) - dayOf(now);
    return Math.abs(ahead) <= 1 ? relative.format(ahead, "day") : weekday.format(at);
  }

  function distance(m: number): string {
    if (isMiles) {
      if (m < METRES_PER_MILE / 10) return measured(Math.round(m / METRES_PER_FOOT / 50) * 50, "foot");
      return measured(m / METRES_PER_MILE, "mile", m < 10 * METRES_PER_MILE ? 1 : 0);
    }
    if (m < 950) return measured(m < 100 ? Math.round(m / 10) * 10 : Math.round(m / 50) * 50, "meter");
    return measured(m / 1000, "kilometer", m < 9950 ? 1 : 0);
  }

  const format: Format = {
    texts,
    time: (at) => clock.format(at),
    moment: (at, now) => (dayOf(at) === dayOf(now) ? clock.format(at) : format.dayAndTime(at, now)),
    dayAndTime: (at, now) => texts.dayAt(dayName(at, now), clock.format(at)),
    span(ms) {
      const seconds = Math.max(0, Math.round(ms / 1000));
      if (seconds < 60) return `${seconds} s`;
      const minutes = Math.round(seconds / 60);
      if (minutes < 60) return `${minutes} min`;
      if (minutes >= 48 * 60) return days.format(Math.floor(minutes / 1440));
      return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
    },
    distance,
    speed: (kmh) => (isMiles ? measured(kmh * 1000 / METRES_PER_MILE, "mile-per-hour") : measured(kmh, "kilometer-per-hour")),
    compass: (headingDeg) => texts.compass[Math.round((((headingDeg % 360) + 360) % 360) / 45) % 8],
    near(text) {
      const away = /^(\d+) km from (.+)$/.exec(text);
      if (!away) return texts.near(text);
      // It comes in whole kilometres: more digits would be made up.
      const km = Number(away[1]);
      return texts.awayFrom(isMiles ? measured((km * 1000) / METRES_PER_MILE, "mile") : measured(km, "kilometer"), away[2]);
    },
    zoneName(now) {
      if (offsetMin(timeZone, now) === offsetMin(habits.timeZone, now)) return "";
      const named = new Intl.DateTimeFormat(locale, { timeZone, timeZoneName: "long" }).formatToParts(now);
      return named.find((part) => part.type === "timeZoneName")?.value ?? timeZone;
    },
    number: (value) => new Intl.NumberFormat(locale).format(value),
  };
  return format;
}
