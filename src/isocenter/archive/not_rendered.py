"""Why there is no picture."""

from isocenter.errors import NotFound, Unsupported


class NotRendered(Unsupported):
    """There is no picture of it, and there will be none."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"{why}; to be had are the instance itself (application/dicom), its metadata and bulk "
            "data, and a thumbnail that says what it is"
        )
        self.why = why


class NoSuchFrame(NotFound):
    """There is an image, but it has not that many frames."""


class TooLarge(Unsupported):
    """There is an image, but not in that size, or not from so many tiles at once."""
