// The map under everything: our own world, and the streets that the operator configured above it.
//
// There are no glyphs and no sprites: MapLibre draws labels with the page's own fonts, whose weight it takes from the
// family's name ("Map Medium", "Map Semibold").
import type {
  ExpressionSpecification as Expression,
  FilterSpecification as Filter,
  LayerSpecification as Layer,
  SourceSpecification as Source,
  StyleSpecification as Style,
  SymbolLayerSpecification as SymbolLayer,
} from "maplibre-gl";
import type { MapConfig, Street } from "./mapconfig";

export type Theme = "light" | "dark";

/** Layers of ours go before this one, so that names stay readable above them. Every style made here has it. */
export const LABELS = "state-label";

type Ink = "ink" | "quiet" | "waterInk";

interface Colours {
  land: string;
  water: string;
  river: string;
  border: string;
  state: string;
  green: string;
  built: string;
  site: string;
  building: string;
  road: string;
  roadEdge: string;
  mainRoad: string;
  mainRoadEdge: string;
  path: string;
  rail: string;
  ink: string;
  quiet: string;
  waterInk: string;
  halo: string;
}

const COLOURS: Record<Theme, Colours> = {
  light: {
    land: "#f6f5f0",
    water: "#cfdfe3",
    river: "#bdd3d9",
    border: "#a9a7b0",
    state: "#d3d1d2",
    green: "#e4ecdc",
    built: "#efede6",
    site: "#ebe9e4",
    building: "#e5e2da",
    road: "#ffffff",
    roadEdge: "#dedbd2",
    mainRoad: "#fdf3d9",
    mainRoadEdge: "#e0d2a8",
    path: "#d3cdbf",
    rail: "#cbc9c6",
    ink: "#33413d",
    quiet: "#6d7a75",
    waterInk: "#5b7f8a",
    halo: "#fbfaf7",
  },
  dark: {
    land: "#242e2d",
    water: "#131c1f",
    river: "#1a2629",
    border: "#5d6b69",
    state: "#37433f",
    green: "#263630",
    built: "#283231",
    site: "#2b3534",
    building: "#2f3a38",
    road: "#3d4947",
    roadEdge: "#1d2625",
    mainRoad: "#55564a",
    mainRoadEdge: "#1d2625",
    path: "#3a4543",
    rail: "#3b4644",
    ink: "#c9d6d1",
    quiet: "#8b9b96",
    waterInk: "#6d8f99",
    halo: "#1a2221",
  },
};

/** The whole style: the world, the streets where there are any, or the URL of the operator's own style. */
export function mapStyle(config: MapConfig, theme: Theme, origin = location.origin): Style | string {
  const { street } = config;
  if (street?.kind === "style") return street.url ?? worldStyle(config, theme, origin);
  const style = worldStyle(config, theme, origin);
  if (!street?.tiles) return style;
  const streets = streetLayers(street, theme, origin);
  const names = style.layers.findIndex(({ id }) => id === LABELS);
  return {
    ...style,
    sources: { ...style.sources, streets: streets.source },
    layers: [
      ...style.layers.slice(0, names),
      ...streets.ground,
      ...style.layers.slice(names).map((layer) => outside(layer, street)),
      ...streets.names,
    ],
  };
}

/** The embedded world: land, water, borders and names, without a road. */
export function worldStyle(config: MapConfig, theme: Theme, origin = location.origin): Style {
  const colours = COLOURS[theme];
  return {
    version: 8,
    sources: {
      world: {
        type: "vector",
        tiles: [absolute(config.world.tiles, origin)],
        minzoom: 0,
        maxzoom: config.world.maxZoom,
      },
    },
    layers: [...worldGround(colours), ...worldNames(colours)],
  };
}

/** What streets add: pictures, or the layers of the Protomaps schema. `ground` goes below vehicles, `names` above. */
export function streetLayers(
  street: Street,
  theme: Theme,
  origin = location.origin,
): { source: Source; ground: Layer[]; names: Layer[] } {
  const tiles = [absolute(street.tiles ?? "", origin)];
  const place = {
    minzoom: street.minZoom ?? 0,
    maxzoom: street.maxZoom ?? 19,
    ...(street.bounds ? { bounds: street.bounds } : {}),
  };
  if (street.kind === "raster") {
    return { source: { type: "raster", tiles, tileSize: 256, ...place }, ground: [pictures(theme)], names: [] };
  }
  const colours = COLOURS[theme];
  return {
    source: { type: "vector", tiles, ...place },
    ground: [...ground(colours), ...roads(colours), ...boundaries(colours)],
    names: streetNames(colours),
  };
}

