// What the link maker's form says, as the body of `POST /live-shares`. Pure.
export type Kind = "vehicles" | "tags" | "addresses" | "routes";
export type Length = "1h" | "4h" | "today" | "until" | "never";
export type Trail = "none" | "sinceStart" | "minutes";

export interface Thing {
  id: string;
  name: string;
  detail?: string;
}

export interface Draft {
  kind: Kind;
  thing: Thing | null;
  name: string;
  description: string;
  length: Length;
  /** Of `datetime-local` inputs, in the maker's own zone; "" for none. */
  until: string;
  starts: string;
  planned: string;
  destination: Thing | null;
  trail: Trail;
  trailMinutes: number;
  endsOnArrival: boolean;
  /** In the maker's unit; null for no limit. */
  withinDistance: number | null;
  withinMinutes: number | null;
  shownName: string;
}

export const MAX_TEXT = 255;
const HOUR_MS = 3_600_000;

export function newDraft(): Draft {
  return {
    kind: "vehicles", thing: null, name: "", description: "", length: "4h", until: "", starts: "", planned: "",
    destination: null, trail: "none", trailMinutes: 30, endsOnArrival: false, withinDistance: null, withinMinutes: null, shownName: "",
  };
}

/** When the link ends, or null for never. Today ends at the maker's midnight. */
export function endOf(length: Length, until: string, now: Date): Date | null {
  switch (length) {
    case "1h":
      return new Date(now.getTime() + HOUR_MS);
    case "4h":
      return new Date(now.getTime() + 4 * HOUR_MS);
    case "today":
      return new Date(now.getFullYear(), now.getMonth(), now.getDate() + 1);
    case "until":
      return new Date(until);
    case "never":
      return null;
  }
}

/** A link of these kinds may have a destination, and what depends on one. */
export function mayBeBound(kind: Kind): boolean {
  return kind === "vehicles" || kind === "tags";
}

export function bodyOf(draft: Draft, now: Date, metresPerUnit: number): Record<string, unknown> {
  const thing = draft.thing!;
  const ends = endOf(draft.length, draft.until, now);
  const options = optionsOf(draft, metresPerUnit);
  return {
    name: draft.name.trim() || thing.name,
    ...configOf(draft, thing),
    ...(draft.description.trim() && draft.kind !== "routes" && { description: draft.description.trim() }),
    ...(ends && { expiresAtTime: rfc3339(ends) }),
    ...(Object.keys(options).length && { odograph: options }),
  };
}

function configOf(draft: Draft, thing: Thing): Record<string, unknown> {
  const destination = draft.destination && { addressId: draft.destination.id };
  switch (draft.kind) {
    case "vehicles":
      return { type: "assetsLocation", assetsLocationLinkConfig: { assetId: thing.id, ...destination } };
    case "tags":
      return { type: "assetsLocation", assetsLocationLinkConfig: { tagIds: [thing.id], ...destination } };
    case "addresses":
      return { type: "assetsNearLocation", assetsNearLocationLinkConfig: { addressId: thing.id } };
    case "routes":
      return { type: "assetsOnRoute", assetsOnRouteLinkConfig: { recurringRouteId: thing.id } };
  }
}

function optionsOf(draft: Draft, metresPerUnit: number): Record<string, unknown> {
  const isBound = mayBeBound(draft.kind) && draft.destination !== null;
  const within = {
    ...(draft.withinDistance && { meters: Math.min(1_000_000, Math.max(100, Math.round(draft.withinDistance * metresPerUnit))) }),
    ...(draft.withinMinutes && { minutes: Math.min(1440, Math.max(1, Math.round(draft.withinMinutes))) }),
  };
  return {
    ...(draft.starts && { startsAtTime: rfc3339(new Date(draft.starts)) }),
    ...(draft.trail !== "none" && { trail: draft.trail === "minutes" ? `minutes:${Math.min(1440, Math.max(1, Math.round(draft.trailMinutes)))}` : "sinceStart" }),
    ...(isBound && draft.endsOnArrival && { endsOnArrival: true }),
    ...(isBound && draft.planned && { plannedArrivalTime: rfc3339(new Date(draft.planned)) }),
    ...(isBound && Object.keys(within).length && { discloseWithin: within }),
    ...(draft.kind === "vehicles" && draft.shownName.trim() && { shownName: draft.shownName.trim() }),
  };
}

export function rfc3339(at: Date): string {
  return at.toISOString().replace(/\.\d+Z$/, "Z");
}
