"""The OpenAPI 3.1 document, made from the endpoints themselves so that it can't say anything else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import msgspec

from odograph.api.limits import PER_ORG, PER_TOKEN
from odograph.api.problems import ErrorBody
from odograph.api.resources.base import Endpoint, Param, Resource

EXTENSIONS: Final = "Odograph extensions"
DESCRIPTION: Final = (
    "Compatible with the fleet-location part of Samsara's REST API. "
    f"What goes beyond it stands under '{EXTENSIONS}'. "
    f"An API token may make {PER_TOKEN.calls} requests a second and all tokens of an organisation together "
    f"{PER_ORG.calls}; where an endpoint allows fewer it says so. "
    "Not described here are /ingest/{protocol}, to which devices send with keys of their own (/docs/protocols.md), "
    "and what needs no token: /healthz, /readyz and, from the server's own machine, /metrics (/docs/operations.md)."
)
ERRORS: Final[dict[int, tuple[str, str]]] = {
    400: ("Invalid", "Something in the request is wrong; the message names it."),
    401: ("Unauthenticated", "The API token is missing, unknown, revoked or expired."),
    403: ("Forbidden", "The API token lacks the scope, or sees too little."),
    404: ("NotFound", "There is no such thing in this organisation."),
    405: ("WrongMethod", "The path is not served with this method."),
    408: ("TooSlow", "The request body did not arrive in time."),
    413: ("TooLarge", "The request body is too large."),
    414: ("TooManyIds", "More than 2,000 ids in the filters."),
    429: ("RateLimited", "Too many requests: wait as Retry-After says."),
    500: ("InternalError", "A fault of the server; its log has more under this request id."),
    503: ("Unavailable", "Not now: nothing was changed. Try again as Retry-After says."),
}
_REF: Final = "#/components/schemas/{name}"
_KINDS: Final[dict[str, dict[str, Any]]] = {
    "string": {"type": "string"},
    "csv": {"type": "array", "items": {"type": "string"}},
    "time": {"type": "string", "format": "date-time"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
}


def document(resources: Sequence[Resource], public_url: str) -> dict[str, Any]:
    """The whole document, as plain dicts and lists."""
    endpoints = [endpoint for resource in resources for endpoint in resource.endpoints()]
    schemas, components = _schemas(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for resource in resources:
        for endpoint in resource.endpoints():
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(resource, endpoint, schemas)
    names = [resource.name for resource in resources if not all(one.is_extension for one in resource.endpoints())]
    tags = [{"name": name} for name in names]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Odograph",
            "version": version("odograph"),
            "summary": "Where every vehicle is and was.",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url or "/"}],
        "tags": [*tags, {"name": EXTENSIONS, "description": "Paths and fields that the vendor does not have."}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token, made with `odograph token create`.",
                }
            },
            "schemas": components,
            "responses": {name: _error_response(status, text) for status, (name, text) in ERRORS.items()},
        },
    }


def _schemas(endpoints: Iterable[Endpoint]) -> tuple[dict[Any, dict[str, Any]], dict[str, Any]]:
    """The schema of each body type, and the components that they refer to."""
    types = {one: None for endpoint in endpoints for one in (endpoint.takes, endpoint.answers) if one is not None}
    found, components = msgspec.json.schema_components([*types, ErrorBody], ref_template=_REF)
    return dict(zip(types, found, strict=False)), components


def _operation(resource: Resource, endpoint: Endpoint, schemas: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(endpoint),
        "tags": [EXTENSIONS if endpoint.is_extension else resource.name],
        "summary": endpoint.summary,
        "description": describe(endpoint),
        "security": [{"bearer": [endpoint.scope.label] if endpoint.scope else []}],
        "parameters": [*_path_parameters(endpoint.path), *(_parameter(param) for param in endpoint.params)],
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.takes is not None or endpoint.consumes != "application/json":
        schema = schemas[endpoint.takes] if endpoint.takes is not None else {"type": "string"}
        operation["requestBody"] = {"required": True, "content": {endpoint.consumes: {"schema": schema}}}
    return operation


def describe(endpoint: Endpoint) -> str:
    """Who may call it and how often, in words, and what else is to be known of it."""
    return f"{_who_and_how_often(endpoint)} {endpoint.note}".rstrip()


def _who_and_how_often(endpoint: Endpoint) -> str:
    if endpoint.operator_only:
        who = "Only for the operator, on the server's own control socket."
    elif endpoint.scope is None:
        who = "Any API token."
    else:
        who = f"Needs the scope '{endpoint.scope.label}' ({endpoint.scope.category})."
    limit = endpoint.limit
    if limit is None:
        return who
    period = "a second" if limit.seconds == 1 else "a minute" if limit.seconds == 60 else f"in {limit.seconds} s"
    return f"{who} At most {limit.calls} requests {period} for an organisation."


def _operation_id(endpoint: Endpoint) -> str:
    words = re.findall(r"\w+", f"{endpoint.method.lower()} {endpoint.path}")
    return "_".join(words)


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _parameter(param: Param) -> dict[str, Any]:
    schema = dict(_KINDS[param.kind])
    if param.minimum is not None:
        schema["minimum"] = param.minimum
    if param.maximum is not None:
        schema["maximum"] = param.maximum
    if param.values and param.kind == "csv":
        schema["items"] = {"type": "string", "enum": list(param.values)}
    elif param.values:
        schema["enum"] = list(param.values)
    if param.most is not None:
        schema["maxItems"] = param.most
    parameter = {
        "name": param.name,
        "in": "query",
        "required": param.required,
        "description": param.help,
        "schema": schema,
    }
    if param.kind == "csv":
        parameter |= {"style": "form", "explode": False}
    return parameter


def _responses(endpoint: Endpoint, schemas: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    if endpoint.produces:
        content = {
            kind: {"schema": {"type": "object" if kind.endswith("json") else "string"}}
            for kind in endpoint.produces
        }
        responses["200"] = {"description": endpoint.summary, "headers": _REQUEST_ID, "content": content}
    elif endpoint.answers is not None:
        content = {"application/json": {"schema": schemas[endpoint.answers]}}
        responses["200"] = {"description": endpoint.summary, "headers": _REQUEST_ID, "content": content}
    else:
        responses[str(endpoint.done)] = {"description": "Done.", "headers": _REQUEST_ID}
    absent = set()
    if endpoint.method in {"GET", "DELETE"} and not endpoint.reads_body:
        absent |= {408, 413}
    if not any(param.kind == "csv" for param in endpoint.params):
        absent.add(414)
    for status, (name, _) in ERRORS.items():
        if status not in absent:
            responses[str(status)] = {"$ref": f"#/components/responses/{name}"}
    return responses


_REQUEST_ID: Final = {"X-Request-Id": {"description": "Stands in the server's log.", "schema": {"type": "string"}}}


def _error_response(status: int, text: str) -> dict[str, Any]:
    headers: dict[str, Any] = dict(_REQUEST_ID)
    if status in {429, 503}:
        headers["Retry-After"] = {"description": "Whole seconds.", "schema": {"type": "integer", "minimum": 1}}
    schema = {"$ref": _REF.format(name=ErrorBody.__name__)}
    return {"description": text, "headers": headers, "content": {"application/json": {"schema": schema}}}
