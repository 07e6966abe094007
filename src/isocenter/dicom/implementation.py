"""Who Isocenter says it is, in file meta information and in association negotiation."""

from typing import Final

from isocenter import __version__

IMPLEMENTATION_CLASS_UID: Final = "2.25.156404602670084358046589269133767076812"
"""Derived from a UUID, so nobody had to register it (PS3.5 B.2). It never changes."""

IMPLEMENTATION_VERSION_NAME: Final = f"ISOCENTER_{__version__.replace('.', '')}"[:16]
"""1 to 16 characters (PS3.7 D.3.3.2.3)."""
