"""Where a DICOM application is: ``AET@HOST:PORT``."""

from dataclasses import dataclass

from isocenter.errors import Malformed

WELL_KNOWN_PORT = 104
LONGEST_TITLE = 16


@dataclass(frozen=True, slots=True)
class Address:
    """An application entity and where it listens."""

    ae_title: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read ``AET@HOST[:PORT]``; an IPv6 host stands in brackets, the port is 104 if absent.

        Raises: Malformed.
        """
        title, at, place = text.rpartition("@")
        if not at or not place:
            raise Malformed(f"{text!r} is not AET@HOST:PORT")
        host, port = _split(place)
        return cls(ae_title(title), host, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.ae_title}@{host}:{self.port}"


def _split(place: str) -> tuple[str, int]:
    host, colon, port = place, "", ""
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not bracket or colon not in ("", ":"):
            raise Malformed(f"{place!r} is not [HOST]:PORT")
    elif ":" in place:
        host, colon, port = place.rpartition(":")
    if not host or (colon and not (port.isascii() and port.isdigit())):
        raise Malformed(f"{place!r} is not HOST:PORT")
    number = int(port[:6]) if colon else WELL_KNOWN_PORT
    if not 0 < number < 1 << 16:
        raise Malformed(f"{port} is not a port")
    return host, number


def ae_title(text: str) -> str:
    """An AE title without its padding. Raises: Malformed. Source: PS3.5 §6.2, VR AE."""
    title = text.strip(" ")
    if not 0 < len(title) <= LONGEST_TITLE:
        raise Malformed(f"AE title {text!r} has {len(title)} characters, not 1 to 16")
    if "\\" in title or not (title.isascii() and title.isprintable()):
        raise Malformed(f"AE title {text!r} has a character that none may have")
    return title
