// After the build: compresses what browsers load, and writes down of which sources this is the output.
//
// build.json must agree with tools/webhash.py, which the tests and the wheel's build call without node. There is no
// .gz beside the files: gzip's bytes differ between machines, brotli's do not; the server makes them when it starts.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants } from "node:zlib";

const OUTPUT = "../src/odograph/viewer/web";
/** Folders that are no part of the pages. */
const ASIDE = new Set(["node_modules", "dev", "test"]);

function files(folder, prefix = "", aside = new Set()) {
  return readdirSync(`${folder}/${prefix}`, { withFileTypes: true })
    .filter(({ name }) => prefix !== "" || !aside.has(name))
    .flatMap((entry) => (entry.isDirectory() ? files(folder, `${prefix}${entry.name}/`) : [`${prefix}${entry.name}`]));
}

/** Of the names and contents of files, in the order of their names as bytes. */
function digest(folder, names) {
  const all = createHash("sha256");
  const sorted = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  for (const name of sorted) {
    all.update(`${name}\0${createHash("sha256").update(readFileSync(`${folder}/${name}`)).digest("hex")}\n`);
  }
  return all.digest("hex");
}

for (const name of files(OUTPUT)) {
  if (!/^assets\/.*\.(js|css|svg|txt)$/.test(name)) continue;
  const body = readFileSync(`${OUTPUT}/${name}`);
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: body.length };
  writeFileSync(`${OUTPUT}/${name}.br`, brotliCompressSync(body, { params }));
}
const stamp = { sources: digest(".", files(".", "", ASIDE)), files: digest(OUTPUT, files(OUTPUT).filter((name) => name !== "build.json")) };
writeFileSync(`${OUTPUT}/build.json`, `${JSON.stringify(stamp, null, 2)}\n`);
