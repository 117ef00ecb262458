// What lies on the ground under the markers: trails, the straight line ahead, the geofence.
import type { Feature } from "geojson";
import type { GeoJSONSource, LayerSpecification, Map as MapView } from "maplibre-gl";
import { LABELS, type Theme } from "../lib/basemap-style";
import { type LonLat, near, pieces, ring } from "../lib/geo";
import type { Pose } from "../lib/glide";
import type { View } from "../lib/state";

const COLOURS = {
  light: { accent: "#0b6b57", edge: "#ffffff", ahead: "#5c6b65" },
  dark: { accent: "#4fd1ae", edge: "#111716", ahead: "#93a39c" },
};

export class Ground {
  private view: View | null = null;
  private isReady = false;

  constructor(
    private readonly map: MapView,
    private theme: Theme,
  ) {}

  /** After each style, own layers are gone: they are put in again, below the names. */
  setTheme(theme: Theme): void {
    this.theme = theme;
    this.isReady = true;
    const layers = this.map.getStyle().layers;
    const names = (layers.find(({ id }) => id === LABELS) ?? layers.find(({ type }) => type === "symbol"))?.id;
    for (const id of ["fence", "ahead", "trail"]) {
      if (!this.map.getSource(id)) this.map.addSource(id, { type: "geojson", tolerance: 0.1, data: collection([]), ...(id === "trail" && { lineMetrics: true }) });
    }
    for (const layer of this.layers()) if (!this.map.getLayer(layer.id)) this.map.addLayer(layer, names);
    if (this.view) this.setView(this.view);
  }

  setView(view: View): void {
    this.view = view;
    if (!this.isReady) return;
    const edge = view.state.place ? ring(view.state.place) : null;
    this.set("fence", edge ? [{ type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [edge] } }] : []);
  }

  /** Trails up to where each marker is just now, and the straight lines from there. */
  setPoses(poses: Map<string, Pose>): void {
    if (!this.view || !this.isReady) return;
    const { trails } = this.view;
    const lines = [...poses].flatMap(([key, pose]) => {
      const found = pieces(trails[key] ?? [], pose);
      return found.map((piece, at) => line(piece, { isLast: at === found.length - 1 }));
    });
    this.set("trail", lines);
    this.set("ahead", this.ahead(poses));
  }

  private ahead(poses: Map<string, Pose>): Feature[] {
    const { place, route, link, assets } = this.view!.state;
    if (route) return this.plan(poses);
    if (!place) return [];
    return assets
      .filter(({ key, where, arrived }) => poses.has(key) && arrived === undefined && (link.type === "asset" || where === "coming"))
      .map(({ key }) => {
        const pose = poses.get(key)!;
        return line([[pose.lon, pose.lat], [near(place.lon, pose.lon), place.lat]], { isSoft: false });
      });
  }

  /** Stops in their order, as straight lines: no road is claimed. */
  private plan(poses: Map<string, Pose>): Feature[] {
    const route = this.view!.state.route!;
    const stops = route.stops.filter(({ state }) => state !== "skipped");
    const pose = route.asset ? poses.get(route.asset) : undefined;
    const lead = stops.findIndex(({ state }) => state === "next" || state === "here");
    const at = (from: number, to?: number) => stops.slice(from, to).map(({ lon, lat }): LonLat => [near(lon, stops[0].lon), lat]);
    if (lead < 0) return stops.length > 1 ? [line(at(0), { isSoft: true })] : [];
    const ahead = at(lead);
    const done = at(0, lead);
    if (pose) {
      const here: LonLat = [near(pose.lon, stops[0].lon), pose.lat];
      ahead.unshift(here);
      // A trail tells better what is behind.
      if (this.view!.trails[route.asset!]?.length) done.length = 0;
      else done.push(here);
    }
    return [line(done, { isSoft: true }), line(ahead, { isSoft: false })].filter(({ geometry }) => geometry.type === "LineString" && geometry.coordinates.length > 1);
  }

  private set(id: string, features: Feature[]): void {
    (this.map.getSource(id) as GeoJSONSource | undefined)?.setData(collection(features));
  }

  private layers(): LayerSpecification[] {
    const { accent, edge, ahead } = COLOURS[this.theme];
    const round = { "line-cap": "round", "line-join": "round" } as const;
    const width = (thin: number, thick: number) => ["interpolate", ["linear"], ["zoom"], 4, thin, 12, thick] as never;
    return [
      { id: "fence-fill", type: "fill", source: "fence", paint: { "fill-color": accent, "fill-opacity": 0.12 } },
      { id: "fence-line", type: "line", source: "fence", paint: { "line-color": accent, "line-width": 2, "line-dasharray": [3, 2] } },
      {
        id: "ahead",
        type: "line",
        source: "ahead",
        layout: round,
        paint: { "line-color": ahead, "line-width": 3.5, "line-dasharray": [0.1, 2.1], "line-opacity": ["case", ["get", "isSoft"], 0.55, 1] },
      },
      {
        id: "trail-edge",
        type: "line",
        source: "trail",
        layout: round,
        paint: { "line-color": edge, "line-width": width(5, 8), "line-gradient": fade(edge, 0.75) },
      },
      {
        id: "trail",
        type: "line",
        source: "trail",
        layout: round,
        paint: { "line-width": width(3, 5), "line-gradient": fade(accent, 1) },
      },
    ];
  }
}

/** Older is fainter. */
function fade(colour: string, most: number): never {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const at = (opacity: number) => `rgba(${r},${g},${b},${opacity * most})`;
  return ["interpolate", ["linear"], ["line-progress"], 0, at(0.12), 0.35, at(0.55), 0.8, at(1), 1, at(1)] as never;
}

function line(points: LonLat[], properties: Record<string, boolean>): Feature {
  return { type: "Feature", properties, geometry: { type: "LineString", coordinates: points } };
}

function collection(features: Feature[]) {
  return { type: "FeatureCollection" as const, features };
}
