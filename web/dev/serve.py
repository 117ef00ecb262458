"""Serves the built pages with simulated links, under the strictest policy that the real server sends.

From the repository's root: `PYTHONPATH=src python web/dev/serve.py [port]`, then open the addresses it prints.
Nothing of this is packaged; the pages' own server is `odograph serve`.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from scenes import Scene, now_ms, scenes

from odograph.sharing import page

WEB: Final = Path(__file__).parents[2] / "src" / "odograph" / "viewer" / "web"
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "worker-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
TYPES: Final = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".json": "application/json",
                ".svg": "image/svg+xml", ".woff2": "font/woff2", ".txt": "text/plain; charset=utf-8"}  # fmt: skip
BEGAN: Final = time.monotonic()
NOTICES: Final = {"gone": 404, "expired": 410, "later": 403, "busy": 429}
SCENES: Final = scenes()
LINKS: Final[list[dict[str, Any]]] = []

try:
    from odograph.tiles.world import open_world

    WORLD: Any = open_world()
except ImportError:
    WORLD = None


def map_config() -> dict[str, Any]:
    """Of the embedded world alone."""
    zoom = WORLD.max_zoom if WORLD else 6
    credit = ['<a href="https://www.naturalearthdata.com">Natural Earth</a>', '<a href="https://www.geonames.org">GeoNames</a>']
    return {"world": {"tiles": "/tiles/world/dev/{z}/{x}/{y}", "maxZoom": zoom}, "street": None, "attribution": credit}


def inlined(name: str, value: bytes) -> str:
    """JSON as a data block that no markup in it can leave."""
    text = value.decode().replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f'<script type="application/json" id="{name}">{text}</script>'


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Pages, streams, polls, assets, tiles."""
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path.startswith("/viewer/assets/"):
            return self.file(WEB / path.removeprefix("/viewer/"))
        if found := re.fullmatch(r"/tiles/world/dev/(\d+)/(\d+)/(\d+)", path):
            return self.tile(*map(int, found.groups()))
        if path == "/links":
            return self.file(WEB / "links.html")
        if path.startswith(("/live-shares", "/odograph/")):
            return self.api(path, query)
        if found := re.fullmatch(r"/o/1/fleet/viewer/address/([\w-]+)(/stream|/state)?", path):
            return self.link(found[1], found[2], query)
        return self.answer(404, b"", "text/plain")

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def link(self, name: str, part: str | None, query: dict[str, list[str]]) -> None:
        if name in NOTICES:
            language = (self.headers.get("Accept-Language") or "en")[:2]
            return self.file(WEB / f"{name}.{language if language in 'en es de fr' else 'en'}.html", NOTICES[name])
        scene = SCENES.get(name)
        if scene is None:
            return self.answer(404, b"{}", "application/json")
        seconds = time.monotonic() - BEGAN
        state = scene.state(now_ms(), seconds)
        if part == "/stream":
            return self.stream(scene)
        if part == "/state":
            poll = page.Poll(state=state, missed={}, cursor="c", has_more=False)
            return self.answer(200, msgspec.json.encode(poll), "application/json")
        html = (WEB / "share.html").read_text()
        data = inlined("odograph-state", msgspec.json.encode(state)) + inlined("odograph-map", json.dumps(map_config()).encode())
        html = html.replace("<!--odograph:title-->", state.link.name).replace("<!--odograph:data-->", data)
        return self.answer(200, html.encode(), TYPES[".html"])

    def stream(self, scene: Scene) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        began, number = time.monotonic(), 0
        try:
            self.event("state", scene.state(now_ms(), began - BEGAN), "")
            while time.monotonic() - began < scene.ends_after_s:
                time.sleep(min(scene.every_s, scene.ends_after_s, 10))
                if scene.every_s > 100:
                    self.wfile.write(b": beat\n\n")
                    continue
                state = scene.state(now_ms(), time.monotonic() - BEGAN)
                for it in state.assets:
                    it.trail = it.trail[-2:] if it.trail else it.trail
                number += 1
                update = page.Update(now=state.now, assets=state.assets, route=state.route)
                self.event("update", update, f"c{number}")
            self.event("ended", page.Ended(reason=scene.reason), "")  # type: ignore[arg-type]
        except (BrokenPipeError, ConnectionResetError):
            pass
        self.close_connection = True

    def event(self, name: str, value: msgspec.Struct, number: str) -> None:
        marked = f"id: {number}\n" if number else "retry: 3000\n"
        self.wfile.write(f"event: {name}\n{marked}data: {msgspec.json.encode(value).decode()}\n\n".encode())
        self.wfile.flush()

    def api(self, path: str, query: dict[str, list[str]]) -> None:
        """Enough of the API for the link maker."""
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        if self.headers.get("Authorization") not in {"Bearer good", "Bearer write-only"}:
            return self.json(401, {"message": "Invalid token.", "requestId": "r"})
        if path == "/odograph/shareable":
            kind, text = query["type"][0], query.get("q", [""])[0].lower()
            names = {"vehicles": ["Truck 208", "Truck 214", "Van 31"], "tags": ["North", "South"],
                     "addresses": ["Porto Distribution Centre", "Braga depot"], "routes": ["Northern loop"]}[kind]  # fmt: skip
            data = [{"id": str(281 + at), "name": name} for at, name in enumerate(names) if text in name.lower()]
            if data and kind == "addresses":
                data[0]["detail"] = "Rua da Alfândega 12, Porto"
            return self.json(200, {"data": data, "pagination": {"endCursor": "", "hasNextPage": False}})
        if self.command == "GET" and self.headers["Authorization"] != "Bearer good":
            return self.json(403, {"message": "This token may not read live sharing links.", "requestId": "r"})
        if self.command == "POST":
            made = {"id": f"abc{len(LINKS)}", "liveSharingUrl": "https://fleet.example/o/1/fleet/viewer/address/3Kd91LsmQz82hdyTk1Wv0aPq", **body}
            LINKS.append(made)
            return self.json(200, {"data": made})
        chosen = [it for it in LINKS if it["id"] in query.get("id", [])]
        if self.command == "DELETE":
            LINKS[:] = [it for it in LINKS if it not in chosen]
            return self.answer(204, b"", "application/json")
        if self.command == "PATCH":
            chosen[0].update(body)
            return self.json(200, {"data": chosen[0]})
        return self.json(200, {"data": LINKS, "pagination": {"endCursor": "", "hasNextPage": False}})

    def json(self, status: int, value: object) -> None:
        self.answer(status, json.dumps(value).encode(), "application/json")

    def tile(self, z: int, x: int, y: int) -> None:
        tile = WORLD.get(z, x, y) if WORLD else None
        if tile is None:
            return self.answer(204, b"", "application/x-protobuf")
        return self.answer(200, tile, "application/x-protobuf", encoding="gzip")

    def file(self, path: Path, status: int = 200) -> None:
        if not path.is_file():
            return self.answer(404, b"", "text/plain")
        body = path.read_bytes()
        packed = Path(f"{path}.br")
        if packed.is_file() and "br" in self.headers.get("Accept-Encoding", ""):
            return self.answer(status, packed.read_bytes(), TYPES[path.suffix], encoding="br")
        if path.suffix != ".woff2":
            return self.answer(status, gzip.compress(body, 9), TYPES[path.suffix], encoding="gzip")
        return self.answer(status, body, TYPES[path.suffix])

    def answer(self, status: int, body: bytes, kind: str, encoding: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", CSP)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "public, max-age=31536000, immutable" if self.path.startswith(("/tiles", "/viewer")) else "no-store")
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Says nothing."""


def main() -> None:
    """Until it is interrupted."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8765
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    for name in [*SCENES, *NOTICES]:
        print(f"http://127.0.0.1:{server.server_port}/o/1/fleet/viewer/address/{name}")
    print(f"http://127.0.0.1:{server.server_port}/links", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
