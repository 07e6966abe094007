"""Numbers written as text: DS and IS (PS3.5 6.2)."""

from decimal import ROUND_DOWN, Context, Decimal
from math import isfinite
from typing import Final

DS_LENGTH: Final = 16
_NUMERALS: Final = "0123456789+-.eE"


def number(text: str) -> int | float | str:
    """Give a DS or IS value as a number, or as it is where it is none, or none of finite size."""
    try:
        if text.isdigit():
            return int(text)
        if text.strip(_NUMERALS):
            return text
        if "." not in text and "e" not in text and "E" not in text:
            return int(text)
        found = float(text)
    except ValueError:
        return text
    return found if isfinite(found) else text


def decimal_string(value: float) -> str:
    """Write a number in the 16 characters of a DS, as exactly as these allow.

    Raises: ValueError, for what is not finite.
    """
    if not isfinite(value):
        raise ValueError("not finite")
    text = repr(value)
    digits = DS_LENGTH + 1
    while len(text) > DS_LENGTH:
        rounded = Context(digits).create_decimal(value)
        if not isfinite(float(rounded)):
            rounded = Context(digits, ROUND_DOWN).create_decimal(value)
        text = _shortest(rounded)
        digits -= 1
    return text


def _shortest(value: Decimal) -> str:
    """Give the shortest of the notations that DS has for one number."""
    sign, digits, exponent = value.normalize().as_tuple()
    mantissa, power = "".join(map(str, digits)), int(exponent)
    fixed = f"{value:f}"
    if "." in fixed:
        fixed = fixed.rstrip("0").rstrip(".")
    minus = "-" if sign else ""
    scientific = f"{minus}{mantissa}e{power}"
    pointed = f"{minus}{mantissa[0]}.{mantissa[1:]}e{power + len(mantissa) - 1}"
    bare = fixed.replace("0.", ".", 1) if fixed.lstrip("-").startswith("0.") else fixed
    return min((fixed, pointed, bare, scientific), key=len)


def integer(value: object) -> int:
    """Give a JSON value as the integer it is. Raises: ValueError, TypeError."""
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError("not an integer")
    elif isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError("not an integer")
    return int(value)