/** Tiles are fetched by a worker, which knows no page that a path could be relative to. */
function absolute(tiles: string, origin: string): string {
  return tiles.startsWith("/") ? origin + tiles : tiles;
}

// --- the world ------------------------------------------------------------------------------------------------------

function worldGround(colours: Colours): Layer[] {
  const source = "world";
  return [
    { id: "water", type: "background", paint: { "background-color": colours.water } },
    { id: "land", type: "fill", source, "source-layer": "land", paint: { "fill-color": colours.land } },
    { id: "lake", type: "fill", source, "source-layer": "lake", paint: { "fill-color": colours.water } },
    {
      id: "river",
      type: "line",
      source,
      "source-layer": "river",
      layout: { "line-cap": "round", "line-join": "round" },
      paint: {
        "line-color": colours.river,
        "line-width": grow([3, 0.6], [6, 1.2], [10, 2.4]),
        "line-opacity": fade([7, 1], [10, 0.5]), // drawn for small scales: further in it runs beside its bed
      },
    },
    {
      id: "state",
      type: "line",
      source,
      "source-layer": "state",
      paint: { "line-color": colours.state, "line-width": grow([3, 0.5], [8, 1.2]), "line-dasharray": [3, 2] },
    },
    {
      id: "border",
      type: "line",
      source,
      "source-layer": "border",
      layout: { "line-join": "round" },
      paint: { "line-color": colours.border, "line-width": grow([0, 0.4], [4, 0.9], [10, 1.8]) },
    },
  ];
}

function worldNames(colours: Colours): Layer[] {
  return [
    worldName("state-label", "state_label", colours, "quiet", {
      maxzoom: 8,
      layout: {
        "text-font": ["Map Medium"],
        "text-size": grow([3, 10], [7, 13]),
        "text-transform": "uppercase",
        "text-letter-spacing": 0.08,
        "text-max-width": 7,
      },
    }),
    worldName("place", "place", colours, "ink", {
      layout: {
        "text-font": weighted(["<=", ["get", "r"], 3]),
        "text-size": byRank([3, 12.5, 10], [8, 17, 10.5], [12, 22, 12.5]),
        "text-max-width": 8,
      },
    }),
    worldName("country", "country", colours, "ink", {
      maxzoom: 7,
      layout: {
        "text-font": ["Map Semibold"],
        "text-size": byRank([1, 12, 9], [6, 19, 12]),
        "text-letter-spacing": 0.02,
        "text-max-width": 7,
      },
    }),
  ];
}

/** A name from the zoom on at which the builder of the tiles found room for it; the larger place wins. */
function worldName(
  id: string,
  layer: string,
  colours: Colours,
  ink: Ink,
  more: Pick<SymbolLayer, "layout" | "maxzoom">,
): SymbolLayer {
  return {
    id,
    type: "symbol",
    source: "world",
    "source-layer": layer,
    ...(more.maxzoom ? { maxzoom: more.maxzoom } : {}),
    filter: ["<=", ["get", "z"], ["zoom"]],
    layout: { "text-field": ["get", "name"], "symbol-sort-key": ["get", "r"], "text-padding": 6, ...more.layout },
    paint: written(colours, ink),
  };
}

/** A layer of the world's names where streets bring their own: only where there are none. */
function outside(layer: Layer, street: Street): Layer {
  if (layer.type !== "symbol") return layer;
  if (!street.bounds) return { ...layer, layout: { ...layer.layout, visibility: "none" } };
  const [west, south, east, north] = street.bounds;
  const ring = [[west, south], [east, south], [east, north], [west, north], [west, south]];
  const elsewhere: Filter = [
    "any",
    ["<", ["zoom"], street.minZoom ?? 0],
    ["!", ["within", { type: "Polygon", coordinates: [ring] }]],
  ];
  return { ...layer, filter: ["all", layer.filter as Expression, elsewhere as Expression] };
}

// --- streets as pictures --------------------------------------------------------------------------------------------

