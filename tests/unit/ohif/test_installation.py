"""The viewer is put in place whole, of the right package, or not at all."""

import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from isocenter.errors import Malformed, Unavailable
from isocenter.ohif import installation, unpacking
from isocenter.ohif.package import Pinned
from isocenter.storage.lock import FolderLock
from viewers import BUILT, ENTRY, package, packed


def left_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()} - {"lock"}


def test_what_is_served_is_put_in_place_and_nothing_else(tmp_path: Path) -> None:
    file, pinned = package(tmp_path)

    installed = installation.install(tmp_path / "viewers", file, pinned=pinned)

    assert installed.entry == ENTRY
    assert set(installed.files) == {
        ENTRY,
        "app.bundle.css",
        "31fb9346313fc3740d7b.woff2",
        "0011223344556677aabb.wasm",
        "assets/favicon.ico",
    }
    assert (installed.folder / "LICENSE").read_bytes() == b"MIT License"
    assert left_in(tmp_path / "viewers") == {installation.NAME}
    assert installation.find(tmp_path / "viewers") == installed


def test_scripts_and_styles_look_beside_themselves(tmp_path: Path) -> None:
    file, pinned = package(tmp_path)

    folder = installation.install(tmp_path / "viewers", file, pinned=pinned).folder

    script = (folder / ENTRY).read_bytes()
    assert b'.p = "/"' not in script
    assert script.endswith(BUILT[-1000:])
    assert b"url(31fb9346313fc3740d7b.woff2)" in (folder / "app.bundle.css").read_bytes()


def test_another_package_is_refused(tmp_path: Path) -> None:
    file, pinned = package(tmp_path)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)

    with pytest.raises(Malformed, match="npm pack"):
        installation.install(tmp_path / "viewers", file, pinned=pinned)

    assert file.exists()
    assert left_in(tmp_path / "viewers") == set()


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    file, pinned = package(tmp_path)
    first = installation.install(tmp_path / "viewers", file, pinned=pinned)
    file.unlink()

    assert installation.install(tmp_path / "viewers", file, pinned=pinned) == first


def test_what_was_broken_off_is_done_again(tmp_path: Path) -> None:
    file, pinned = package(tmp_path)
    broken = tmp_path / "viewers" / f"{installation.NAME}.new"
    broken.mkdir(parents=True)
    (broken / ENTRY).write_bytes(b"half")

    assert installation.find(tmp_path / "viewers") is None
    installed = installation.install(tmp_path / "viewers", file, pinned=pinned)

    assert installed.files[ENTRY].size == (installed.folder / ENTRY).stat().st_size
    assert left_in(tmp_path / "viewers") == {installation.NAME}


def test_two_do_not_install_at_once(tmp_path: Path) -> None:
    file, pinned = package(tmp_path)

    with FolderLock(tmp_path / "viewers"), pytest.raises(Unavailable, match="in use"):
        installation.install(tmp_path / "viewers", file, pinned=pinned)


def test_what_was_installed_is_removed(tmp_path: Path) -> None:
    file, pinned = package(tmp_path)
    installation.install(tmp_path / "viewers", file, pinned=pinned)

    assert installation.remove(tmp_path / "viewers")
    assert not installation.remove(tmp_path / "viewers")
    assert installation.find(tmp_path / "viewers") is None
    assert not installation.remove(tmp_path / "never")


def test_a_list_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    folder = tmp_path / installation.NAME
    folder.mkdir()
    for text in ("{", "[]", '{"files": {"a": 1}, "entry": ""}', json.dumps({"files": {}})):
        (folder / installation.LIST).write_text(text)

        with pytest.raises(Unavailable, match="remove and install"):
            installation.find(tmp_path)


def test_a_package_without_its_first_script_is_refused(tmp_path: Path) -> None:
    file = packed(tmp_path, [("package/dist/index.html", b"<p>nothing</p>")])
    content = file.read_bytes()
    pinned = Pinned(hashlib.sha512(content).hexdigest(), len(content))

    with pytest.raises(Malformed, match="begins with"):
        installation.install(tmp_path / "viewers", file, pinned=pinned)

    assert installation.find(tmp_path / "viewers") is None


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def test_no_path_of_a_package_leads_elsewhere(tmp_path: Path) -> None:
    sound = ("package/dist/a.js", b"a")
    file = packed(
        tmp_path,
        [
            ("package/../../evil.js", b""),
            ("/etc/evil.js", b""),
            ("package/dist/../../evil.js", b""),
            ("package/dist\\..\\evil.js", b""),
            ("package/dist/.hidden", b""),
            ("package/C:/evil.js", b""),
            ("package/dist/a\nb.js", b""),
            link("package/dist/link.js", "/etc/passwd"),
            sound,
        ],
    )

    assert list(unpacking.files_of(file)) == [("dist/a.js", b"a")]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"no tarball",
        lambda content: b"",
        lambda content: content[:20] + b"\xff" * 50 + content[70:],
    ],
)
def test_what_is_no_package_is_told(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    file, _ = package(tmp_path)
    file.write_bytes(spoil(file.read_bytes()))

    with pytest.raises(Malformed):
        list(unpacking.files_of(file))


def test_a_package_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "LARGEST_OF_ALL", 1000)
    file = packed(tmp_path, [(f"package/dist/{n}.js", bytes(400)) for n in range(3)])

    with pytest.raises(Malformed, match="larger"):
        list(unpacking.files_of(file))


@given(st.binary(max_size=2000))
def test_whatever_is_given_is_unpacked_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "whatever.tgz"
    file.write_bytes(content)

    with pytest.raises(Malformed):
        list(unpacking.files_of(file))
