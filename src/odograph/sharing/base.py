"""What a type of live share is: how its config is read, and how it is shown again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from odograph.errors import Refusal, invalid
from odograph.live.directory import Directory
from odograph.model.access import carries
from odograph.model.catalog import LiveShare
from odograph.model.ids import AssetId, OrgId, TagId

Given_contra = TypeVar("Given_contra", bound=msgspec.Struct, contravariant=True)


class ShareType(Protocol[Given_contra]):
    """One file of `sharing`, listed in `registry.py`; its view lies in `sharing/views` under the same name."""

    name: str
    """As the outside knows it."""
    field: str
    """Of the request's and the answer's struct that holds its config."""
    config_key: str
    """The same field as the outside spells it."""
    has_description: bool
    """Whether a description is kept; where not, one that is sent is dropped (contract.md D-9)."""

    def parse(self, config: Given_contra, sight: Sight) -> Mapping[str, object]:
        """The fields of a LiveShare that this config means. INVALID naming the field."""
        ...

    def render(self, share: LiveShare, sight: Sight) -> msgspec.Struct:
        """The config as answers show it to whoever has this sight; what was deleted meanwhile keeps its id."""
        ...


@dataclass(frozen=True, slots=True)
class Sight:
    """What whoever makes or reads a link may see: things of the org that carry a tag of `limit`; None for all.

    Each look-up takes an id or an external id `key:value`. INVALID, in the same words for what is not there
    and for what may not be seen.
    """

    directory: Directory
    org: OrgId
    limit: frozenset[TagId] | None

    def asset(self, field: str, text: str) -> int:
        """The number of an asset."""
        asset = self.directory.find_asset(self.org, text, self.limit)
        if asset is None:
            raise _unknown(field, "vehicle", text)
        return asset.body.number

    def tag(self, field: str, text: str) -> int:
        """The number of a tag."""
        tag = self.directory.find_tag(self.org, text, self.limit)
        if tag is None:
            raise _unknown(field, "tag", text)
        return tag.body.number

    def address(self, field: str, text: str) -> int:
        """The number of an address."""
        address = self.directory.addresses.find_by_text(self.org, text)
        if address is None or not self.sees(address.body.tag_ids):
            raise _unknown(field, "address", text)
        return address.body.number

    def route(self, field: str, text: str) -> int:
        """The number of a recurring route, else of a single one."""
        recurring = self.directory.recurring.find_by_text(self.org, text)
        route = recurring or self.directory.routes.find_by_text(self.org, text)
        if route is None or not self.sees_route(route.body.tag_ids, route.body.asset_id):
            raise _unknown(field, "route", text)
        return route.body.number

    def sees(self, tag_ids: tuple[int, ...]) -> bool:
        """Whether something with these tags may be shared."""
        return carries(tag_ids, self.limit)

    def sees_route(self, tag_ids: tuple[int, ...], asset_id: int) -> bool:
        """A route may be shared by its own tags, or by those of its vehicle."""
        if self.sees(tag_ids):
            return True
        asset = self.directory.assets.find_by_number(self.org, AssetId(asset_id)) if asset_id else None
        return asset is not None and self.sees(asset.body.tag_ids)


def _unknown(field: str, what: str, text: str) -> Refusal:
    return invalid(
        f"Field '{field}': there is no {what} {text[:60]!r}; give its id, or an external id as key:value."
    )
