"""The first schema: levels, names, change feed."""

import sqlalchemy as sa
from alembic import op

from isocenter.storage import sqlite

revision = "0001"
down_revision = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _patient()
    _study()
    _series()
    _instance()
    _study_modality()
    _study_sop_class()
    _person_name()
    _name_word()
    _patient_name()
    _study_name()
    _meta()
    _instance_version()
    _change()
    _removed()
    if op.get_bind().dialect.name == "sqlite":
        for statement in sqlite.NAME_SEARCH:
            op.execute(statement)


def _patient() -> None:
    op.create_table(
        "patient",
        sa.Column("pk", KEY, autoincrement=False, nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False, server_default=""),
        sa.Column("issuer", sa.Text(), nullable=False, server_default=""),
        sa.Column("lone_study_uid", sa.Text(), nullable=False, server_default=""),
        sa.Column("sort_name", sa.Text(), nullable=False, server_default=""),
        sa.Column("birth_date", sa.Text(), nullable=False, server_default=""),
        sa.Column("sex", sa.Text(), nullable=False, server_default=""),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("compared", sa.Text(), nullable=False),
        sa.Column("studies", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("series", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("instances", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("bytes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("pk", name=op.f("patient_pkey")),
        sa.UniqueConstraint(
            "patient_id",
            "issuer",
            "lone_study_uid",
            name=op.f("patient_patient_id_issuer_lone_study_uid_key"),
        ),
    )
    op.create_index("patient_birth_date_ix", "patient", ["birth_date"])
    op.create_index("patient_order_ix", "patient", ["sort_name", "pk"])


def _study() -> None:
    op.create_table(
        "study",
        sa.Column("pk", KEY, autoincrement=False, nullable=False),
        sa.Column("patient_fk", KEY, nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False, server_default=""),
        sa.Column("study_date", sa.Text(), nullable=False, server_default=""),
        sa.Column("study_time", sa.Text(), nullable=False, server_default=""),
        sa.Column("accession_number", sa.Text(), nullable=False, server_default=""),
        sa.Column("study_id", sa.Text(), nullable=False, server_default=""),
        sa.Column("patient_id", sa.Text(), nullable=False, server_default=""),
        sa.Column("issuer", sa.Text(), nullable=False, server_default=""),
        sa.Column("birth_date", sa.Text(), nullable=False, server_default=""),
        sa.Column("sex", sa.Text(), nullable=False, server_default=""),
        sa.Column("patient_document", sa.LargeBinary(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("compared", sa.Text(), nullable=False),
        sa.Column("modalities", sa.Text(), nullable=False, server_default=""),
        sa.Column("sop_classes", sa.Text(), nullable=False, server_default=""),
        sa.Column("series", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("instances", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("bytes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.ForeignKeyConstraint(["patient_fk"], ["patient.pk"], name=op.f("study_patient_fk_fkey")),
        sa.PrimaryKeyConstraint("pk", name=op.f("study_pkey")),
        sa.UniqueConstraint("patient_fk", "study_uid", name=op.f("study_patient_fk_study_uid_key")),
    )
    op.create_index("study_accession_number_ix", "study", ["accession_number"])
    op.create_index("study_birth_date_ix", "study", ["birth_date"])
    op.create_index("study_order_ix", "study", ["study_date", "study_time", "pk"])
    op.create_index("study_patient_id_ix", "study", ["patient_id"])
    op.create_index("study_study_id_ix", "study", ["study_id"])
    op.create_index("study_study_uid_ix", "study", ["study_uid"])


def _series() -> None:
    op.create_table(
        "series",
        sa.Column("pk", KEY, autoincrement=False, nullable=False),
        sa.Column("study_fk", KEY, nullable=False),
        sa.Column("series_uid", sa.Text(), nullable=False, server_default=""),
        sa.Column("modality", sa.Text(), nullable=False, server_default=""),
        sa.Column("series_number", sa.Integer(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("compared", sa.Text(), nullable=False),
        sa.Column("instances", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("bytes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.ForeignKeyConstraint(["study_fk"], ["study.pk"], name=op.f("series_study_fk_fkey")),
        sa.PrimaryKeyConstraint("pk", name=op.f("series_pkey")),
        sa.UniqueConstraint("study_fk", "series_uid", name=op.f("series_study_fk_series_uid_key")),
    )
    op.create_index("series_modality_ix", "series", ["modality", "study_fk", "series_number", "pk"])
    op.create_index("series_order_ix", "series", ["study_fk", "series_number", "pk"])
    op.create_index("series_series_uid_ix", "series", ["series_uid"])


def _instance() -> None:
    op.create_table(
        "instance",
        sa.Column("pk", KEY, autoincrement=False, nullable=False),
        sa.Column("series_fk", KEY, nullable=False),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False, server_default=""),
        sa.Column("instance_number", sa.Integer(), nullable=False),
        sa.Column("transfer_syntax", sa.Text(), nullable=False, server_default=""),
        sa.Column("blob_key", sa.Text(), nullable=False, server_default=""),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("dataset_offset", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("compared", sa.Text(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["series_fk"], ["series.pk"], name=op.f("instance_series_fk_fkey")),
        sa.PrimaryKeyConstraint("pk", name=op.f("instance_pkey")),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("instance_sop_instance_uid_key")),
    )
    op.create_index("instance_order_ix", "instance", ["series_fk", "instance_number", "pk"])
    op.create_index(
        "instance_sop_class_uid_ix",
        "instance",
        ["sop_class_uid", "series_fk", "instance_number", "pk"],
    )


def _study_modality() -> None:
    op.create_table(
        "study_modality",
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("study_date", sa.Text(), nullable=False),
        sa.Column("study_time", sa.Text(), nullable=False),
        sa.Column("study_fk", KEY, nullable=False),
        sa.ForeignKeyConstraint(
            ["study_fk"], ["study.pk"], name=op.f("study_modality_study_fk_fkey")
        ),
        sa.PrimaryKeyConstraint(
            "modality", "study_date", "study_time", "study_fk", name=op.f("study_modality_pkey")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("study_modality_study_ix", "study_modality", ["study_fk"])


def _study_sop_class() -> None:
    op.create_table(
        "study_sop_class",
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("study_fk", KEY, nullable=False),
        sa.ForeignKeyConstraint(
            ["study_fk"], ["study.pk"], name=op.f("study_sop_class_study_fk_fkey")
        ),
        sa.PrimaryKeyConstraint("sop_class_uid", "study_fk", name=op.f("study_sop_class_pkey")),
        sqlite_with_rowid=False,
    )
    op.create_index("study_sop_class_study_ix", "study_sop_class", ["study_fk"])


def _person_name() -> None:
    op.create_table(
        "person_name",
        sa.Column("pk", KEY, autoincrement=False, nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("person_name_pkey")),
        sa.UniqueConstraint("folded", name=op.f("person_name_folded_key")),
    )


def _name_word() -> None:
    op.create_table(
        "name_word",
        sa.Column("word", sa.Text(), nullable=False),
        sa.Column("name_fk", KEY, nullable=False),
        sa.Column("sound", sa.Text(), nullable=False, server_default=""),
        sa.ForeignKeyConstraint(
            ["name_fk"], ["person_name.pk"], name=op.f("name_word_name_fk_fkey")
        ),
        sa.PrimaryKeyConstraint("word", "name_fk", name=op.f("name_word_pkey")),
        sqlite_with_rowid=False,
    )
    op.create_index("name_word_name_ix", "name_word", ["name_fk"])
    op.create_index("name_word_sound_ix", "name_word", ["sound"])


def _patient_name() -> None:
    op.create_table(
        "patient_name",
        sa.Column("name_fk", KEY, nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("patient_fk", KEY, nullable=False),
        sa.ForeignKeyConstraint(
            ["name_fk"], ["person_name.pk"], name=op.f("patient_name_name_fk_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["patient_fk"], ["patient.pk"], name=op.f("patient_name_patient_fk_fkey")
        ),
        sa.PrimaryKeyConstraint("name_fk", "part", "patient_fk", name=op.f("patient_name_pkey")),
        sqlite_with_rowid=False,
    )
    op.create_index("patient_name_patient_ix", "patient_name", ["patient_fk"])


def _study_name() -> None:
    op.create_table(
        "study_name",
        sa.Column("name_fk", KEY, nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("study_fk", KEY, nullable=False),
        sa.ForeignKeyConstraint(
            ["name_fk"], ["person_name.pk"], name=op.f("study_name_name_fk_fkey")
        ),
        sa.ForeignKeyConstraint(["study_fk"], ["study.pk"], name=op.f("study_name_study_fk_fkey")),
        sa.PrimaryKeyConstraint("name_fk", "part", "study_fk", name=op.f("study_name_pkey")),
        sqlite_with_rowid=False,
    )
    op.create_index("study_name_study_ix", "study_name", ["study_fk"])


def _meta() -> None:
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("name", name=op.f("meta_pkey")),
    )


def _instance_version() -> None:
    op.create_table(
        "instance_version",
        sa.Column("pk", KEY, autoincrement=False, nullable=False),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False, server_default=""),
        sa.Column("study_uid", sa.Text(), nullable=False, server_default=""),
        sa.Column("series_uid", sa.Text(), nullable=False, server_default=""),
        sa.Column("sop_class_uid", sa.Text(), nullable=False, server_default=""),
        sa.Column("transfer_syntax", sa.Text(), nullable=False, server_default=""),
        sa.Column("blob_key", sa.Text(), nullable=False, server_default=""),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("dataset_offset", sa.BigInteger(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.Column("replaced_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("instance_version_pkey")),
    )
    op.create_index(
        "instance_version_sop_instance_uid_ix", "instance_version", ["sop_instance_uid"]
    )


def _change() -> None:
    op.create_table(
        "change",
        sa.Column("seq", KEY, autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False, server_default=""),
        sa.Column("series_uid", sa.Text(), nullable=False, server_default=""),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False, server_default=""),
        sa.Column("blob_key", sa.Text(), nullable=False, server_default=""),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("warnings", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("seq", name=op.f("change_pkey")),
    )


def _removed() -> None:
    op.create_table(
        "removed",
        sa.Column("blob_key", sa.Text(), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False, server_default=""),
        sa.Column("series_uid", sa.Text(), nullable=False, server_default=""),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False, server_default=""),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("blob_key", name=op.f("removed_pkey")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for statement in sqlite.NAME_SEARCH_DROP:
            op.execute(statement)
    for table in (
        "removed",
        "change",
        "instance_version",
        "meta",
        "study_name",
        "patient_name",
        "name_word",
        "person_name",
        "study_sop_class",
        "study_modality",
        "instance",
        "series",
        "study",
        "patient",
    ):
        op.drop_table(table)
