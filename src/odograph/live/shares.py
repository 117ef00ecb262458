"""The live sharing links of every org, found by their id or by the hash of their key."""

from __future__ import annotations

import hmac

from odograph.live.entity import Entity, Few
from odograph.model.catalog import LiveShare
from odograph.model.ids import OrgId


class Shares(Few[LiveShare]):
    """Looked up by share id or key; listed by record id, which is the order in which they were made."""

    def __init__(self) -> None:
        super().__init__(LiveShare)
        self._by_share_id: dict[str, Entity[LiveShare]] = {}
        self._by_key: dict[bytes, Entity[LiveShare]] = {}

    def changed(self, old: Entity[LiveShare] | None, new: Entity[LiveShare] | None) -> None:
        """Keep both indexes in step."""
        if old is not None:
            self._by_share_id.pop(old.body.share_id, None)
            self._by_key.pop(bytes.fromhex(old.body.key_hash), None)
        if new is not None:
            self._by_share_id[new.body.share_id] = new
            self._by_key[bytes.fromhex(new.body.key_hash)] = new

    def find_by_share_id(self, org: OrgId, share_id: str) -> Entity[LiveShare] | None:
        """By the id that the API knows it by, within its org; expired ones too."""
        found = self._by_share_id.get(share_id)
        return found if found is not None and found.org == org else None

    def find_by_key(self, key_hash: bytes) -> Entity[LiveShare] | None:
        """By the SHA-256 (32 bytes) of the key in its URL, over all orgs; expired ones too.

        Found by the hash and compared in constant time: how long it takes tells nothing about any key.
        """
        found = self._by_key.get(key_hash)
        if found is None or not hmac.compare_digest(bytes.fromhex(found.body.key_hash), key_hash):
            return None
        return found
