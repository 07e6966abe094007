"""Tests that are coroutines run on uvloop; those of the DIMSE engine on asyncio's loop, too."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "uvloop": uvloop.new_event_loop
    }
    if item.path.name.startswith("test_dimse_"):
        factories["asyncio"] = asyncio.new_event_loop
    return factories
