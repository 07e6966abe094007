"""Retrieve Capabilities: what is served, told to machines (PS3.18 8.9, annexes G and H).

Drawn from the registry that the routes are made of. A description is made as JSON (annex G); the
XML of WADL is the same, written out.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from xml.sax.saxutils import quoteattr

import orjson
from starlette.requests import Request
from starlette.responses import Response

from isocenter.dicomweb import addresses
from isocenter.dicomweb.negotiation import Offer, choose
from isocenter.dicomweb.resources import ANY_METHOD, Method, Parameter, Resource
from isocenter.web import conditional
from isocenter.web.conditional import Validator

WADL: Final = "application/vnd.sun.wadl+xml"
JSON: Final = "application/json"
NAMESPACE: Final = "http://wadl.dev.java.net/2009/02"

_TEMPLATE: Final = re.compile(r"\{(\w+)(:\w+)?\}")
_STATUSES: Final = {
    200: "the description",
    304: "it is as If-None-Match says",
    406: "neither is accepted",
}

Element = dict[str, Any]


def service() -> Resource:
    """Return the service's root as a resource; its OPTIONS comes by itself, as everywhere."""
    described = Method(
        transaction="Retrieve Capabilities",
        source="PS3.18 8.9",
        endpoint=_describe_all,
        statuses=_STATUSES,
        gives=(WADL, JSON),
    )
    # The standard has OPTIONS only; GET is for who looks at it with a browser.
    return Resource(name="Service", path="/", methods={"GET": described, "OPTIONS": described})


async def _describe_all(request: Request) -> Response:
    return describe(request, request.app.state.resources[0])


def describe(request: Request, target: Resource) -> Response:
    """Describe ``target`` and what lies below it. Raises: HTTPException 400, 406."""
    chosen = choose(request, (Offer(WADL), Offer(JSON)))
    listed = [each for each in request.app.state.resources if _is_within(each, target)]
    content = description(addresses.root(request), target, listed)
    body = orjson.dumps(content) if chosen.media_type == JSON else written(content)
    validator = Validator(conditional.etag(body))
    headers = {**validator.headers, "allow": ", ".join(target.allowed), "vary": "Accept"}
    if conditional.check(request, validator) is not None:
        return conditional.not_modified(validator, headers)
    return Response(body, media_type=chosen.media_type, headers=headers)


def _is_within(resource: Resource, target: Resource) -> bool:
    below = target.path.rstrip("/") + "/"
    return resource.path == target.path or resource.path.startswith(below)


def description(base: str, target: Resource, listed: Iterable[Resource]) -> Element:
    """Return the description of ``target`` with those of ``listed`` that lie below it."""
    by_path = {each.path: each for each in listed if each.methods and each.path != "/"}
    tops = [part for part in target.path.split("/") if part]
    children = list(_tree(by_path, target.path)) if not tops else [_resource(by_path, target)]
    return {
        "application": {
            "@xmlns": NAMESPACE,
            "@xmlns:xs": "http://www.w3.org/2001/XMLSchema",
            "resources": {"@base": f"{base}/", "resource": children},
        }
    }


def _resource(by_path: dict[str, Resource], target: Resource) -> Element:
    return _element(by_path, target.path, target.path.strip("/"))


def _tree(by_path: dict[str, Resource], path: str) -> Iterator[Element]:
    """What lies directly below ``path``."""
    lead = path.rstrip("/") + "/"
    below = (each[len(lead) :].split("/")[0] for each in by_path if each.startswith(lead))
    for segment in dict.fromkeys(below):
        if segment:
            yield _element(by_path, lead + segment, segment)


def _element(by_path: dict[str, Resource], path: str, shown: str) -> Element:
    element: Element = {"@path": _TEMPLATE.sub(r"{\1}", shown)}
    names = _TEMPLATE.findall(shown)
    if names:
        element["param"] = [
            {"@name": name, "@style": "template", "@required": "true"} for name, _ in names
        ]
    if (found := by_path.get(path)) is not None:
        element["method"] = [_method(found, name, method) for name, method in found.methods.items()]
    if children := list(_tree(by_path, path)):
        element["resource"] = children
    return element


def _method(resource: Resource, name: str, method: Method) -> Element:
    identifier = method.transaction[:1].lower() + method.transaction[1:].replace(" ", "")
    params = [_accept(method.gives)] if method.gives else []
    params += map(_param, method.parameters)
    request: Element = {"param": params} if params else {}
    if method.takes:
        request["representation"] = [{"@mediaType": each} for each in method.takes]
    good = sorted(code for code in method.statuses if code < 300)
    bad = sorted({code for code in (*method.statuses, *ANY_METHOD) if code >= 300})
    answers: list[Element] = [{"@status": " ".join(map(str, good))}] if good else []
    if good and method.gives:
        answers[0]["representation"] = [{"@mediaType": each} for each in method.gives]
    answers.append({"@status": " ".join(map(str, bad))})
    place = re.sub(r"\W+", "-", _TEMPLATE.sub(r"\1", resource.path)).strip("-")
    return {
        "@id": f"{identifier}-{name.lower()}-{place}",
        "@name": name,
        "doc": [{"@xml:lang": "en", "value": f"{method.transaction} ({method.source})"}],
        "request": request,
        "response": answers,
    }


def _accept(gives: Sequence[str]) -> Element:
    return {
        "@name": "Accept",
        "@style": "header",
        "@default": gives[0],
        "option": [{"@value": each} for each in gives],
    }


def _param(parameter: Parameter) -> Element:
    element: Element = {"@name": parameter.name, "@style": "query"}
    if parameter.is_repeatable:
        element["@repeating"] = "true"
    if parameter.options:
        element["option"] = [{"@value": each} for each in parameter.options]
    element["doc"] = [{"@xml:lang": "en", "value": parameter.source}]
    return element


def written(description: Element) -> bytes:
    """Write a description as the XML that WADL is."""
    parts = ['<?xml version="1.0" encoding="UTF-8"?>']
    for name, element in description.items():
        parts += _written(name, element)
    return "".join(parts).encode()


def _written(name: str, element: Element) -> Iterator[str]:
    attributes = "".join(
        f" {key[1:]}={quoteattr(value)}" for key, value in element.items() if key.startswith("@")
    )
    yield f"<{name}{attributes}>"
    for key, value in element.items():
        if key == "value":
            yield _escaped(value)
        elif not key.startswith("@"):
            for child in value if isinstance(value, list) else [value]:
                yield from _written(key, child)
    yield f"</{name}>"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
