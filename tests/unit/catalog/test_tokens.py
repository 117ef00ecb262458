"""Tokens: shown once, limited by scope, tag and time, revoked at once."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from odograph.catalog import orgs, tags, tokens
from odograph.catalog.secrets import digest
from odograph.errors import Kind, Refusal
from odograph.model.access import READ_SCOPES, SCOPES_BY_LABEL, Scope
from odograph.model.catalog import Token
from odograph.model.ids import OrgId, RecordId, TagId


async def test_a_token_opens_the_door_until_it_is_revoked(catalog, org):
    token, secret = await tokens.create(catalog, org, "integration")
    now_ms = catalog.clock.now_ms()
    principal = catalog.directory.tokens.principal(digest(secret), now_ms)
    assert (principal.org, principal.token, principal.scopes) == (org, token.id, READ_SCOPES)
    assert secret.encode() not in msgspec.json.encode(token.body)
    assert token.body.hint == secret[-4:]
    await tokens.revoke(catalog, org, token.id)
    assert catalog.directory.tokens.principal(digest(secret), now_ms) is None
    with pytest.raises(Refusal, match="no such token"):
        await tokens.revoke(catalog, org, token.id)


async def test_an_expired_token_opens_nothing(catalog, org):
    soon_ms = catalog.clock.now_ms() + 1000
    _, secret = await tokens.create(catalog, org, "guest", expires_ms=soon_ms)
    assert catalog.directory.tokens.principal(digest(secret), soon_ms - 1) is not None
    assert catalog.directory.tokens.principal(digest(secret), soon_ms) is None
    with pytest.raises(Refusal, match=r"^expiresAtTime: lies in the past"):
        await tokens.create(catalog, org, "late", expires_ms=catalog.clock.now_ms())


async def test_scopes_go_by_the_vendors_labels_in_any_case(catalog, org):
    token, _ = await tokens.create(catalog, org, "t", scopes=["read vehicles", "Write  Tags"])
    assert token.body.scopes == ("Read Vehicles", "Write Tags")
    assert tokens.parse_scopes(list(SCOPES_BY_LABEL)) == frozenset(Scope)
    with pytest.raises(Refusal, match=r"Did you mean 'Read Vehicles'\? Allowed: Read Vehicle Statistics, "):
        await tokens.create(catalog, org, "t", scopes=["Read Vehicle"])
    with pytest.raises(Refusal, match=r"^scopes: none given"):
        await tokens.create(catalog, org, "t", scopes=[])


async def test_a_token_limited_to_a_tag_never_becomes_wider(catalog, org):
    one = await tags.create(catalog, org, tags.TagFields(name="One"))
    two = await tags.create(catalog, org, tags.TagFields(name="Two"))
    both = [str(one.body.number), str(two.body.number)]
    _, wide = await tokens.create(catalog, org, "both", tag_ids=both)
    _, narrow = await tokens.create(catalog, org, "one", tag_ids=both[:1])
    await tags.remove(catalog, org, TagId(one.body.number))
    assert catalog.directory.tokens.principal(digest(wide), 1).tag_ids == {two.body.number}
    assert catalog.directory.tokens.principal(digest(narrow), 1) is None


async def test_a_token_takes_along_what_it_made_and_what_that_made(catalog, org):
    async def make(maker=None):
        return (await tokens.create(catalog, org, "t", maker=maker))[0].id

    leaked, other = await make(), await make()
    child, sibling = await make(leaked), await make(leaked)
    kept, grandchild = await make(other), await make(child)
    assert await tokens.revoke(catalog, org, leaked) == [leaked, child, sibling, grandchild]
    assert [one.id for one in catalog.directory.tokens.list_(org)] == [other, kept]
    assert await tokens.revoke(catalog, org, kept) == [kept]


async def test_who_is_revoked_while_it_makes_a_token_makes_none(catalog, org):
    leaked, _ = await tokens.create(catalog, org, "leaked")
    outcomes = await asyncio.gather(
        tokens.revoke(catalog, org, leaked.id),
        tokens.create(catalog, org, "late", maker=leaked.id),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], Refusal)
    assert outcomes[1].kind is Kind.UNAUTHENTICATED
    assert catalog.directory.tokens.list_(org) == []


async def test_a_token_that_was_kept_without_a_maker_stands_alone(catalog, org):
    kept = b'{"name":"old","created_ms":1,"secret_hash":"00","hint":"abcd","scopes":["Read Tags"]}'
    body = msgspec.json.decode(kept, type=Token)
    assert body.maker_id == 0
    first, _ = await tokens.create(catalog, org, "first")
    await tokens.create(catalog, org, "second")
    await tokens.revoke(catalog, org, first.id)
    assert [one.body.name for one in catalog.directory.tokens.list_(org)] == ["second"]


async def test_a_token_of_another_org_is_not_found(catalog, org):
    other = OrgId((await orgs.create(catalog, "Other")).id)
    token, _ = await tokens.create(catalog, org, "mine")
    with pytest.raises(Refusal) as refused:
        await tokens.revoke(catalog, other, token.id)
    assert refused.value.kind is Kind.NOT_FOUND
    with pytest.raises(Refusal, match="no such org"):
        await tokens.create(catalog, OrgId(RecordId(999)), "nobody's")
