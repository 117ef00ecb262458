"""Orgs: names, time zones, and the key with which devices register themselves."""

from __future__ import annotations

import pytest

from odograph.catalog import orgs
from odograph.catalog.secrets import digest
from odograph.errors import Kind, Refusal
from odograph.model.ids import OrgId


async def test_an_org_is_found_by_id_and_by_name_in_any_case(catalog):
    acme = await orgs.create(catalog, " Acme ", "Europe/Amsterdam")
    assert (acme.body.name, acme.body.timezone) == ("Acme", "Europe/Amsterdam")
    assert orgs.find(catalog.directory, str(acme.id)) == acme
    assert orgs.find(catalog.directory, "aCME") == acme
    assert orgs.find(catalog.directory, "other") is None
    assert catalog.directory.orgs.find_org(OrgId(acme.id)) == acme


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "Europe", "UTC\0"])
async def test_an_unknown_time_zone_is_refused_by_name(catalog, zone):
    with pytest.raises(Refusal, match=r"^timezone: .*IANA") as refused:
        await orgs.create(catalog, "Acme", zone)
    assert refused.value.kind is Kind.INVALID


async def test_two_orgs_cannot_share_a_name(catalog, org):
    with pytest.raises(Refusal, match="exists already"):
        await orgs.create(catalog, "ACME")
    other = await orgs.create(catalog, "Other")
    with pytest.raises(Refusal, match="exists already"):
        await orgs.update(catalog, OrgId(other.id), name="acme")
    assert (await orgs.update(catalog, org, name="ACME")).body.name == "ACME"


async def test_renaming_frees_the_old_name(catalog, org):
    renamed = await orgs.update(catalog, org, name="Zenith", timezone="Asia/Tokyo")
    assert (renamed.body.name, renamed.body.timezone) == ("Zenith", "Asia/Tokyo")
    assert (await orgs.update(catalog, org)).rev == renamed.rev
    await orgs.create(catalog, "Acme")


async def test_an_enrolment_key_outlasts_registration_and_ends_only_when_it_is_renewed_or_ended(catalog, org):
    opened, first = await orgs.open_registration(catalog, org)
    find = catalog.directory.orgs.find_by_enrolment
    closed = await orgs.close_registration(catalog, org)
    assert (opened.body.self_registration, closed.body.self_registration) == (True, False)
    assert find(digest(first or "")).id == org
    again, none = await orgs.open_registration(catalog, org)
    assert (again.body.self_registration, none) == (True, None)
    renewed, second = await orgs.renew_enrolment_key(catalog, org)
    assert (find(digest(first or "")), find(digest(second)).id) == (None, org)
    assert renewed.body.self_registration
    await orgs.end_enrolment_key(catalog, org)
    assert find(digest(second)) is None
    _, third = await orgs.open_registration(catalog, org)
    assert find(digest(third or "")).id == org


async def test_an_unknown_org_is_not_found(catalog):
    with pytest.raises(Refusal, match="no such org") as refused:
        await orgs.update(catalog, OrgId(99), name="x")
    assert refused.value.kind is Kind.NOT_FOUND
