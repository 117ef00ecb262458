"""Every setting once: name, default, unit and help; the sole reader of the environment and of the file.

Order of precedence, weakest first: default, TOML file, `ODOGRAPH_<NAME>` in the environment, flag.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odograph.errors import invalid
from odograph.viewer import streets

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")
_PREFIX = "ODOGRAPH_"
_NOT_SETTINGS = {
    "ODOGRAPH_CONFIG",
    "ODOGRAPH_RECORDINGS",
    "ODOGRAPH_REQUIRE_BROWSER",
    "ODOGRAPH_URL",
    "ODOGRAPH_TOKEN",
    "ODOGRAPH_DEVICE_KEY",
}
MIN_RETENTION_DAYS = 31  # a device keeps 30 days and a cursor lives 30: neither may find its place gone


def _setting(default: Any, help_text: str, unit: str = "") -> Any:
    return dataclasses.field(default=default, metadata={"help": help_text, "unit": unit})


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator can have an opinion about."""

    data_dir: str = _setting("odograph-data", "Where everything is kept; made if it is not there.")
    host: str = _setting("127.0.0.1", "Address to listen on; 0.0.0.0 for every network of this machine.")
    port: int = _setting(8080, "TCP port of the API, the devices' HTTP protocols and the pages.")
    public_url: str = _setting("", "How the outside world reaches this server, as in https://fleet.example.")
    frame_ancestors: str = _setting(
        "", "Origins, by comma, whose pages may frame public links, as in https://portal.example."
    )
    trusted_proxies: str = _setting(
        "", "Addresses or networks, by comma, whose X-Forwarded-* headers are believed; * alone for everybody's."
    )
    tls_cert: str = _setting("", "Certificate chain (PEM), to serve HTTPS without a proxy.")
    tls_key: str = _setting("", "Private key (PEM) of that certificate.")
    teltonika_port: int = _setting(0, "TCP port for Teltonika Codec 8/8E trackers; 0 keeps it closed.")
    teltonika_host: str = _setting(
        "", "Address to listen on for them, where it is not that of `host`: they don't come through an HTTP proxy."
    )
    stretch_mb: int = _setting(32, "Memory for the newest stretch of the log: about 900,000 fixes.", "MB")
    retention_days: int = _setting(0, "Days to keep fixes after their arrival; 0 keeps them for ever.", "days")
    seal_rows: int = _setting(
        800_000,
        "Seal as soon as so many fixes are unsealed. History looks through those that memory no longer holds: "
        "28,000 a MB of stretch_mb stay there.",
        "fixes",
    )
    seal_after_s: int = _setting(
        3600, "Seal fixes so long after they arrived; while they are fewer than 100,000, 24 times as long.", "s"
    )
    oldest_fix_days: int = _setting(0, "Refuse fixes measured longer ago than this; 0 takes any age.", "days")
    street_tiles: str = _setting(
        "",
        "Streets of another server: a URL of raster tiles with {z}, {x} and {y}, or of a MapLibre style; "
        "see maps.md.",
    )
    street_attribution: str = _setting("", "Who must be named for the streets on the map.")
    log_level: str = _setting("info", "debug, info, warning or error.")
    metrics_public: bool = _setting(False, "Serve /metrics to every address, not to this machine alone.")

    @property
    def framers(self) -> list[str]:
        """The origins that may frame public links."""
        return [part.strip() for part in self.frame_ancestors.split(",") if part.strip()]

    @property
    def proxies(self) -> list[str]:
        """The networks whose word on where a request comes from is believed; "*" alone is everybody."""
        if self.trusted_proxies.strip() == "*":
            return ["*"]
        parts = [part.strip() for part in self.trusted_proxies.split(",")]
        return [str(ipaddress.ip_network(part, strict=False)) for part in parts if part]

    @property
    def tracker_host(self) -> str:
        """The address to listen on for trackers that speak over TCP."""
        return self.teltonika_host or self.host

    @property
    def base_url(self) -> str:
        """The URL to print for people, without a trailing slash."""
        if self.public_url:
            return self.public_url.rstrip("/")
        scheme = "https" if self.tls_cert else "http"
        host = "localhost" if self.host in {"0.0.0.0", "127.0.0.1", "::"} else self.host  # noqa: S104 - compared, not bound
        return f"{scheme}://{host}:{self.port}"


