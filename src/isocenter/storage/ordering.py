"""Many keys put in order, on disk rather than in memory."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, Self

AT_A_TIME: Final = 1000


class Ordering:
    """Keys, each with the text it is sorted by. Its file is gone afterwards."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=OFF")
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute("CREATE TABLE entry (sort TEXT, key TEXT)")

    def add(self, entries: Iterable[tuple[str, str]]) -> None:
        """Take pairs of sort text and key."""
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO entry VALUES (?, ?)", entries)
        self._connection.execute("COMMIT")

    def keys(self) -> Iterator[str]:
        """Yield the keys in their order."""
        with closing(self._connection.execute("SELECT key FROM entry ORDER BY sort, key")) as found:
            while rows := found.fetchmany(AT_A_TIME):
                for (key,) in rows:
                    yield key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._path.unlink(missing_ok=True)
