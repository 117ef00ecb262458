"""Self-registration: a device that its org has never met becomes a vehicle, where the operator wants that."""

from __future__ import annotations

from odograph.catalog.assets import AssetFields, new_body, number_assets
from odograph.catalog.changes import Catalog, Plan, put
from odograph.catalog.devices import check_device_id, fresh_body
from odograph.catalog.orgs import get as get_org
from odograph.errors import forbidden, invalid
from odograph.model.ids import OrgId


async def enrol(catalog: Catalog, org: OrgId, device_id: str, protocol: str) -> None:
    """Make a vehicle and a keyless device called `device_id`, in one commit; nothing where it exists already.

    The device goes on delivering with the org's enrolment key, or through a forwarder. It may speak any
    protocol: `protocol`, its first, goes into the vehicle's notes. FORBIDDEN while self-registration is off.
    """

    def plan() -> Plan[None]:
        directory = catalog.directory
        if not get_org(directory, org).body.self_registration:
            raise forbidden("Self-registration is switched off for this org.")
        if not device_id or device_id != device_id.strip():
            raise invalid("deviceId: is empty or has blanks around it; a device must say who it is.")
        if directory.devices.find_by_device_id(org, device_id) is not None:
            return Plan([], lambda _: None)
        checked_id = check_device_id(directory, org, device_id)
        numbers, counting = number_assets(directory, 1)
        fields = AssetFields(serial=checked_id, notes=f"Registered itself over {protocol}.")
        asset = new_body(catalog, org, numbers[0], fields)
        device = fresh_body(asset.name, asset.number, asset.created_ms, device_id=checked_id)
        return Plan([put(None, org, asset), put(None, org, device), counting], lambda _: None)

    await catalog.change(plan)
