"""Forms as browsers send them (application/x-www-form-urlencoded)."""

from typing import Final
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

LARGEST: Final = 1 << 16
"""Bytes of a form."""
MOST: Final = 200
"""Fields of a form."""


async def fields(request: Request) -> list[tuple[str, str]]:
    """Return the fields of a form, in its order. Raises: HTTPException 400, 413, 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "a form is expected")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST:
            raise HTTPException(413, "the form is too long")
    try:
        return parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST
        )
    except ValueError as error:
        raise HTTPException(400, "the form cannot be read") from error
