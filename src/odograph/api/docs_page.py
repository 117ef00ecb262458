"""The browsable reference: the OpenAPI document as one page of plain HTML, without a script."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from html import escape
from typing import Any, Final

_STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--link:light-dark(#0a58ca,#8ab4f8)}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}
a{color:var(--link)}
code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}
details{border:1px solid var(--line);border-radius:.4rem;margin:.5rem 0;padding:.4rem .8rem}
summary{cursor:pointer}
summary b{display:inline-block;min-width:4.5rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
th,td{text-align:left;vertical-align:top;border-top:1px solid var(--line);padding:.25rem .5rem .25rem 0}
:target{background:var(--soft)}
"""
_STYLE_HASH: Final = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Schema = Mapping[str, Any]


def render_docs(document: Mapping[str, Any], guides: Sequence[str], attribution: str) -> str:
    """The page. `guides` are names under /docs/; `attribution` stands at the foot."""
    info = document["info"]
    body = [
        f"<h1>{escape(info['title'])} API</h1>",
        f"<p>{escape(info['description'])}</p>",
        "<p>Send <code>Authorization: Bearer &lt;token&gt;</code> with every request. "
        '<a href="/openapi.json">OpenAPI 3.1</a> · <a href="/llms.txt">Index</a></p>',
    ]
    if guides:
        links = (f'<li><a href="/docs/{escape(name)}">{escape(name)}</a></li>' for name in guides)
        body.append(f"<h2>Guides</h2><ul>{''.join(links)}</ul>")
    for tag in document["tags"]:
        body.append(f"<h2>{escape(tag['name'])}</h2>")
        body += [_operation(path, method, one) for path, method, one in _operations(document, tag["name"])]
    body.append("<h2>Objects</h2>")
    body += [_object(name, schema) for name, schema in document["components"]["schemas"].items()]
    body.append(f"<p>Place names: {escape(attribution)}</p>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>"
    )


def _operations(document: Mapping[str, Any], tag: str) -> Iterable[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield path, method, operation


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    parts = [f"<p>{escape(operation['description'])}</p>"]
    if operation["parameters"]:
        rows = (
            (
                one["name"],
                _type(one["schema"]),
                "required" if one["required"] else "",
                one.get("description", one["in"]),
            )
            for one in operation["parameters"]
        )
        parts.append(_table(rows))
    body = operation.get("requestBody")
    if body:
        parts.append(f"<p>Takes {_content(body['content'])}.</p>")
    answers = (
        f"{status} {_content(answer['content']) if 'content' in answer else ''}"
        for status, answer in operation["responses"].items()
        if "$ref" not in answer
    )
    parts.append(f"<p>Answers {', '.join(answers)}.</p>")
    anchor = escape(operation["operationId"])
    return (
        f'<details id="{anchor}"><summary><b>{method.upper()}</b> <code>{escape(path)}</code> '
        f"{escape(operation['summary'])}</summary>{''.join(parts)}</details>"
    )


def _content(content: Mapping[str, Any]) -> str:
    return " or ".join(
        _type(one["schema"]) if kind == "application/json" else f"<code>{escape(kind)}</code>"
        for kind, one in content.items()
    )


def _object(name: str, schema: Schema) -> str:
    required = schema.get("required", ())
    rows = (
        (field, _type(one), "required" if field in required else "", one.get("description", ""))
        for field, one in schema.get("properties", {}).items()
    )
    return (
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code> '
        f"{escape(schema.get('description', ''))}</summary>{_table(rows)}</details>"
    )


def _table(rows: Iterable[tuple[str, str, str, str]]) -> str:
    """Each row: name, type (already HTML), whether required, meaning."""
    lines = (
        f"<tr><td><code>{escape(name)}</code></td><td>{kind}</td><td>{need}</td><td>{escape(text)}</td></tr>"
        for name, kind, need, text in rows
    )
    return f"<table>{''.join(lines)}</table>"


def _type(schema: Schema) -> str:
    """A schema in a few words of HTML."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and "additionalProperties" in schema:
        return "object of strings"
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    if "enum" in schema and len(schema["enum"]) <= 12:
        return " or ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    return escape(str(schema.get("format") or schema.get("type", "anything"))) + _bounds(schema)


def _bounds(schema: Schema) -> str:
    low = schema.get("minimum", schema.get("minLength"))
    high = schema.get("maximum", schema.get("maxLength"))
    if low is None and high is None:
        return ""
    unit = " characters" if schema.get("type") == "string" else ""
    return f" ({'' if low is None else low}..{'' if high is None else high}{unit})"
