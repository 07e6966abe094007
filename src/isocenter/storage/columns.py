"""What tables of the index have in common: their metadata, and the commonest columns."""

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, MetaData, Text

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

# SQLite makes an INTEGER (not BIGINT) primary key the row's own address.
KEY: Final = BigInteger().with_variant(Integer(), "sqlite")


def text_column(name: str) -> Column[str]:
    """A text, empty if nothing is said."""
    return Column(name, Text, nullable=False, server_default="")


def count_column(name: str) -> Column[int]:
    """A number, 0 if nothing is said."""
    return Column(name, BigInteger, nullable=False, server_default="0")


def key_column() -> Column[int]:
    """A key, which the application makes."""
    return Column("pk", KEY, primary_key=True, autoincrement=False)


def parent_column(table: str) -> Column[int]:
    """What a row belongs to."""
    return Column(f"{table}_fk", KEY, ForeignKey(f"{table}.pk"), nullable=False)


def document_columns() -> tuple[Column[bytes], Column[str]]:
    """What is known of an entity: to be sent, and to be compared."""
    return (
        # DICOM JSON, ready to be sent.
        Column("document", LargeBinary, nullable=False),
        # The same values as they are compared (`values.compared`), as JSON.
        Column("compared", Text, nullable=False),
    )
