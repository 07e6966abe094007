"""Names of files, which a peer has a say in."""

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from isocenter.services.folder import file_name


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2", "2.25.0", "1"])
def test_a_uid_names_its_file(uid: str) -> None:
    assert file_name(uid) == uid


@pytest.mark.parametrize(
    "uid", ["..", "../../etc/passwd", "1..2", ".1", "1.", "a", "", "1.2/3", "1" * 65, "1\0", "NUL"]
)
def test_what_is_no_uid_becomes_something_harmless(uid: str) -> None:
    assert file_name(uid).startswith("no-uid")


@given(st.text(max_size=100))
def test_no_name_leads_out_of_the_folder(uid: str) -> None:
    name = file_name(uid)

    assert Path("/root", name).resolve().parent == Path("/root")
    assert len(name) <= 64


@given(st.text(), st.text())
def test_two_instances_never_share_a_name(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) == (one == other)
