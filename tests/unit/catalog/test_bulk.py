"""Many vehicles at once: rows find their vehicles, errors come by line, and it is all or nothing."""

from __future__ import annotations

import csv
import io
from time import perf_counter

import pytest

from odograph.catalog import assets, bulk, devices, tags
from odograph.catalog.assets import AssetFields
from odograph.catalog.devices import DeviceFields
from odograph.catalog.secrets import digest
from odograph.catalog.sheets import Place, Row, keys_csv, parse_places, parse_rows
from odograph.catalog.tags import TagFields
from odograph.errors import Refusal


def bring(catalog, org, text, **options):
    return bulk.import_rows(catalog, org, parse_rows(text.encode()), **options)


def actions(imported) -> list[str]:
    return [line.action for line in imported.lines]


LIST = """name,plate,VIN,External ID,device_id,tags
Van 1,AB-1,1FTBW2CM5GKA00001,erp:1,356307042441001,North;Vans
Van 2,AB-2,1FTBW2CM5GKA00002,erp:2;crm:b,,North
Van 3,,,,,
"""


async def test_a_list_makes_vehicles_devices_and_keys_in_one_commit(catalog, org):
    for name in ("North", "Vans"):
        await tags.create(catalog, org, TagFields(name=name))
    made = await bring(catalog, org, LIST)
    assert (actions(made), made.is_written) == (["create"] * 3, True)
    directory = catalog.directory
    first = directory.find_asset(org, made.lines[0].id)
    assert (first.body.name, first.body.license_plate, first.body.external_ids) == ("Van 1", "AB-1", {"erp": "1"})
    assert first.body.tag_ids == (1, 2)
    assert directory.find_asset(org, "crm:b").body.name == "Van 2"
    for line in made.lines:
        device = directory.devices.find_by_key(digest(line.key))
        assert device.body.asset_id == directory.find_asset(org, line.id).body.number
    assert directory.devices.find_by_device_id(org, "356307042441001").body.name == "Van 1"


async def test_the_same_list_again_changes_nothing(catalog, org):
    await bring(catalog, org, LIST, makes_tags=True)
    rev = catalog.directory.rev
    again = await bring(catalog, org, LIST, makes_tags=True)
    assert (actions(again), again.new_tags) == (["keep"] * 3, [])
    assert catalog.directory.rev == rev


async def test_a_dry_run_tells_everything_and_changes_nothing(catalog, org):
    rev = catalog.directory.rev
    plan = await bring(catalog, org, LIST, dry_run=True, makes_tags=True)
    assert (actions(plan), plan.is_written, plan.new_tags) == (["create"] * 3, False, ["North", "Vans"])
    assert [(line.id, line.key) for line in plan.lines] == [("", "")] * 3
    assert catalog.directory.rev == rev


@pytest.mark.parametrize(
    "row",
    [
        "name,external_id,notes\nNew,erp:1,seen",
        "name,vin,notes\nNew,1FTBW2CM5GKA00001,seen",
        "name,device_id,notes\nNew,356307042441001,seen",
        "name,plate,notes\nNew,ab 1,seen",
        "name,notes\nvan 1,seen",
    ],
)
async def test_a_row_finds_its_vehicle_by_what_it_brings(catalog, org, row):
    made = await bring(catalog, org, LIST, makes_tags=True)
    changed = await bring(catalog, org, row)
    assert actions(changed) == ["update"]
    assert changed.lines[0].id == made.lines[0].id
    van = catalog.directory.find_asset(org, made.lines[0].id)
    assert (van.body.notes, van.body.vin, len(van.body.tag_ids)) == ("seen", "1FTBW2CM5GKA00001", 2)


async def test_one_bad_row_keeps_the_whole_list_out(catalog, org):
    text = (
        "name,vin,year,external_id,tags\nGood,,,,\nBad 1,SHORT,,,\nBad 2,,20x,,\nBad 3,,,erp,\nBad 4,,,,Nowhere\n"
    )
    refused = await bring(catalog, org, text)
    assert (actions(refused), refused.is_written) == (["create"] + ["refuse"] * 4, False)
    assert [line.line for line in refused.lines] == [2, 3, 4, 5, 6]
    starts = [line.error.split(":")[0] for line in refused.lines[1:]]
    assert starts == ["vin", "year", "externalIds", "tags"]
    assert catalog.directory.assets.list_(org) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,vin\nA,1FTBW2CM5GKA00009\nB,1FTBW2CM5GKA00009", "line 2 has it already"),
        ("name,device_id\nA,d1\nB,d1", "line 2 has it already"),
        ("name,external_id\nA,erp:9\nB,erp:9", "line 2 has it already"),
        ("name\nA\na", "line 2 has it already"),
        ("name,plate\nA,B-AB 123\nB,b ab-123", "licensePlate BAB123: line 2 has it already"),
        ("name,plate\nA,AB-9\nA,", "name a: line 2 has it too"),
        ("name,plate\nA,\nA,AB-9", "name a: line 2 has it already"),
        ("name,vin,plate\nVan 1,,\nX,1FTBW2CM5GKA00001,", "line 2 has it already"),
        ("vin,external_id\n1FTBW2CM5GKA00001,erp:2", "a row must mean one"),
    ],
)
async def test_two_rows_or_two_columns_at_odds_are_refused(catalog, org, text, message):
    await bring(catalog, org, LIST, makes_tags=True)
    refused = await bring(catalog, org, text)
    assert refused.lines[-1].action == "refuse"
    assert message in refused.lines[-1].error
    assert not refused.is_written


