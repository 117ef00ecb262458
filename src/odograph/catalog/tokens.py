"""API tokens: made, shown once, limited, revoked with those that they made."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from odograph.catalog import fields as check
from odograph.catalog.changes import Catalog, Plan, delete, found, put, written
from odograph.catalog.orgs import get as get_org
from odograph.catalog.secrets import hex_digest, hint, new_token
from odograph.errors import invalid, unauthenticated
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.access import READ_SCOPES, SCOPES_BY_LABEL, Scope
from odograph.model.catalog import Token
from odograph.model.ids import OrgId, RecordId


async def create(
    catalog: Catalog,
    org: OrgId,
    name: str,
    *,
    scopes: Sequence[str] | None = None,
    tag_ids: Sequence[str] = (),
    expires_ms: int = 0,
    maker: RecordId | None = None,
) -> tuple[Entity[Token], str]:
    """A new token and its text, which is shown this once and kept as a hash.

    `scopes` are the vendor's labels; None gives every scope that only reads. `tag_ids` limit what it sees;
    `expires_ms` 0 is never; `maker` is the token that makes it, None for the operator. NOT_FOUND for the org,
    UNAUTHENTICATED where the maker was revoked meanwhile, or INVALID naming the field.
    """
    secret = new_token()

    def plan() -> Plan[tuple[Entity[Token], str]]:
        get_org(catalog.directory, org)
        if maker is not None and catalog.directory.tokens.find(org, maker) is None:
            raise unauthenticated("Invalid API token: it was revoked.")
        now_ms = catalog.clock.now_ms()
        if expires_ms and expires_ms <= now_ms:
            raise invalid("expiresAtTime: lies in the past; give a later time, or none for a token that stays.")
        body = Token(
            name=check.name("name", name),
            created_ms=now_ms,
            secret_hash=hex_digest(secret),
            hint=hint(secret),
            scopes=tuple(sorted(scope.label for scope in parse_scopes(scopes))),
            tag_ids=check.tag_ids(catalog.directory, org, tag_ids),
            expires_ms=expires_ms,
            maker_id=maker or 0,
        )
        return Plan([put(None, org, body)], lambda records: (written(records[0], body), secret))

    return await catalog.change(plan)


async def revoke(catalog: Catalog, org: OrgId, token: RecordId) -> list[RecordId]:
    """End a token at once, and with it every one that it made, and theirs: whoever stole it may have made some.

    The ids of all, its own first. NOT_FOUND where the org has none of this id.
    """

    def plan() -> Plan[list[RecordId]]:
        ended = [get(catalog.directory, org, token)]
        gone = {token}
        for one in catalog.directory.tokens.list_(org):  # by id: a maker comes before what it made
            if one.body.maker_id in gone:
                gone.add(one.id)
                ended.append(one)
        return Plan([delete(one) for one in ended], lambda _: [one.id for one in ended])

    return await catalog.change(plan)


def get(directory: Directory, org: OrgId, token: RecordId) -> Entity[Token]:
    """A token by its id, or NOT_FOUND."""
    return found(directory.tokens.find(org, token), "token")


def parse_scopes(labels: Sequence[str] | None) -> frozenset[Scope]:
    """Scopes by the vendor's labels, in any case; None is all that only read.

    INVALID for an empty list or an unknown label.
    """
    if labels is None:
        return READ_SCOPES
    if not labels:
        raise invalid(f"scopes: none given; allowed: {', '.join(SCOPES_BY_LABEL)}.")
    return frozenset(map(_parse_scope, labels))


def _parse_scope(label: str) -> Scope:
    by_lower = {known.lower(): scope for known, scope in SCOPES_BY_LABEL.items()}
    lower = " ".join(label.lower().split())
    if lower in by_lower:
        return by_lower[lower]
    near = difflib.get_close_matches(lower, by_lower, n=1)
    meant = f" Did you mean {by_lower[near[0]].label!r}?" if near else ""
    raise invalid(f"scopes: there is no scope {label[:60]!r}.{meant} Allowed: {', '.join(SCOPES_BY_LABEL)}.")
