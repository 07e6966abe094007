"""What every test may ask for. The fixtures that run real programs are in ``programs.py``."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import settings

pytest_plugins = ("programs", "steady")

# Tests share the machine with each other: a deadline would measure that.
settings.register_profile("tests", settings.default, deadline=None)
settings.load_profile("tests")


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """Undo what a command, run within a test, sets of the log of all tests behind it."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
