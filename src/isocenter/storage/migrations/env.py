"""How Alembic runs our migrations: on the connection it is handed, in one transaction."""

from alembic import context

from isocenter.storage.schema import metadata


def is_ours(_object: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
    """Whether a table is Alembic's to compare; full-text search keeps tables of its own."""
    return not (kind == "table" and (name or "").startswith("person_name_gram"))


def run() -> None:
    with context.config.attributes["engine"].connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            render_as_batch=True,
            include_object=is_ours,
            transactional_ddl=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


run()
