"""Who asks: a bearer token, or the operator at the machine itself."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from odograph.api.context import Context
from odograph.api.resources.base import Endpoint
from odograph.catalog import orgs
from odograph.errors import forbidden, invalid, not_found, unauthenticated
from odograph.live.directory import Directory
from odograph.model.access import Principal, Scope
from odograph.model.ids import OrgId
from odograph.store.base import INSTALL

OPERATOR: Final = "odograph.operator"
"""Key of the ASGI scope that the control socket's server sets to True; no header can."""
ORG_HEADER: Final = b"x-odograph-org"
_LONGEST_TOKEN: Final = 512  # nothing longer was made here: not worth hashing

Headers = Iterable[tuple[bytes, bytes]]


def authenticate(headers: Headers, is_operator: bool, context: Context) -> Principal:
    """The principal. UNAUTHENTICATED without a living token."""
    if is_operator:
        return _operator(_header(headers, ORG_HEADER), context.live.directory)
    scheme, _, token = _header(headers, b"authorization").partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not 0 < len(token) <= _LONGEST_TOKEN:
        raise unauthenticated("Missing API token: send the header 'Authorization: Bearer <token>'.")
    principal = context.live.directory.tokens.principal(sha256(token).digest(), context.clock.now_ms())
    if principal is None:
        raise unauthenticated("Invalid API token: it is unknown, revoked or expired.")
    return principal


def authorize(principal: Principal, endpoint: Endpoint) -> None:
    """Raise FORBIDDEN where this principal may not call this endpoint."""
    if principal.is_operator:
        if principal.org == INSTALL and not endpoint.operator_only:
            raise invalid("Say which organisation: there are several, or none yet (header X-Odograph-Org).")
        return
    if endpoint.operator_only:
        raise forbidden("Only the operator may do this, with the odograph command on the server's machine.")
    if endpoint.scope is not None and endpoint.scope not in principal.scopes:
        raise forbidden(f"This API token lacks the scope '{endpoint.scope.label}' ({endpoint.scope.category}).")


def _header(headers: Headers, name: bytes) -> bytes:
    return next((value for key, value in headers if key == name), b"")


def _operator(header: bytes, directory: Directory) -> Principal:
    """For the org of the header, by id or name; without one, for the only org there is."""
    text = header.decode("utf-8", "replace").strip()
    if text:
        chosen = orgs.find(directory, text)
        if chosen is None:
            raise not_found(f"There is no organisation {text[:80]!r}.")
    else:
        every = directory.orgs.list_(INSTALL)
        chosen = every[0] if len(every) == 1 else None
    org = INSTALL if chosen is None else OrgId(chosen.id)
    return Principal(org=org, scopes=frozenset(Scope), is_operator=True)