function pictures(theme: Theme): Layer {
  // Pictures are drawn for the day; at night they are dimmed, so that vehicles stay the brightest thing.
  const paint = theme === "dark" ? { "raster-brightness-max": 0.62, "raster-saturation": -0.5 } : {};
  return { id: "streets", type: "raster", source: "streets", paint };
}

// --- streets of the Protomaps schema --------------------------------------------------------------------------------

/** Earlier versions of the schema call it `pmap:kind`. */
const KIND: Expression = ["coalesce", ["get", "kind"], ["get", "pmap:kind"]];
const GREEN = ["park", "forest", "wood", "nature_reserve", "cemetery", "grass", "grassland", "meadow", "garden",
  "golf_course", "scrub", "recreation_ground", "protected_area", "allotments", "village_green", "pitch",
  "playground", "farmland", "orchard", "national_park"];
const BUILT = ["residential", "commercial", "retail", "urban_area"];
const SITES = ["industrial", "railway", "aerodrome", "airport", "hospital", "school", "university", "college",
  "kindergarten", "military", "pedestrian", "pier", "runway", "taxiway"];
const MAIN = ["highway", "major_road"];

function is(...kinds: string[]): Expression {
  return ["in", KIND, ["literal", kinds]];
}

function ground(colours: Colours): Layer[] {
  return [
    area("street-earth", "earth", colours.land),
    area("street-built", "landuse", colours.built, is(...BUILT)),
    area("street-site", "landuse", colours.site, is(...SITES)),
    area("street-green", "landuse", colours.green, is(...GREEN)),
    area("street-water", "water", colours.water, ["==", ["geometry-type"], "Polygon"]),
    {
      id: "street-stream",
      type: "line",
      source: "streets",
      "source-layer": "water",
      filter: ["==", ["geometry-type"], "LineString"],
      paint: { "line-color": colours.water, "line-width": grow([9, 0.5], [14, 2], [18, 8]) },
    },
    { ...area("street-building", "buildings", colours.building), minzoom: 13 },
  ];
}

function area(id: string, layer: string, colour: string, filter?: Filter): Extract<Layer, { type: "fill" }> {
  return {
    id,
    type: "fill",
    source: "streets",
    "source-layer": layer,
    filter: filter ?? ["==", ["geometry-type"], "Polygon"],
    paint: { "fill-color": colour },
  };
}

/** Edges of all roads first, then their surfaces, the larger ones above: so crossings look like crossings. */
function roads(colours: Colours): Layer[] {
  const minor = grow([11, 0.4], [13, 1.4], [16, 6], [18, 16], [20, 44]);
  const major = grow([8, 0.7], [11, 1.6], [14, 5], [16, 11], [18, 24], [20, 60]);
  const highway = grow([5, 0.6], [8, 1.5], [11, 2.6], [14, 7], [16, 14], [18, 28], [20, 70]);
  const minorEdge = grow([12, 0], [13, 2.4], [16, 7.6], [18, 18.5], [20, 47]);
  const majorEdge = grow([8, 1.4], [11, 2.8], [14, 6.8], [16, 13], [18, 27], [20, 63]);
  const highwayEdge = grow([5, 1], [8, 2.6], [11, 4.2], [14, 9], [16, 16.5], [18, 31], [20, 74]);
  return [
    road("road-rail", is("rail"), colours.rail, grow([10, 0.6], [16, 1.6]), { minzoom: 10 }),
    road("road-path", is("path"), colours.path, grow([14, 0.6], [18, 3]), { minzoom: 14, dash: [2, 1.5] }),
    road("road-minor-edge", is("minor_road", "other"), colours.roadEdge, minorEdge, { minzoom: 12 }),
    road("road-major-edge", is("major_road", "medium_road"), colours.roadEdge, majorEdge, { minzoom: 8 }),
    road("road-highway-edge", is("highway"), colours.mainRoadEdge, highwayEdge, { minzoom: 5 }),
    road("road-minor", is("minor_road", "other"), colours.road, minor, { minzoom: 11 }),
    road("road-major", is("major_road", "medium_road"), colours.road, major, { minzoom: 8 }),
    road("road-highway", is("highway"), colours.mainRoad, highway, { minzoom: 5 }),
  ];
}