FIELDS = {field.name: field for field in dataclasses.fields(Settings)}


def load_settings(
    flags: Mapping[str, Any], *, config: str | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Settings from every source. INVALID names the setting, where it was set and what is allowed."""
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    config = config or environment.get("ODOGRAPH_CONFIG")
    if config:
        values |= {name: _typed(name, value, config) for name, value in _read_file(config).items()}
    for variable, text in environment.items():
        if variable.startswith(_PREFIX) and variable not in _NOT_SETTINGS:
            name = variable.removeprefix(_PREFIX).lower()
            values[name] = _typed(name, text, variable)
    values |= {name: value for name, value in flags.items() if value is not None}
    settings = Settings(**values)
    _check(settings)
    return settings


def _read_file(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise invalid(f"Cannot read the configuration file {path}: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise invalid(f"The configuration file {path} is not TOML: {error}.") from error


def _typed(name: str, value: Any, where: str) -> Any:
    if name not in FIELDS:
        near = difflib.get_close_matches(name, FIELDS, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else f" There are: {', '.join(FIELDS)}."
        raise invalid(f"Unknown setting '{name}' in {where}.{hint}")
    wanted: type = type(FIELDS[name].default)
    if wanted is bool:
        return _truth(name, value, where)
    if wanted is int and isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    if type(value) is not wanted:
        raise invalid(f"Setting '{name}' in {where} must be {_kind(wanted)}, not {value!r}.")
    return value


def _truth(name: str, value: Any, where: str) -> bool:
    truths = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in truths:
        return truths[value.lower()]
    raise invalid(f"Setting '{name}' in {where} must be true or false, not {value!r}.")


def _kind(wanted: type) -> str:
    return {int: "a whole number", str: "text"}[wanted]


def _check(settings: Settings) -> None:
    def require(is_fine: bool, name: str, allowed: str) -> None:
        if not is_fine:
            raise invalid(f"Setting '{name}' is {getattr(settings, name)!r}; allowed: {allowed}.")

    require(0 < settings.port < 65536, "port", "1 to 65535")
    require(0 <= settings.teltonika_port < 65536, "teltonika_port", "1 to 65535, or 0 for closed")
    require(
        all(_ORIGIN.fullmatch(origin) for origin in settings.framers),
        "frame_ancestors",
        "origins by comma, such as https://portal.example",
    )
    _check_proxies(settings)
    require(settings.stretch_mb >= 8, "stretch_mb", "8 or more")
    require(
        settings.retention_days == 0 or settings.retention_days >= MIN_RETENTION_DAYS,
        "retention_days",
        f"0 (for ever), or {MIN_RETENTION_DAYS} or more",
    )
    require(1_000 <= settings.seal_rows <= 20_000_000, "seal_rows", "1,000 to 20,000,000")
    require(settings.seal_after_s >= 1, "seal_after_s", "1 or more")
    require(settings.oldest_fix_days >= 0, "oldest_fix_days", "0 or more")
    require(bool(settings.tls_cert) == bool(settings.tls_key), "tls_key", "set together with tls_cert")
    require(settings.log_level in {"debug", "info", "warning", "error"}, "log_level", "debug, info, warning, error")
    require(
        not settings.public_url or settings.public_url.startswith(("http://", "https://")),
        "public_url",
        "a URL that begins with http:// or https://",
    )
    wrong = streets.problem(settings.street_tiles, settings.street_attribution)
    if wrong is not None:
        require(False, *wrong)


def _check_proxies(settings: Settings) -> None:
    """The HTTP server takes what it can't read for the name of something that nobody is called."""
    try:
        settings.proxies  # noqa: B018 - read for what it raises
    except ValueError as error:
        raise invalid(
            f"Setting 'trusted_proxies' is {settings.trusted_proxies!r}: {error}. Allowed: addresses or networks by"
            " comma, such as 127.0.0.1, 10.0.0.0/8, fd00::/8 (names of hosts are not looked up), or * alone."
        ) from error
