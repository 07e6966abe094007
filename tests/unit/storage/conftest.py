"""An index for each test, from a file made once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from isocenter.storage import sqlite
from isocenter.storage.engine import upgrade
from isocenter.storage.index import Index


@pytest.fixture(scope="session")
def empty_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty index file, to be copied."""
    path = tmp_path_factory.mktemp("index") / "empty.sqlite"
    engine = sqlite.writing_engine(path)
    upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture
def index_path(tmp_path: Path, empty_index: Path) -> Path:
    """An empty index file of the test's own."""
    return Path(shutil.copy(empty_index, tmp_path / "index.sqlite"))


@pytest.fixture
def index(index_path: Path) -> Iterator[Index]:
    """An empty index."""
    opened = Index.open(index_path, readers=2)
    yield opened
    opened.close()
