"""The example configurations of deploy/ in front of a real server, and the server's own certificate."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from odograph.settings import load_settings
from tests.support.serving import Furnished, Serving, free_port, serving

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
HOST = "fleet.example"
OUTSIDE = "127.0.0.2"
"""Where the proxies' clients are; the proxies themselves are at 127.0.0.1."""
START_WITHIN_S = 15.0
MANY = 150_000
"""Fixes whose export is far longer than the buffers of sockets and proxies on the way: some 25 MB as GeoJSON."""


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """Chain and key of our own for fleet.example and localhost."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate to serve with")
    folder = tmp_path_factory.mktemp("certificate")
    chain, key = folder / "fleet.pem", folder / "fleet.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST},DNS:localhost,IP:127.0.0.1",
         "-out", str(chain), "-keyout", str(key)],
        check=True, capture_output=True,
    )  # fmt: skip
    return chain, key


def substituted(name: str, changes: dict[str, str]) -> str:
    """The example with its places filled in; every one of them must be there."""
    text = (DEPLOY / name).read_text()
    for old, new in changes.items():
        assert old in text, f"deploy/{name} no longer has {old!r}"
        text = text.replace(old, new)
    return text


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns once somebody listens there; fails as soon as the proxy has ended."""
    for _ in range(int(START_WITHIN_S / 0.1)):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except ConnectionRefusedError:
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            break
    pytest.fail(f"the proxy does not listen: {log.read_text()}")


@contextmanager
def proxied(command: list[str], port: int, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    log = folder / "proxy.log"
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, cwd=folder)
    try:
        wait_for_port(port, process, log)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


