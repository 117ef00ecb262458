// Writes src/licences.txt: what the pages contain of others, and under which terms. Run before each build.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";

const HEAD = `These pages contain the following works, each under its own licence. Odograph itself is under Apache-2.0.
Map data: Natural Earth (public domain); place names: GeoNames (CC BY 4.0).
`;
/** Of the others' dependencies only what ends up in the pages; the map library bundles all of its own. */
const ROOTS = ["maplibre-gl", "svelte", "uqr", "@fontsource-variable/inter"];
const COMPILER = ["svelte"];

function manifest(name) {
  return JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
}

function gathered(names, into = new Set()) {
  for (const name of names) {
    if (into.has(name) || name.startsWith("@types/") || !existsSync(`node_modules/${name}/package.json`)) continue;
    into.add(name);
    if (!COMPILER.includes(name)) gathered(Object.keys(manifest(name).dependencies ?? {}), into);
  }
  return into;
}

function terms(name) {
  const file = readdirSync(`node_modules/${name}`).sort().find((entry) => /^(licen[cs]e|copying)/i.test(entry));
  return file ? readFileSync(`node_modules/${name}/${file}`, "utf8").replace(/\r\n/g, "\n").trim() : "";
}

const parts = [...gathered(ROOTS)].sort().map((name) => {
  const { version, license } = manifest(name);
  return `${"-".repeat(72)}\n${name} ${version} (${license})\n\n${terms(name)}\n`;
});
writeFileSync("src/licences.txt", `${HEAD}\n${parts.join("\n")}`);
