"""The command as people use it: real processes, a real data directory, beside a server and without one."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

ODOGRAPH = [sys.executable, "-c", "from odograph.cli import main; main()"]
START_WITHIN_S = 20.0
RECORDING = """vehicle_id,time_iso,lat,lon,heading_deg,speed_mph
bus 1,2024-05-01T10:00:00Z,48.1,11.5,90,10
bus 1,2024-05-01T10:00:05Z,48.2,11.5,90,10
bus 2,2024-05-01T10:00:00Z,48.3,11.5,,
bus 2,2024-05-01T10:00:05Z,400,11.5,,
bus 2,not a time,48.3,11.5,,
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A working directory with a home of its own, for whatever the commands keep."""
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ODOGRAPH_")}
    return {**kept, "HOME": str(home), "ODOGRAPH_DATA_DIR": "data"}


def run(home: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ODOGRAPH, *arguments],
        cwd=home,
        env=environment(home),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def done(home: Path, *arguments: str, stdin: str = "") -> str:
    """What a command that must succeed wrote to stdout."""
    result = run(home, *arguments, stdin=stdin)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def refused(home: Path, *arguments: str, code: int = 1) -> str:
    """The one line with which a command declines."""
    result = run(home, *arguments)
    assert result.returncode == code, (result.stdout, result.stderr)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr.strip()


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Served:
    """A running `odograph serve`."""

    def __init__(self, process: subprocess.Popen[str], port: int, greeting: list[str]) -> None:
        self.process = process
        self.port = port
        self.greeting = greeting
        self.url = f"http://127.0.0.1:{port}"

    def end(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """The exit code, and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(20)
        return code, time.monotonic() - began


