"""`/odograph/tokens`: API tokens, made by tokens.

None can make one that may do or see more than itself or lasts longer, and what it made ends with it. None can
revoke one that may do or see more than itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.listing import started_after, take_page
from odograph.api.params import AFTER, LIMIT, MAX_PAGE, parse_record_id, read_new, read_time
from odograph.api.resources.base import Answer, Call, Endpoint, Limit, Pagination
from odograph.api.resources.vehicles import TinyTag, tiny_tags
from odograph.api.wire import Time, render_time, to_json
from odograph.catalog import tokens
from odograph.catalog.fields import tag_ids
from odograph.errors import forbidden, not_found
from odograph.live.directory import principal_of
from odograph.live.entity import Entity
from odograph.model.access import READ_SCOPES, Principal, Scope
from odograph.model.catalog import Token
from odograph.model.ids import RecordId

KIND: Final = "tokens"


class TokenAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """An API token; `hint` is its last four characters. Without tags it sees the whole organisation.

    `madeByTokenId` is the token that made it, and takes it along when it is revoked.
    """

    id: str
    name: str
    hint: str
    scopes: list[str]
    tags: list[TinyTag]
    created_at_time: Time
    expires_at_time: Time | UnsetType = UNSET
    made_by_token_id: str | UnsetType = UNSET


class TokenWithText(TokenAnswer, kw_only=True):
    """A new API token; its text is shown this once."""

    token: str


class Tokens(msgspec.Struct, kw_only=True):
    """A page of tokens, by id."""

    data: list[TokenAnswer]
    pagination: Pagination


class OneToken(msgspec.Struct, kw_only=True):
    """One new token."""

    data: TokenWithText


class Revoked(msgspec.Struct, kw_only=True):
    """The tokens that ended, by id: the one that was meant, those that it had made, and theirs."""

    ids: list[str]


class RevokedTokens(msgspec.Struct, kw_only=True):
    """What a revocation ended."""

    data: Revoked


class NewToken(msgspec.Struct, rename="camel", kw_only=True):
    """A new token: with every scope that only reads, where none are given.

    It lasts no longer than the token that makes it, and as long where nothing else is asked for.
    """

    name: Annotated[str, msgspec.Meta(max_length=255)]
    scopes: list[str] | UnsetType = UNSET
    tag_ids: list[str] | UnsetType = UNSET
    expires_at_time: str | UnsetType = UNSET


async def list_tokens(call: Call) -> Answer:
    """A page of tokens."""
    size = call.query.integer(LIMIT, MAX_PAGE)
    some = call.context.live.directory.tokens.list_(call.principal.org, started_after(call, KIND))
    rest = (one for one in some if _sees(call.principal, one))
    page, pagination = await take_page(call, KIND, size, rest, lambda one: one.id)
    data = [_shown(call, one) for one in page]
    return Answer(to_json(Tokens(data=data, pagination=pagination)))


async def create_token(call: Call) -> Answer:
    """A new token."""
    body = read_new(call.body, NewToken)
    token, text = await tokens.create(
        call.context.catalog,
        call.principal.org,
        body.name,
        scopes=_scopes(call.principal, body),
        tag_ids=_tag_ids(call, body),
        expires_ms=_expiry(call, body),
        maker=call.principal.token,
    )
    shown = msgspec.structs.asdict(_shown(call, token))
    return Answer(to_json(OneToken(data=TokenWithText(token=text, **shown))))


async def revoke_token(call: Call) -> Answer:
    """End a token at once, with those that it made."""
    record_id = parse_record_id(call.path["id"])
    token = None if record_id is None else call.context.live.directory.tokens.find(call.principal.org, record_id)
    if token is None or not _sees(call.principal, token):
        raise not_found(f"There is no token {call.path['id'][:80]!r}.")
    beyond = _labels(principal_of(token).scopes - call.principal.scopes)
    if beyond:
        raise forbidden(f"This API token lacks {beyond}, and can't revoke one that may do more than itself.")
    ended = await tokens.revoke(call.context.catalog, call.principal.org, token.id)
    return Answer(to_json(RevokedTokens(data=Revoked(ids=[str(one) for one in ended]))))


def _sees(principal: Principal, token: Entity[Token]) -> bool:
    """A token that is limited to tags knows of tokens within its own limits alone."""
    if principal.tag_ids is None:
        return True
    return bool(token.body.tag_ids) and principal.tag_ids.issuperset(token.body.tag_ids)


def _scopes(principal: Principal, body: NewToken) -> list[str]:
    if isinstance(body.scopes, UnsetType):
        return [scope.label for scope in READ_SCOPES & principal.scopes]
    asked = tokens.parse_scopes(body.scopes)
    beyond = _labels(asked - principal.scopes)
    if beyond:
        raise forbidden(f"Field 'scopes': this API token lacks {beyond}, and can't give what it lacks.")
    return [scope.label for scope in asked]


def _labels(scopes: frozenset[Scope]) -> str:
    return ", ".join(sorted(scope.label for scope in scopes))


def _tag_ids(call: Call, body: NewToken) -> list[str]:
    asked = [] if isinstance(body.tag_ids, UnsetType) else body.tag_ids
    mine = call.principal.tag_ids
    if mine is None:
        return asked
    if not asked:
        return [str(number) for number in mine]
    return [str(number) for number in tag_ids(call.context.live.directory, call.principal.org, asked, limit=mine)]


def _expiry(call: Call, body: NewToken) -> int:
    last_ms = _last_ms(call)
    if isinstance(body.expires_at_time, UnsetType) or not body.expires_at_time:
        return last_ms
    asked_ms = read_time("expiresAtTime", body.expires_at_time)
    if 0 < last_ms < asked_ms:
        raise forbidden(
            f"Field 'expiresAtTime': this API token ends at {render_time(last_ms)}, and can't make one that lasts "
            "longer."
        )
    return asked_ms


def _last_ms(call: Call) -> int:
    """When whoever asks ends, 0 for never."""
    org, token = call.principal.org, call.principal.token
    mine = None if token is None else call.context.live.directory.tokens.find(org, token)
    return 0 if mine is None else mine.body.expires_ms


def _shown(call: Call, token: Entity[Token]) -> TokenAnswer:
    body = token.body
    maker = call.context.live.directory.tokens.find(token.org, RecordId(body.maker_id))
    return TokenAnswer(
        id=str(token.id),
        name=body.name,
        hint=body.hint,
        scopes=list(body.scopes),
        tags=tiny_tags(call, body.tag_ids),
        created_at_time=render_time(body.created_ms),
        expires_at_time=render_time(body.expires_ms) if body.expires_ms else UNSET,
        made_by_token_id=str(maker.id) if maker is not None and _sees(call.principal, maker) else UNSET,
    )


class TokensResource:
    """List, create, revoke."""

    name = "API tokens"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        path, write = "/odograph/tokens", Scope.WRITE_TOKENS
        return (
            Endpoint(
                "GET", path, Scope.READ_TOKENS, list_tokens, "List API tokens",
                params=(LIMIT, AFTER), answers=Tokens, is_extension=True,
            ),
            Endpoint(
                "POST", path, write, create_token, "Make an API token",
                takes=NewToken, answers=OneToken, limit=Limit(100, 60), is_extension=True,
            ),
            Endpoint(
                "DELETE", f"{path}/{{id}}", write, revoke_token, "Revoke an API token, with those that it made",
                answers=RevokedTokens, is_extension=True,
            ),
        )  # fmt: skip


RESOURCE = TokensResource()