@contextmanager
def nginx(folder: Path, upstream: int, certificate: tuple[Path, Path]) -> Iterator[int]:
    port = free_port()
    ours = substituted(
        "nginx.conf",
        {
            "127.0.0.1:8080": f"127.0.0.1:{upstream}",
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/ssl/fleet.example.pem": str(certificate[0]),
            "/etc/ssl/fleet.example.key": str(certificate[1]),
            "/var/log/nginx/": f"{folder}/nginx-",
        },
    )
    (folder / "odograph.conf").write_text(ours)
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # What Debian's /etc/nginx/nginx.conf is to the file in conf.d.
    (folder / "nginx.conf").write_text(
        f"{'user root;' if os.geteuid() == 0 else ''}\ndaemon off;\npid {folder}/nginx.pid;\n"
        f"error_log {folder}/nginx-all-error.log;\nevents {{}}\n"
        f"http {{\naccess_log {folder}/nginx-all.log;\n{places}include {folder}/odograph.conf;\n}}\n"
    )
    command = [str(shutil.which("nginx")), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with proxied(command, port, folder, dict(os.environ)):
        yield port


@contextmanager
def caddy(folder: Path, upstream: int, certificate: tuple[Path, Path]) -> Iterator[int]:
    port = free_port()
    ours = substituted(
        "Caddyfile",
        {
            "127.0.0.1:8080": f"127.0.0.1:{upstream}",
            f"\n{HOST} {{\n": f"\n{HOST}:{port} {{\n\tbind 127.0.0.1\n\ttls {certificate[0]} {certificate[1]}\n",
            # No port 80, no port of its own for administration, no certificate from anywhere.
            "\n{\n": "\n{\n\tadmin off\n\tauto_https disable_redirects\n",
        },
    )
    (folder / "Caddyfile").write_text(ours)
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    command = [str(shutil.which("caddy")), "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    with proxied(command, port, folder, environment):
        yield port


PROXIES = {"nginx": nginx, "caddy": caddy}


class Outside:
    """A client of the world outside, who reaches the fleet by its name through the proxy."""

    def __init__(self, port: int, chain: Path, server: Serving, furnished: Furnished) -> None:
        self.server = server
        self.furnished = furnished
        self.port = port
        self.trust = ssl.create_default_context(cafile=str(chain))
        self.client = httpx.Client(
            transport=httpx.HTTPTransport(verify=self.trust, local_address=OUTSIDE),
            base_url=f"https://127.0.0.1:{port}",
            headers={"Host": HOST, "Authorization": f"Bearer {furnished.token}"},
            timeout=30,
        )

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.client.request(method, path, extensions={"sni_hostname": HOST}, **more)

    def clients_in_log(self, path: str) -> list[str]:
        """The addresses that the access log tells for requests of a path, whose lines come after the answers."""
        assert httpx.get(self.server.url + "/healthz").status_code == 200
        lines = [json.loads(line) for line in self.server.log.splitlines() if line.startswith("{")]
        return [line["client"] for line in lines if line.get("path", "").startswith(path)]


@pytest.fixture(params=PROXIES)
def outside(request, tmp_path, certificate) -> Iterator[Outside]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    with serving(tmp_path, "--trusted-proxies=127.0.0.1", f"--public-url=https://{HOST}") as server:
        furnished = asyncio.run(server.furnish(["van-1", "356307042400001"]))
        with PROXIES[request.param](tmp_path, server.port, certificate) as port:
            outside = Outside(port, certificate[0], server, furnished)
            yield outside
            outside.client.close()


def upload(outside: Outside, count: int) -> None:
    headers = {"Authorization": f"Bearer {outside.furnished.keys['van-1']}", "Content-Encoding": "gzip"}
    for first in range(0, count, 10_000):
        rows = [
            [1_700_000_000_000 + n * 1000, 48 + n / 1e6, 11 + n / 1e6, n % 360, n % 90]
            for n in range(first, min(count, first + 10_000))
        ]
        body = gzip.compress(json.dumps({"fixes": rows}).encode(), 1)
        answer = outside.request("POST", "/ingest/batch", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["stored"] == len(rows)


def test_devices_and_programs_reach_the_server_through_the_example_configuration(outside):
    upload(outside, 1)
    page = outside.request("GET", "/fleet/vehicles/locations").json()
    assert [one["name"] for one in page["data"]] == ["van-1"]
    documents = outside.request("GET", "/openapi.json").json()
    assert documents["servers"][0]["url"] == f"https://{HOST}"


def test_a_whole_large_request_of_a_device_passes_uncompressed(outside):
    rows = [[1_700_000_000_000 + n, 48.1234567, 11.1234567, 123.45, 67.89] for n in range(10_000)]
    text = json.dumps({"fixes": rows}, indent=8)
    assert len(text) > 1 << 20  # what nginx takes unless told otherwise
    headers = {"Authorization": f"Bearer {outside.furnished.keys['van-1']}"}
    answer = outside.request("POST", "/ingest/batch", content=text, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["stored"] == 10_000


def test_a_stream_arrives_unbuffered(outside):
    """While nobody reads on, the server cannot have ended its answer, for the proxy holds next to nothing of it."""
    upload(outside, MANY)
    path = "/odograph/export"
    params = {"startTime": "2023-01-01T00:00:00Z", "endTime": "2024-01-01T00:00:00Z", "format": "geojson"}
    size = 0
    with outside.client.stream("GET", path, params=params, extensions={"sni_hostname": HOST}) as answer:
        assert answer.status_code == 200
        pieces = answer.iter_raw(4096)
        size += len(next(pieces))
        headers = {"Authorization": outside.client.headers["Authorization"]}
        direct = httpx.get(outside.server.url + path, params=params, headers=headers, timeout=30)
        assert direct.status_code == 200  # the same work, begun later, is done; what is not read on is not
        assert outside.clients_in_log(path) == ["127.0.0.1"]
        size += sum(len(piece) for piece in pieces)
    assert size == len(direct.content) > 20_000_000


def test_the_address_that_a_trusted_proxy_tells_is_believed_and_what_its_client_made_up_is_not(outside):
    outside.request("GET", "/me", headers={"X-Forwarded-For": "203.0.113.9"})
    assert outside.clients_in_log("/me") == [OUTSIDE]
    outside.request("GET", "/me", headers={"X-Forwarded-For": "203.0.113.9, 127.0.0.1"})
    assert outside.clients_in_log("/me") == [OUTSIDE, OUTSIDE]


def test_no_key_of_a_link_or_a_device_comes_into_a_log_of_the_proxy(outside, tmp_path):
    key = outside.furnished.keys["van-1"]
    del outside.client.headers["Authorization"]  # which would go before the key of the URL
    paths = [
        f"/ingest/osmand/{key}?lat=48&lon=11&timestamp=1700000000",
        f"/ingest/osmand?key={key}&lat=48&lon=11&timestamp=1700000001",
        f"/ingest//osmand/{key}",
        f"/%69ngest/osmand/{key}",
        f"/fleet/viewer/{key}",
        f"/o/1/fleet/viewer/address/{key}/stream",
        f"/fleet/vehicles?token={key}",
    ]
    heard = {path: outside.request("GET", path).status_code for path in paths}
    assert [heard[path] for path in paths[:2]] == [200, 200]
    outside.request("GET", "/viewer/assets/none.js", headers={"Referer": f"https://{HOST}/fleet/viewer/{key}"})
    outside.server.process.send_signal(signal.SIGTERM)  # what goes wrong is told most about
    outside.server.process.wait(15)
    assert {outside.request("GET", path).status_code for path in paths} == {502}
    logs = {path.name: path.read_text() for path in tmp_path.glob("*.log") if path.name != "serve.log"}
    assert any("502" in text for text in logs.values())
    assert [name for name, text in logs.items() if key in text] == []


def test_x_forwarded_for_is_believed_from_trusted_proxies_alone(tmp_path):
    for name, flags, believed in (
        ("trusted", ("--trusted-proxies=127.0.0.1",), "203.0.113.9"),
        ("elsewhere", ("--trusted-proxies=192.0.2.1",), "127.0.0.1"),
        ("nobody", (), "127.0.0.1"),
    ):
        home = tmp_path / name
        home.mkdir()
        with serving(home, *flags) as server:
            furnished = asyncio.run(server.furnish(["van-1"]))
            headers = {"Authorization": f"Bearer {furnished.token}", "X-Forwarded-For": "203.0.113.9"}
            assert httpx.get(server.url + "/me", headers=headers).status_code == 200
        # Only now: a request's line is written behind its answer.
        lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
        assert [line["client"] for line in lines if line.get("path") == "/me"] == [believed], name


def test_the_server_speaks_https_with_a_certificate_of_ones_own(tmp_path, certificate):
    chain, key = certificate
    with serving(tmp_path, f"--tls-cert={chain}", f"--tls-key={key}") as server:
        furnished = asyncio.run(server.furnish(["van-1"]))
        trust = ssl.create_default_context(cafile=str(chain))
        url = f"https://localhost:{server.port}/fleet/vehicles"
        answer = httpx.get(url, headers={"Authorization": f"Bearer {furnished.token}"}, verify=trust)
        assert [one["name"] for one in answer.json()["data"]] == ["van-1"]
        with pytest.raises(httpx.TransportError):
            httpx.get(server.url + "/healthz")


def test_the_operator_is_told_to_make_whatever_the_unit_names():
    unit, steps = (DEPLOY / "odograph.service").read_text(), (ROOT / "docs" / "operations.md").read_text()
    named = set(re.findall(r"/(?:etc|opt|var/backups)/[\w./]+", unit.partition("[Unit]")[2]))
    assert named == {"/opt/odograph/bin/odograph", "/etc/odograph.toml"}
    for wanted in (*named, "useradd --system --home-dir /var/lib/odograph odograph"):
        assert wanted in steps


@pytest.mark.parametrize("is_all", [False, True], ids=["as it is", "with every line in use"])
def test_the_settings_of_the_unit_are_settings(tmp_path, is_all):
    text = (DEPLOY / "odograph.toml").read_text()
    file = tmp_path / "odograph.toml"
    file.write_text(re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE) if is_all else text)
    settings = load_settings({}, config=str(file), environment={})
    assert settings.data_dir == "/var/lib/odograph"
    assert (settings.teltonika_port == 5027) == is_all


def test_the_systemd_unit_is_accepted(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "odograph.service"
    text = (DEPLOY / "odograph.service").read_text()
    assert "=/opt/odograph/bin/odograph serve" in text
    unit.write_text(text.replace("/opt/odograph/bin/odograph", str(shutil.which("true"))))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if "odograph.service" in line]
    assert (done.returncode, said) == (0, []), done.stderr
