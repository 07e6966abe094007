"""Many keys put in order, on disk rather than in memory."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, Self

from isocenter.errors import Unavailable

AT_A_TIME: Final = 1000


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(f"keys cannot be put in order: {error}") from error


def _fetched(found: sqlite3.Cursor) -> list[tuple[str]]:
    with _translated():
        return found.fetchmany(AT_A_TIME)


class Ordering:
    """Keys, each with the text it is sorted by. Its file is gone afterwards."""

    def __init__(self, path: Path) -> None:
        """Raises: Unavailable."""
        self._path = path
        with _translated():
            path.unlink(missing_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=OFF")
            self._connection.execute("PRAGMA synchronous=OFF")
            self._connection.execute("CREATE TABLE entry (sort TEXT, key TEXT)")

    def add(self, entries: Iterable[tuple[str, str]]) -> None:
        """Take pairs of sort text and key. Raises: Unavailable."""
        with _translated():
            self._connection.execute("BEGIN")
            self._connection.executemany("INSERT INTO entry VALUES (?, ?)", entries)
            self._connection.execute("COMMIT")

    def keys(self) -> Iterator[str]:
        """Yield the keys in their order. Raises: Unavailable."""
        with _translated():
            found = self._connection.execute("SELECT key FROM entry ORDER BY sort, key")
        with closing(found):
            while rows := _fetched(found):
                for (key,) in rows:
                    yield key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._path.unlink(missing_ok=True)
