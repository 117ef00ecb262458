// What the server says of the map under the page: `MapConfig` of odograph/viewer/mapconfig.py.
export interface MapConfig {
  world: { tiles: string; maxZoom: number };
  street: Street | null;
  /** Text, or text with links. */
  attribution: string[];
}

export interface Street {
  kind: "raster" | "vector" | "style";
  tiles?: string;
  url?: string;
  minZoom?: number;
  maxZoom?: number;
  bounds?: [number, number, number, number] | null;
  attribution?: string;
  schema?: "protomaps" | null;
}

export interface Credit {
  text: string;
  url: string;
}

/** Attribution as text and https links: nothing else of the HTML that some services give gets through. */
export function credits(lines: string[]): Credit[] {
  return lines.flatMap((line) => {
    const found: Credit[] = [];
    let at = 0;
    for (const link of line.matchAll(/<a\b[^>]*?href=["'](https:\/\/[^"'<>\s]+)["'][^>]*>([^<]*)<\/a>/gi)) {
      found.push({ text: plain(line.slice(at, link.index)), url: "" }, { text: plain(link[2]), url: link[1] });
      at = link.index + link[0].length;
    }
    found.push({ text: plain(line.slice(at)), url: "" });
    return found.filter(({ text }) => /[^\p{P}\s]/u.test(text)); // a comma between two links names nobody
  });
}

function plain(html: string): string {
  const named: Record<string, string> = { copy: "©", amp: "&", lt: "<", gt: ">", quot: '"', nbsp: " " };
  return html.replace(/<[^>]*>/g, "").replace(/&(\w+);/g, (all, name: string) => named[name] ?? all).trim();
}
