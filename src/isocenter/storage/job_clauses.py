"""The statements that write jobs, and look up what that needs."""

from typing import Final

from sqlalchemy import (
    ColumnElement,
    bindparam,
    literal_column,
    select,
    update,
)

from isocenter.storage import schema
from isocenter.storage.clauses import Clause, deletion, insertion, selection, updating

JOB_COLUMNS: Final = (
    "state",
    "due_at",
    "owner",
    "is_canceled",
    "attempts",
    "total",
    "done",
    "warned",
    "failed",
    "bytes",
    "error",
    "finished_at",
)


def job_clauses() -> dict[str, Clause]:
    """All of them by name."""
    job, outcome = schema.job, schema.job_outcome
    waits: ColumnElement[str] = literal_column("'waiting'")
    runs: ColumnElement[str] = literal_column("'running'")
    due = (
        select(job)
        .where(job.c.state.in_((waits, runs)), job.c.due_at <= bindparam("now"))
        .order_by(job.c.due_at, job.c.pk)
        .limit(literal_column("1"))
        .offset(literal_column("0"))
    )
    finished = select(job.c.pk).where(
        job.c.finished_at > literal_column("0"), job.c.finished_at <= bindparam("until")
    )
    # SQLite has one writer at a time and needs no locks of rows; PostgreSQL has many.
    found = select(job).where(job.c.pk == bindparam("pk")).with_for_update()
    return {
        "insert_job": insertion(job, *job.columns.keys()),
        "find_job": (found, ("pk",)),
        "claimable_job": (due.with_for_update(skip_locked=True), ("now",)),
        "update_job": updating(job, *JOB_COLUMNS),
        "void_leases": (
            update(job).where(job.c.state == runs).values(due_at=bindparam("now")),
            ("now",),
        ),
        "finished_jobs": (
            finished.limit(literal_column("100")).offset(literal_column("0")),
            ("until",),
        ),
        "delete_job": deletion(job, "pk"),
        "find_outcome": selection(outcome, "fate", by=("job_fk", "sop_instance_uid")),
        "insert_outcome": insertion(outcome, *outcome.columns.keys()),
        "delete_fates": deletion(outcome, "job_fk", "fate"),
        "delete_outcomes": deletion(outcome, "job_fk"),
    }
