// Made by tools/page_types.py from odograph/sharing/page.py, which says what each field means.

export interface Fence {
  radiusM?: number;
  vertices?: [number, number][];
}

export interface Place {
  name: string;
  address?: string;
  lat: number;
  lon: number;
  fence?: Fence;
}

export interface Fix {
  time: number;
  lat: number;
  lon: number;
  heading?: number;
  speedKmh?: number;
  near: string;
}

export interface Eta {
  at: number;
  earliest: number;
  latest: number;
}

export interface Asset {
  key: string;
  name: string;
  plate?: string;
  fix?: Fix;
  motion?: "moving" | "stopped";
  since?: number;
  where?: "coming" | "inside";
  distanceM?: number;
  progress?: number;
  planned?: number;
  eta?: Eta;
  arrived?: number;
  trail?: [number, number, number][];
}

export interface Stop {
  name: string;
  lat: number;
  lon: number;
  state: "done" | "here" | "next" | "skipped" | "todo";
  planned?: number;
  arrived?: number;
  departed?: number;
  lateS?: number;
  eta?: Eta;
}

export interface Route {
  name: string;
  state: "ended" | "none" | "planned" | "underway";
  starts?: number;
  lateS?: number;
  stops: Stop[];
  asset?: string;
}

export interface Link {
  type: "asset" | "place" | "route";
  name: string;
  description?: string;
  org: string;
  timeZone: string;
  ends?: number;
  endsOnArrival: boolean;
  hidden?: "notYetNear" | "nothing" | "private";
}

export interface State {
  now: number;
  link: Link;
  assets: Asset[];
  place?: Place;
  route?: Route;
}

export interface Update {
  now: number;
  assets: Asset[];
  gone: string[];
  link?: Link;
  place?: Place;
  route?: Route;
}

export interface Ended {
  reason: "arrived" | "expired" | "gone" | "later";
}

export interface Poll {
  state: State;
  missed: Record<string, [number, number, number][]>;
  cursor: string;
  hasMore: boolean;
}