function road(
  id: string,
  filter: Expression,
  colour: string,
  width: Expression,
  more: { minzoom: number; dash?: number[] },
): Layer {
  return {
    id,
    type: "line",
    source: "streets",
    "source-layer": "roads",
    minzoom: more.minzoom,
    filter,
    layout: { "line-cap": more.dash ? "butt" : "round", "line-join": "round" },
    paint: { "line-color": colour, "line-width": width, ...(more.dash ? { "line-dasharray": more.dash } : {}) },
  };
}

function boundaries(colours: Colours): Layer[] {
  return [
    {
      id: "street-border",
      type: "line",
      source: "streets",
      "source-layer": "boundaries",
      filter: is("country", "region"),
      paint: {
        "line-color": ["match", KIND, "country", colours.border, colours.state],
        "line-width": grow([0, 0.4], [4, 0.9], [10, 1.8]),
      },
    },
  ];
}

function streetNames(colours: Colours): Layer[] {
  return [
    {
      ...streetName("street-water-label", "water", colours, "waterInk"),
      filter: ["all", ["has", "name"], ["==", ["geometry-type"], "Point"]],
    },
    {
      ...streetName("road-label", "roads", colours, "quiet", {
        "symbol-placement": "line",
        "text-size": grow([12, 10], [18, 14]),
        "text-max-angle": 35,
        "symbol-sort-key": ["match", KIND, MAIN, 0, 1],
      }),
      minzoom: 12,
      filter: ["all", ["has", "name"], ["any", is(...MAIN), [">=", ["zoom"], 14]]],
    },
    {
      ...streetName("street-part-label", "places", colours, "quiet", {
        "text-transform": "uppercase",
        "text-letter-spacing": 0.06,
      }),
      minzoom: 12,
      filter: is("neighbourhood", "macrohood"),
    },
    {
      ...streetName("street-place-label", "places", colours, "ink", {
        "text-font": weighted([">=", populationRank, 9]),
        "text-size": ["interpolate", ["linear"], ["zoom"],
          4, ["interpolate", ["linear"], populationRank, 5, 9, 14, 13],
          12, ["interpolate", ["linear"], populationRank, 3, 12, 12, 22]],
        "symbol-sort-key": ["-", 0, populationRank],
      }),
      filter: ["all", is("locality"), ["<=", ["coalesce", ["get", "min_zoom"], 0], ["+", ["zoom"], 1]]],
    },
  ];
}

const populationRank: Expression = ["to-number", ["get", "population_rank"], 0];

function streetName(
  id: string,
  layer: string,
  colours: Colours,
  ink: Ink,
  layout: SymbolLayer["layout"] = {},
): SymbolLayer {
  return {
    id,
    type: "symbol",
    source: "streets",
    "source-layer": layer,
    layout: {
      "text-field": ["get", "name"],
      "text-font": ["Map Medium"],
      "text-size": 11.5,
      "text-max-width": 8,
      "text-padding": 4,
      ...layout,
    },
    paint: written(colours, ink),
  };
}

// --- expressions ----------------------------------------------------------------------------------------------------

function written(colours: Colours, ink: Ink): SymbolLayer["paint"] {
  return { "text-color": colours[ink], "text-halo-color": colours.halo, "text-halo-width": 1.4 };
}

type Stop = [zoom: number, value: number];

/** Widths and sizes: as a map doubles with each zoom, so do they, only slower. */
function grow(...stops: Stop[]): Expression {
  return ["interpolate", ["exponential", 1.4], ["zoom"], ...stops.flat()] as Expression;
}

function fade(...stops: Stop[]): Expression {
  return ["interpolate", ["linear"], ["zoom"], ...stops.flat()] as Expression;
}

/** Text sizes: at each zoom one for rank 0 and one for rank 7. */
function byRank(...stops: [zoom: number, large: number, small: number][]): Expression {
  const sizes = stops.flatMap(([zoom, large, small]) => [
    zoom,
    ["interpolate", ["linear"], ["get", "r"], 0, large, 7, small],
  ]);
  return ["interpolate", ["linear"], ["zoom"], ...sizes] as Expression;
}

function weighted(isLarge: Expression): Expression {
  return ["case", isLarge, ["literal", ["Map Semibold"]], ["literal", ["Map Medium"]]];
}