async def test_a_name_that_two_vehicles_share_means_neither(catalog, org):
    for _ in range(2):
        await assets.create(catalog, org, AssetFields(name="Twin"))
    refused = await bring(catalog, org, "name,notes\nTwin,x")
    assert "a row must mean one" in refused.lines[0].error


async def test_a_loose_device_is_mounted_and_a_forwarder_is_not(catalog, org):
    loose, key = await devices.add(catalog, org, DeviceFields(device_id="box"))
    await devices.add(catalog, org, DeviceFields(device_id="fwd", is_forwarder=True))
    made = await bring(catalog, org, "name,device_id\nVan,box")
    assert (made.lines[0].action, made.lines[0].key) == ("create", "")
    mounted = catalog.directory.devices.find_by_key(digest(key or ""))
    assert (mounted.id, mounted.body.asset_id) == (loose.id, 1)
    refused = await bring(catalog, org, "name,device_id\nBus,fwd")
    assert "is a forwarder" in refused.lines[0].error


async def test_eight_hundred_rows_take_well_under_a_second(catalog, org):
    rows = "".join(f"Van {n},P-{n},1FTBW2CM5GK{n:06d},erp:{n},3563{n:011d},Depot {n % 9}\n" for n in range(800))
    started = perf_counter()
    made = await bring(catalog, org, "name,plate,vin,external_id,imei,tag\n" + rows, makes_tags=True)
    took_s = perf_counter() - started
    assert made.is_written
    assert (len(made.lines), len(made.new_tags)) == (800, 9)
    assert len(catalog.directory.devices.list_(org)) == 800
    assert took_s < 1


def test_headers_come_in_many_spellings():
    text = "\ufeffVehicle;License Plate;externalIds;IMEI;Tag\r\nVan;AB;a:1|b:2;35;x|y\r\n\r\n;;;;\r\n"
    row = Row(line=2, name="Van", license_plate="AB", external_ids=("a:1", "b:2"), device_id="35", tags=("x", "y"))
    assert parse_rows(text.replace("\r\n;", "\r\n;").encode()) == [row]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "line 1: is empty"),
        (b"name,plaet\nx,y", "column 'plaet' is not known. Did you mean 'plate'"),
        (b"name,vehicle\nx,y", "two columns mean the same"),
        (b"name\n\xff\xfe", "line 2: is not UTF-8"),
        (b'name\n"open', "line 2: is not CSV"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_with_its_line(data, message):
    with pytest.raises(Refusal, match=message):
        parse_rows(data)


async def test_every_row_with_too_many_cells_is_told_beside_all_others(catalog, org):
    text = "name,vin\nVan 1,SHORT\nVan, the second,\nVan 3,\nVan, 4, old,\n"
    refused = await bring(catalog, org, text)
    assert [(line.line, line.action) for line in refused.lines] == [
        (2, "refuse"),
        (3, "refuse"),
        (4, "create"),
        (5, "refuse"),
    ]
    assert refused.lines[1].error.startswith("has 3 cells, and the header has 2")
    assert parse_places(b"name\na,b")[0].error.startswith("has 2 cells, and the header has 1")


async def test_two_vehicles_of_one_name_are_told_apart_by_their_plates(catalog, org):
    text = "name,plate\nVan,B-AB 1\nVan,B-AB 2\n"
    assert actions(await bring(catalog, org, text)) == ["create"] * 2
    again = await bring(catalog, org, text.replace("B-AB", "b ab"))
    assert actions(again) == ["update"] * 2


def test_keys_go_out_as_csv():
    text = keys_csv([("281", 'Van "1", blue', "35", "k")])
    assert list(csv.reader(io.StringIO(text))) == [
        ["id", "name", "device_id", "key"],
        ["281", 'Van "1", blue', "35", "k"],
    ]


def test_a_list_of_places_takes_any_usual_header() -> None:
    text = "Name\tLatitude\tLng\tRadius (m)\tExternal ID\tTag\r\nDock\t52.1\t4.3\t80\terp:1|crm:2\tNorth; South\r\n"
    place = Place(
        line=2,
        name="Dock",
        lat="52.1",
        lon="4.3",
        radius_m="80",
        external_ids=("erp:1", "crm:2"),
        tags=("North", "South"),
    )
    assert parse_places(text.encode()) == [place]
    with pytest.raises(Refusal, match=r"column 'plate' is not known\..*Known: name, address, lat, lon, radius"):
        parse_places(b"name,plate\n")
