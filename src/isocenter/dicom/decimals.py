"""Numbers written as text: DS and IS (PS3.5 6.2)."""

import math
from contextlib import suppress
from decimal import Decimal
from typing import Final

DS_LENGTH: Final = 16
_NUMERALS: Final = "0123456789+-.eE"


def number(text: str) -> int | float | str:
    """Give a DS or IS value as a number, or as it is where it is none, or none of finite size."""
    if text.strip(_NUMERALS):
        return text
    try:
        return int(text)
    except ValueError:
        pass
    with suppress(ValueError):
        if math.isfinite(found := float(text)):
            return found
    return text


def decimal_string(value: float) -> str:
    """Write a number in the 16 characters of a DS, as exactly as these allow.

    Raises: ValueError, for what is not finite.
    """
    text = repr(value)
    if not math.isfinite(value):
        raise ValueError(text)
    digits = DS_LENGTH + 1
    while len(text) > DS_LENGTH:
        text = _shortest(Decimal(f"{value:.{digits}g}"))
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
    elif not isinstance(value, int | str):
        raise TypeError("not an integer")
    return int(value)
