"""One setting: the kinds of values there are, reading them from a file or from text, and what is
said of them."""

import ast
import inspect
import itertools
import re
import textwrap
import types
import typing
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from isocenter.address import Address

HIGHEST_PORT: Final = 65535
_KINDS: Final[Mapping[type, str]] = types.MappingProxyType(
    {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
)


@dataclass(frozen=True, slots=True)
class Span:
    """The values a number may have, both ends included."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


Port = Annotated[int, Span(0, HIGHEST_PORT)]
Seconds = Annotated[float, Span(0.01, 7 * 24 * 3600)]
Count = Annotated[int, Span(1, 1_000_000)]


class Text(str):
    """A value from the environment: text that may stand for a number or a truth value."""

    __slots__ = ()


def read(value: object, hint: Any) -> Any:
    """Return ``value`` as what ``hint`` asks for. Raises: ValueError."""
    span: Span | None = None
    if typing.get_origin(hint) is Annotated:
        hint, span = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise ValueError(f"{value!r} is none of {', '.join(map(repr, choices))}")
        return value
    if hint is Path:
        if not isinstance(value, str | Path) or not str(value):
            raise ValueError(f"expected a path, not {value!r}")
        return Path(value).expanduser()
    converted = _plain(value, hint)
    if span is not None and not span.low <= converted <= span.high:
        raise ValueError(f"{value} is outside {span}")
    return converted


def _plain(value: object, hint: Any) -> Any:
    if hint == tuple[str, ...]:
        return _texts(value)
    if isinstance(value, Text) and hint is not str:
        return _from_text(value, hint)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise ValueError(f"expected {_KINDS.get(hint, hint.__name__)}, not {value!r}")


def _texts(value: object) -> tuple[str, ...]:
    """Several texts; from the environment with commas between them. Raises: ValueError."""
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(each, str) for each in listed):
        raise ValueError(f"expected a list of texts, not {value!r}")
    return tuple(stripped for each in listed if (stripped := str(each).strip()))


def _from_text(text: str, hint: type) -> Any:
    if hint is bool:
        if text.lower() not in {"true", "false", "1", "0"}:
            raise ValueError(f"expected true or false, not {str(text)!r}")
        return text.lower() in {"true", "1"}
    try:
        return hint(text)
    except ValueError:
        raise ValueError(f"expected a number, not {str(text)!r}") from None


_HEADER = re.compile(r"^\s*\[{1,2}\s*([A-Za-z0-9_.\- ]+?)\s*\]{1,2}")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\-]+)\s*=")


def lines_of(text: str) -> dict[tuple[str, ...], int]:
    """Where each setting stands; tomllib does not tell."""
    lines: dict[tuple[str, ...], int] = {}
    section: tuple[str, ...] = ()
    entries = Counter[tuple[str, ...]]()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            section = tuple(part.strip() for part in header[1].split("."))
            lines.setdefault(section, number)
            if line.lstrip().startswith("[["):
                lines[(*section, str(entries[section]))] = number
                entries[section] += 1
        elif key := _KEY.match(line):
            lines[(*section, *key[1].split("."))] = number
    return lines


def meanings(section: type) -> Mapping[str, str]:
    """What is said of each field of a section, or member, on the line below it."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(section)))
    body = typing.cast(ast.ClassDef, tree.body[0]).body
    found = {}
    for each, below in itertools.pairwise(body):
        match each, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.replace("``", "`").split())
    return found


def in_words(hint: Any) -> str:
    """What kind of value a setting has."""
    if typing.get_origin(hint) is Annotated:
        kind, span = typing.get_args(hint)
        return f"{kind.__name__}, {span}"
    if typing.get_origin(hint) is Literal:
        return " or ".join(map(repr, typing.get_args(hint)))
    if hint == tuple[str, ...]:
        return "list of texts"
    if isinstance(hint, types.GenericAlias):
        return f"list of {'AET@HOST:PORT' if Address in typing.get_args(hint) else 'tables'}"
    return str(hint.__name__).lower()