@contextmanager
def serving(home: Path, *arguments: str, lines: int = 1) -> Iterator[Served]:
    port = free_port()
    log = (home / "serve.log").open("a+")
    process = subprocess.Popen(
        [*ODOGRAPH, "serve", "--port", str(port), *arguments],
        cwd=home,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    assert process.stdout is not None
    try:
        greeting = [process.stdout.readline().strip() for _ in range(lines)]
        assert greeting[0], (home / "serve.log").read_text()
        yield Served(process, port, greeting)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(20)
        process.stdout.close()
        log.close()


def test_an_empty_directory_is_told_what_to_do_next_and_a_filled_one_is_not(home: Path) -> None:
    with serving(home, lines=2) as server:
        assert server.greeting[0].startswith(f"Serving http://localhost:{server.port} from data")
        assert "odograph org create --data-dir data" in server.greeting[1]
        done(home, "org", "create", "Acme")
    with serving(home) as server:
        code, _ = server.end()
        assert code == 0
        assert server.process.stdout is not None
        assert server.process.stdout.read() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_cleanly_and_soon(home: Path, number: signal.Signals) -> None:
    with serving(home) as server:
        code, seconds = server.end(number)
    assert code == 0
    assert seconds < 5
    assert "Traceback" not in (home / "serve.log").read_text()
    assert not (home / "data" / "control.sock").exists()


def test_a_second_server_on_the_same_directory_or_port_refuses_in_one_line(home: Path) -> None:
    with serving(home) as server:
        same_directory = refused_serve(home, "--port", str(free_port()))
        same_port = refused_serve(home, "--port", str(server.port), "--data-dir", "other")
        assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert "data" in same_directory
    assert "certificate nope.pem" in refused_serve(home, "--tls-cert", "nope.pem", "--tls-key", "nope.key")
    assert f"port {server.port}" in same_port


def refused_serve(home: Path, *arguments: str) -> str:
    """The last line on stderr of a server that does not start; the ones before it are logs."""
    result = run(home, "serve", *arguments)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("odograph: ")
    return line


def test_a_token_made_beside_the_server_reads_what_a_device_made_there_has_sent(home: Path) -> None:
    with serving(home) as server:
        done(home, "org", "create", "Acme", "--time-zone", "Europe/Berlin")
        key = done(home, "device", "add", "--new-vehicle", "Van 1", "--device-id", "box-1")
        token = done(home, "token", "create", "--name", "map")
        sent = httpx.post(
            f"{server.url}/ingest/batch",
            headers={"authorization": f"Bearer {key}"},
            json={"fixes": [{"time": "2024-05-01T10:00:00Z", "lat": 48.1, "lon": 11.5}]},
        )
        assert sent.json()["stored"] == 1
        bearer = {"authorization": f"Bearer {token}"}
        (seen,) = httpx.get(f"{server.url}/fleet/vehicles/locations", headers=bearer).json()["data"]
        assert (seen["name"], seen["location"]["latitude"]) == ("Van 1", 48.1)
        shown = json.loads(done(home, "device", "show", "Van 1", "--json"))
        assert shown["deviceId"] == "box-1"
        assert shown["lastContactOf"] == "device"
        done(home, "token", "revoke", "map")
        assert httpx.get(f"{server.url}/me", headers=bearer).status_code == 401
    shown = done(home, "device", "show", "Van 1")
    assert "of its vehicle; of the device itself nothing since the server started" in shown
    assert "s ago, of vehicle" in done(home, "device", "list")


def test_revoking_a_token_says_which_others_end_with_it(home: Path) -> None:
    with serving(home) as server:
        done(home, "org", "create", "Acme")
        scopes = ("--scope", "Write API Tokens", "--scope", "Read API Tokens")
        token = done(home, "token", "create", "--name", "admin", *scopes)
        bearer = {"authorization": f"Bearer {token}"}
        body = {"name": "helper", "scopes": ["Read API Tokens"]}
        made = httpx.post(f"{server.url}/odograph/tokens", headers=bearer, json=body).json()["data"]
        listed = {one["name"]: one for one in json.loads(done(home, "token", "list", "--json"))}
        assert listed["helper"]["madeByTokenId"] == listed["admin"]["id"]
        said = run(home, "token", "revoke", "admin").stderr.strip()
        assert said == f"Revoked token 'admin' (id {listed['admin']['id']}), and 1 made with it: {made['id']}."
        assert done(home, "token", "list", "--json") == "[]"


def test_commands_work_the_same_without_a_server(home: Path) -> None:
    assert "no data directory" in refused(home, "vehicle", "list")
    done(home, "org", "create", "Acme")
    vehicle = done(home, "vehicle", "add", "Van 1")
    assert done(home, "device", "add", "Van 1").count("-") == 6
    status = json.loads(done(home, "status", "--json"))
    assert (status["isServed"], status["vehicles"], status["devices"]) == (False, 1, 1)
    with serving(home):
        assert json.loads(done(home, "vehicle", "list", "--json"))[0]["id"] == vehicle
        assert json.loads(done(home, "status", "--json"))["isServed"]


def test_vehicles_are_found_by_whatever_people_call_them(home: Path) -> None:
    with serving(home):
        done(home, "org", "create", "Acme")
        tag = done(home, "tag", "create", "North")
        vehicle = done(
            home, "vehicle", "add", "Van 1", "--plate", "KC-1", "--tag", "north", "--external-id", "fms:7"
        )
        assert json.loads(done(home, "tag", "list", "--json"))[0]["vehicles"] == [{"id": vehicle, "name": "Van 1"}]
        first = json.loads(done(home, "device", "add", "fms:7", "--device-id", "box", "--json"))
        assert first["vehicle"]["id"] == vehicle
        assert done(home, "device", "rotate", "van 1") != first["key"]
        done(home, "device", "add", "kc-1", "--qr")
        assert "2 devices 'Van 1'" in refused(home, "device", "disable", "Van 1")
        done(home, "device", "disable", "box")
        assert json.loads(done(home, "device", "list", "--silent", "1h", "--json"))[0]["isEnabled"] is False
        done(home, "device", "enable", first["id"])
        done(home, "tag", "delete", tag)
        assert json.loads(done(home, "vehicle", "list", "--json"))[0]["tags"] == []


def test_what_is_wrong_is_said_in_one_line(home: Path) -> None:
    with serving(home):
        assert "no organisation yet" in refused(home, "vehicle", "list")
        done(home, "org", "create", "Acme")
        assert "no vehicle 'Van 9'" in refused(home, "device", "add", "Van 9")
        assert "there is no scope" in refused(home, "token", "create", "--name", "x", "--scope", "Fly")
        assert "Name a vehicle" in refused(home, "device", "add", code=2)
        ghost = ("device", "add", "--new-vehicle", "Ghost")
        assert "--qr" in refused(home, *ghost, "--qr", "--no-key", code=2)
        assert "deviceId: is empty" in refused(home, *ghost, "--no-key")
        done(home, "device", "add", "--forwarder", "--name", "hub", "--device-id", "taken")
        assert "already belongs" in refused(home, *ghost, "--device-id", "taken")
        assert "forwarder" in refused(home, "device", "rotate", "hub", "--qr")
        assert json.loads(done(home, "vehicle", "list", "--json")) == [], "what is refused makes no vehicle"
        assert [one["name"] for one in json.loads(done(home, "device", "list", "--json"))] == ["hub"]
        done(home, "org", "create", "Other")
        several = refused(home, "vehicle", "list")
        assert "Acme, Other" in several
        assert len(several.splitlines()) == 1
        assert done(home, "vehicle", "list", "--org", "other", "--json") == "[]"
        assert "no organisation 'Nobody'" in refused(home, "vehicle", "list", "--org", "Nobody")
    assert "Unknown setting" in refused_with(home, {"ODOGRAPH_PROT": "1"}, "vehicle", "list")
    assert "No such option" in refused(home, "vehicle", "list", "--nope", code=2)


def refused_with(home: Path, more: dict[str, str], *arguments: str) -> str:
    result = subprocess.run(
        [*ODOGRAPH, *arguments],
        cwd=home,
        env=environment(home) | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    return result.stderr


def test_800_rows_are_imported_with_their_keys_in_five_seconds(home: Path) -> None:
    rows = "".join(f"Van {number},KC-{number},imei-{number},North\n" for number in range(800))
    sheet = home / "fleet.csv"
    sheet.write_text("name,plate,device_id,tags\n" + rows)
    with serving(home):
        done(home, "org", "create", "Acme")
        assert "there is no tag 'North'" in refused(home, "vehicle", "import", "fleet.csv")
        assert done(home, "vehicle", "import", "fleet.csv", "--make-tags", "--dry-run") == ""
        assert json.loads(done(home, "vehicle", "list", "--json")) == []
        began = time.monotonic()
        text = done(home, "vehicle", "import", "fleet.csv", "--make-tags")
        assert time.monotonic() - began < 5
        made = list(csv.DictReader(io.StringIO(text)))
        assert len({one["key"] for one in made}) == 800
        assert {one["device_id"] for one in made} == {f"imei-{number}" for number in range(800)}
        assert done(home, "vehicle", "import", "-", stdin=sheet.read_text()) == ""
        assert len(json.loads(done(home, "vehicle", "list", "--json", "--tag", "North"))) == 800


def test_bad_lines_of_an_import_are_told_each_and_nothing_is_written(home: Path) -> None:
    done(home, "org", "create", "Acme")
    (home / "fleet.csv").write_text("name,year\nVan 1,2020\nVan 2,old\nVan 3,older\n")
    lines = refused(home, "vehicle", "import", "fleet.csv", "--keys", "keys.csv").splitlines()
    assert [line[:16] for line in lines[:2]] == ["odograph: line 3", "odograph: line 4"]
    assert "nothing was written" in lines[2]
    assert not (home / "keys.csv").exists()
    assert json.loads(done(home, "vehicle", "list", "--json")) == []
    (home / "fleet.csv").write_text("name,yaer\nVan 1,2020\n")
    assert "Did you mean 'year'" in refused(home, "vehicle", "import", "fleet.csv", "--keys", "keys.csv")
    (home / "fleet.csv").write_text("name,year\nVan 1,2020\n")
    shown = done(home, "vehicle", "import", "fleet.csv", "--keys", "keys.csv", "--json")
    assert "key" not in json.loads(shown)["lines"][0]
    (kept,) = csv.DictReader((home / "keys.csv").open())
    assert (kept["name"], kept["key"].count("-")) == ("Van 1", 6)
    assert (home / "keys.csv").stat().st_mode & 0o777 == 0o600


def test_addresses_are_added_listed_imported_and_removed(home: Path) -> None:
    with serving(home, lines=2):
        done(home, "org", "create", "Acme")
        done(home, "tag", "create", "North")
        added = done(home, "address", "add", "Dock", "--at", "52.1,4.3", "--tag", "north", "--external-id", "erp:1")
        done(home, "address", "add", "Home", "--at", "52.2,-4.3", "--radius", "500", "--private")
        lines = done(home, "address", "list").splitlines()
        assert lines[1].split("\t") == [added, "Dock", "Dock", "52.100000, 4.300000", "100 m", "", "North", "erp:1"]
        assert lines[2].split("\t")[3:6] == ["52.200000, -4.300000", "500 m", "private"]
        listed = "name;address;lat;lng;radius;external id;tags\n"
        listed += "Dock;Quay 1;;;;erp:1;North\nHome;;;;;;\nYard;Lane 2;50.5;4.5;;;North\n"
        assert run(home, "address", "import", "-", "--dry-run", stdin=listed).stderr.startswith(
            "Would be: 1 made, 2 "
        )
        assert len(json.loads(done(home, "address", "list", "--json"))) == 2
        first = run(home, "address", "import", "-", stdin=listed)
        assert (first.returncode, first.stderr) == (0, "1 made, 1 changed, 1 left as they were.\n")
        again = run(home, "address", "import", "-", stdin=listed)
        assert again.stderr == "0 made, 0 changed, 3 left as they were.\n"
        known = {one["name"]: one for one in json.loads(done(home, "address", "list", "--json"))}
        assert (known["Dock"]["id"], known["Dock"]["formattedAddress"]) == (added, "Quay 1")
        assert known["Yard"]["geofence"]["circle"] == {"latitude": 50.5, "longitude": 4.5, "radiusMeters": 100}
        assert known["Home"]["odograph"] == {"isPrivateZone": True}
        assert len(done(home, "address", "list", "--tag", "North").splitlines()) == 3
        done(home, "address", "remove", "erp:1")
        done(home, "address", "remove", "HOME")
        assert "There is no address 'Dock'" in refused(home, "address", "remove", "Dock")
        assert "--at must be LAT,LON" in refused(home, "address", "add", "x", "--at", "52.1")
        assert "radiusMeters" in refused(home, "address", "add", "x", "--at", "52.1,4.3", "--radius", "0")


def test_bad_lines_of_a_list_of_addresses_are_told_each(home: Path) -> None:
    done(home, "org", "create", "Acme")
    listed = "name,lat,lon,radius,tags\nA,52.1,4.3,,\nB,north,4.3,,\nC,,,,\na,1,1,,\nE,1,1,,Nowhere\nF,1,1,nan,\n"
    result = run(home, "address", "import", "-", stdin=listed)
    assert (result.returncode, result.stdout) == (1, "")
    told = result.stderr.splitlines()
    assert [line.partition(":")[2][:9] for line in told[:-1]] == [f" line {number}: " for number in (3, 4, 5, 6, 7)]
    assert "nothing was written" in told[-1]
    assert done(home, "address", "list", "--json") == "[]"
    listed = "name,lat,lon,radius\nA,52.1,4.3,\nB,95,4.3,\n"
    result = run(home, "address", "import", "-", stdin=listed)
    assert result.returncode == 1
    assert "line 3: geofence.circle.latitude: 95.0 is not between" in result.stderr
    assert [one["name"] for one in json.loads(done(home, "address", "list", "--json"))] == ["A"]


def test_a_replay_makes_its_vehicles_and_an_export_of_them_can_be_replayed(home: Path) -> None:
    (home / "day.csv").write_text(RECORDING)
    with serving(home) as server:
        done(home, "org", "create", "Acme")
        arguments = ("replay", "day.csv", "--speed", "max", "--create")
        assert f"runs, http://localhost:{server.port}" in done(home, "status")
        first = run(home, *arguments)
        assert first.returncode == 0, first.stderr
        assert re.search(r"stored +3\n", first.stderr)
        assert re.search(r"Refused +1: ", first.stderr)
        assert "day.csv line 6: time_iso" in first.stderr
        assert re.search(r"already known +3\n", run(home, *arguments).stderr)
        assert [one["name"] for one in json.loads(done(home, "device", "list", "--json"))] == ["bus 1", "bus 2"]
        done(home, "export", "--from", "2024-05-01", "--to", "2024-05-02", "-o", "again.csv")
        assert [row["vehicle_name"] for row in csv.DictReader((home / "again.csv").open())] == [
            "bus 1",
            "bus 1",
            "bus 2",
        ]
        again = run(home, "replay", "again.csv", "--speed", "max", "--create")
        assert re.search(r"already known +3\n", again.stderr), again.stderr
        assert [one["name"] for one in json.loads(done(home, "device", "list", "--json"))] == ["bus 1", "bus 2"]
        assert "--forwarder-key" in refused(home, "replay", "again.csv", "--key", "KEY")
        one = done(home, "export", "--vehicle", "bus 2", "--from", "2024-05-01", "--to", "now", "--format", "gpx")
        assert one.count("<trkpt") == 1
    alone = done(home, "export", "--from", "2024-05-01", "--format", "geojson")
    assert len(json.loads(alone)["features"]) == 3


def test_a_teltonika_replay_needs_no_key_from_this_machine(home: Path) -> None:
    (home / "day.csv").write_text(RECORDING)
    port = free_port()
    with serving(home, "--teltonika-port", str(port)) as server:
        done(home, "org", "create", "Acme")
        result = run(
            home, "replay", "day.csv", "--speed", "max", "--create", "--protocol", "teltonika",
            "--teltonika-port", str(port), "--url", server.url,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        assert json.loads(done(home, "status", "--json"))["headSeq"] == 3


def test_trackers_have_an_address_of_their_own_while_http_stays_on_this_machine(home: Path) -> None:
    port = free_port()
    flags = ("--host", "127.0.0.1", "--teltonika-port", str(port), "--teltonika-host", "127.0.0.2")
    with serving(home, *flags) as server, closing(socket.create_connection(("127.0.0.2", port), 5)) as tracker:
        tracker.sendall(b"\x00\x0f356307042441013")
        assert tracker.recv(1) == b"\x00"
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", server.port), 5)


def test_who_knocked_is_listed_and_let_in_with_one_command(home: Path) -> None:
    with serving(home) as server:
        done(home, "org", "create", "Acme")
        url = f"{server.url}/ingest/osmand?id=stranger&lat=1&lon=2&timestamp=1714557600"
        assert httpx.get(url).status_code == 401
        for _ in range(50):
            knocks = json.loads(done(home, "device", "unknown", "--json"))
            if knocks:
                break
        assert knocks[0]["deviceId"] == "stranger"
        key = done(home, "device", "accept", "stranger", "--name", "Van 5")
        assert httpx.get(f"{url}&key={key}").status_code == 200


def test_the_operator_binds_a_device_to_its_network_whatever_orgs_there_are(home: Path) -> None:
    for org in ("Acme", "Globex"):
        done(home, "org", "create", org)
        device = ("--new-vehicle", "Van", "--device-id", "356307042441013")
        done(home, "device", "add", "--org", org, *device)
    bind = ("device", "bind", "Van", "--org")
    bound = run(home, *bind, "Acme", "--network", "10.20.0.0/16")
    assert bound.stderr.strip().endswith("is let in by its key or its id from 10.20.0.0/16.")
    taken = refused(home, *bind, "Globex", "--trust-id")
    assert "let in by the id '356307042441013' without a key already" in taken
    assert run(home, *bind, "Acme").stderr.strip().endswith("is let in by its key.")
    done(home, *bind, "Globex", "--trust-id")


def test_devices_register_themselves_and_go_on_when_no_new_ones_may_come(home: Path) -> None:
    def answers(device: str, key: str) -> int:
        url = f"{server.url}/ingest/osmand/{key}?id={device}&lat=1&lon=2&timestamp={next(times)}"
        return httpx.get(url).status_code

    times = iter(range(1_714_557_600, 1_714_557_700))
    with serving(home) as server:
        done(home, "org", "create", "Acme")
        first = done(home, "org", "set", "acme", "--self-registration", "on", "--name", "Acme/North")
        assert answers("phone-1", first) == 200
        assert "the organisation's enrolment key" in done(home, "device", "show", "phone-1")
        closed = run(home, "org", "set", "Acme/North", "--self-registration", "off")
        assert "goes on for those that came with it (1 device)" in closed.stderr
        assert (answers("phone-1", first), answers("phone-2", first)) == (200, 403)
        assert "lets in 1 device" in done(home, "org", "list")
        assert done(home, "org", "set", "Acme/North", "--self-registration", "on") == "", "the key is as it was"
        assert answers("phone-2", first) == 200
        change = ("org", "set", "Acme/North", "--name", "Acme", "--enrolment-key")
        warned = refused(home, *change, "new")
        assert "2 devices of 'Acme/North'" in warned
        assert "--yes" in warned
        assert json.loads(done(home, "org", "list", "--json"))[0]["name"] == "Acme/North", "nothing is half done"
        second = done(home, *change, "new", "--yes")
        assert (answers("phone-1", first), answers("phone-1", second)) == (401, 200)
        own = [done(home, "device", "rotate", device) for device in ("phone-1", "phone-2")]
        done(home, "org", "set", "Acme", "--enrolment-key", "end")  # nobody is locked out any more
        assert (answers("phone-1", second), answers("phone-1", own[0])) == (401, 200)
        assert "an enrolment key" in refused(
            home, "org", "set", "Acme", "--enrolment-key", "end", "--self-registration", "on"
        )


def test_a_backup_made_while_serving_is_restored_and_served(home: Path) -> None:
    with serving(home):
        done(home, "org", "create", "Acme")
        done(home, "vehicle", "add", "Van 1")
        assert done(home, "backup", "copy") == str(home / "copy")
        assert "restore" not in refused(home, "backup", "copy")
    assert "not empty" in refused(home, "restore", "copy")
    done(home, "restore", "copy", "--data-dir", "new")
    with serving(home, "--data-dir", "new"):
        assert "Van 1" in done(home, "vehicle", "list", "--data-dir", "new")


def test_damage_is_found_named_and_set_aside(home: Path) -> None:
    rows = "".join(
        f"bus,2024-05-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z,48.1,11.5,,\n" for n in range(5000)
    )
    (home / "day.csv").write_text("vehicle_id,time_iso,lat,lon,heading_deg,speed_mph\n" + rows)
    with serving(home, "--seal-rows", "1000") as server:
        assert "A server runs on" in refused(home, "check")
        done(home, "org", "create", "Acme")
        done(home, "replay", "day.csv", "--create", "--url", server.url, "--speed", "max")
        for _ in range(60):  # each takes a moment
            if json.loads(done(home, "status", "--json"))["sealedSeq"] >= 1000:
                break
    assert done(home, "check") == ""
    (day,) = (home / "data" / "sealed").glob("*.db")
    data = bytearray(day.read_bytes())
    data[4096 + 3] ^= 1
    day.write_bytes(data)
    found = run(home, "check")
    assert found.returncode == 1
    assert (
        found.stdout.splitlines()[0] == f"data/sealed/{day.name}: the page at byte 4096 does not match its checksum"
    )
    with serving(home):  # it keeps nothing else from being served
        assert "bus" in done(home, "vehicle", "list")
    assert day.name in done(home, "check", "--set-aside")
    assert done(home, "check") == ""
    assert (home / "data" / "damaged" / "1" / day.name).exists()
    with serving(home):
        done(home, "export", "--vehicle", "bus", "--from", "2024-05-01", "--to", "2024-05-02")
    (home / "data" / "odograph.db").write_bytes(b"\xa5" * 8192)
    assert "file is not a database" in refused_serve(home)
    assert "Restore from a backup" in run(home, "check", "--set-aside").stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_replay_goes_on_where_it_was(home: Path, number: signal.Signals) -> None:
    rows = "".join(f"bus,2024-05-01T10:{n // 60:02}:{n % 60:02}Z,48.1,11.5,,\n" for n in range(600))
    (home / "day.csv").write_text("vehicle_id,time_iso,lat,lon,heading_deg,speed_mph\n" + rows)
    with serving(home) as server:
        done(home, "org", "create", "Acme")
        arguments = ("replay", "day.csv", "--create", "--url", server.url)
        process = subprocess.Popen(
            [*ODOGRAPH, *arguments, "--speed", "10"],  # a minute: however slow this machine, it is not over yet
            cwd=home,
            env=environment(home),
            stderr=subprocess.PIPE,
            text=True,
        )
        while json.loads(done(home, "status", "--json"))["headSeq"] < 20:
            assert process.poll() is None
        process.send_signal(number)
        _, text = process.communicate(timeout=20)
        assert process.returncode == 130, text
        assert "Traceback" not in text
        assert "The same command goes on" in text
        assert len(json.loads(done(home, "device", "list", "--json"))) == 1, "its key must not stay behind"
        rest = run(home, *arguments, "--speed", "max")
        assert "Resumed  after" in rest.stderr
        assert re.search(r"Taken +600\n", rest.stderr)  # what was under way when it ended may be known by now
        assert json.loads(done(home, "status", "--json"))["headSeq"] == 600
        assert json.loads(done(home, "device", "list", "--json"))[0]["name"] == "bus"


def test_a_demo_without_a_terminal_ends_by_itself(home: Path) -> None:
    text = done(home, "demo", "--for", "8s")
    token = re.search(r"TOKEN=(odo_\S+)", text)
    assert token is not None
    assert "fixes stored" in text
    assert "/ingest/owntracks/" in text
    assert token[1] not in (home / "demo-data" / "server.log").read_text()
    assert max(map(len, text[: text.index("curl")].splitlines())) <= 80


def test_a_demo_spares_a_directory_that_is_not_its_own(home: Path) -> None:
    (home / "demo-data").mkdir()
    (home / "demo-data" / "thesis.txt").write_text("all of it")
    assert "not a demo's directory" in refused(home, "demo", "--for", "1s")
    assert (home / "demo-data" / "thesis.txt").exists()


def test_ctrl_c_ends_a_demo_on_a_terminal_cleanly_within_two_seconds(home: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(home)
        os.execvpe(ODOGRAPH[0], [*ODOGRAPH, "demo"], environment(home) | {"TERM": "xterm", "COLUMNS": "80"})
    text = read_until(terminal, "fixes stored", START_WITHIN_S)
    os.write(terminal, b"\x03")
    began = time.monotonic()
    text += read_until(terminal, "The demo has ended.", 10)
    _, status = os.waitpid(pid, 0)
    seconds = time.monotonic() - began
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0, text
    assert seconds < 2
    assert "Traceback" not in text


def read_until(terminal: int, wanted: str, within_s: float) -> str:
    """What the terminal shows until the text appears; fails with all of it where it doesn't."""
    text, until = "", time.monotonic() + within_s
    while wanted not in text:
        assert time.monotonic() < until, text
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                text += os.read(terminal, 65_536).decode(errors="replace")
            except OSError:
                pytest.fail(f"It ended before {wanted!r}:\n{text}")
    return text


def test_routes_and_recurring_routes_are_made_from_files_and_shown(home):
    done(home, "org", "create", "Acme", "--time-zone", "Europe/Berlin")
    van = done(home, "vehicle", "add", "Van 1")
    depot, shop = ({"latitude": 52.0 + step, "longitude": 4.0} for step in (0, 1))
    now = time.gmtime(time.time() + 3600)
    tour = {
        "name": "Tour",
        "vehicleId": van,
        "stops": [
            {"singleUseLocation": depot, "scheduledDepartureTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", now)},
            {"singleUseLocation": shop, "scheduledArrivalTime": time.strftime("%Y-%m-%dT%H:59:59Z", now)},
        ],
    }
    (home / "tour.json").write_text(json.dumps(tour))
    made = done(home, "route", "add", "tour.json")
    listed = list(csv.reader(io.StringIO(done(home, "route", "list")), delimiter="\t"))
    assert [listed[1][0], listed[1][1], listed[1][2], listed[1][5]] == [made, "Tour", "Van 1", "0/2"]
    assert "/fleet/viewer/job/" in done(home, "route", "show", made)
    line = {
        "name": "Line 4",
        "startTimes": ["06:30"],
        "stops": [
            {"singleUseLocation": depot, "departureAfterStartSeconds": 0},
            {"singleUseLocation": shop, "arrivalAfterStartSeconds": 600},
        ],
    }
    pattern = done(home, "recurring", "add", "-", stdin=json.dumps(line))
    assert pattern in done(home, "recurring", "list")
    assert len(json.loads(done(home, "route", "list", "--to", "10d", "--json"))) >= 8, "its runs are planned"
    done(home, "recurring", "remove", "line 4")
    done(home, "route", "remove", made)
    assert json.loads(done(home, "route", "list", "--to", "10d", "--json")) == []
    (home / "bad.json").write_text("[]")
    assert "one JSON object" in refused(home, "route", "add", "bad.json")
    assert "stops" in refused(home, "route", "add", write(home, {"name": "x", "stops": []}))


def write(home: Path, value: object) -> str:
    (home / "written.json").write_text(json.dumps(value))
    return "written.json"
