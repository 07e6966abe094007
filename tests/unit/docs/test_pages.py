"""The documentation says what the code does, and its links lead somewhere."""

import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isocenter import config
from isocenter.cli.main import COMMANDS
from isocenter.dicom.sop_classes import STORAGE
from isocenter.services.status import STATUSES
from isocenter.storage.attributes import ATTRIBUTES

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^    isocenter (.+)$", re.MULTILINE)
DRAWN = re.compile(r"<!-- drawn by .*?<!-- end of [^>]*-->", re.DOTALL)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    """What `tools/reference.py` defines."""
    return runpy.run_path(str(ROOT / "tools" / "reference.py"))


def rows(page: str) -> Iterator[list[str]]:
    """The cells of every table on a page."""
    for line in text_of(page).splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_the_drawn_parts_of_the_reference_are_current(reference: dict[str, Any]) -> None:
    for page in reference["FRAGMENTS"]:
        text = text_of(page)

        assert reference["drawn"](page, text) == text, f"{page}: run tools/reference.py"


def test_every_setting_stands_in_the_reference_with_its_default_and_a_meaning() -> None:
    text = text_of("reference/settings.md")
    sections = {"": "## Without a section"} | {name: f"## `[{name}]`" for name in config.SECTIONS}
    sections["compression"] = "## `[[compression]]`"

    for path, _, default in config.documented():
        section, _, name = path.rpartition(".")
        part = text.split(sections[section], 1)[1].split("\n## ", 1)[0]
        (row,) = re.findall(rf"^\| `{name}` \| (.+) \| (.+) \| (.+) \|$", part, re.MULTILINE)
        if default not in ("", "()"):
            assert row[1].strip("`").lower() == default.lower()
        assert all(row)


def test_every_command_and_option_stands_in_the_reference(reference: dict[str, Any]) -> None:
    text = text_of("reference/commands.md")
    models = reference["every_command"]()

    assert set(models) == set(COMMANDS)
    for name, model in models.items():
        part = text.split(f"\n### {name}\n", 1)[1].split("\n### ", 1)[0]
        for parameter in model.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                assert all(f"`{spelling}`" in part for spelling in parameter.opts)


def test_every_command_that_a_page_shows_is_one_with_such_options(
    reference: dict[str, Any],
) -> None:
    models = reference["every_command"]()
    shown = [
        (page, line)
        for page in PAGES
        for line in COMMAND.findall(DRAWN.sub("", page.read_text(encoding="utf-8")))
    ]
    assert len(shown) > 10

    for page, line in shown:
        name, *words = shlex.split(line.split(" | ")[0])
        known = {opt for parameter in models[name].params for opt in parameter.opts}
        given = {word for word in words if word.startswith("-")}
        assert given <= known, f"{name_of(page)}: isocenter {line}"


def test_every_attribute_of_the_index_stands_among_the_keys() -> None:
    listed = {row[0]: row[2] for row in rows("reference/query-keys.md")}

    for attribute in ATTRIBUTES.values():
        assert listed[attribute.keyword] == attribute.vr


def test_what_must_be_found_by_index_is_listed_so() -> None:
    listed = {row[0]: row[3] for row in rows("reference/query-keys.md") if len(row) > 3}
    demanded = (
        "PatientID PatientName PatientBirthDate StudyDate AccessionNumber Modality StudyID"
        " StudyInstanceUID SeriesInstanceUID SOPInstanceUID SOPClassUID"
    )

    assert {listed[each] for each in demanded.split()} == {"matched by index"}


def test_the_services_of_the_standard_we_claim_are_listed() -> None:
    listed = {uid.strip("`") for row in rows("reference/dimse.md") for uid in row}

    # PS3.4 annex A, annex C.6: verification, and find, move, get of three models.
    models = [f"1.2.840.10008.5.1.4.1.2.{model}.{verb}" for model in "123" for verb in "123"]
    assert {"1.2.840.10008.1.1", *models, *STORAGE} <= listed


def test_every_status_of_an_error_is_listed() -> None:
    listed = {(row[0].strip("`"), row[3]) for row in rows("reference/dimse.md") if len(row) > 3}

    for kind, code in STATUSES.items():
        assert (f"{code:04X}", kind.__name__) in listed


def _anchor(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_link_is_dead(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        if ":" in target:
            continue
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), link
        if anchor:
            headings = HEADING.findall(found.read_text(encoding="utf-8"))
            assert anchor in map(_anchor, headings), link


@pytest.mark.parametrize("folder", ["decisions", "howto", "reference", "explanation", "tutorial"])
def test_every_page_is_linked_from_an_index(folder: str) -> None:
    index = DOCS / "decisions" / "README.md" if folder == "decisions" else DOCS / "README.md"
    linked = {
        (index.parent / link.partition("#")[0]).resolve()
        for link in LINK.findall(index.read_text(encoding="utf-8"))
    }

    for page in (DOCS / folder).glob("*.md"):
        assert page == index or page in linked, name_of(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_shown_on_a_page_are_accepted(page: Path, tmp_path: Path) -> None:
    fences = FENCE.findall(page.read_text(encoding="utf-8"))
    for number, text in enumerate(text for kind, text in fences if kind == "toml"):
        assert tomllib.loads(text)
        file = tmp_path / f"{number}.toml"
        file.write_text(text)

        # An excerpt need not say that callers are known.
        config.load(file, options={} if "known_callers" in text else {"host": "127.0.0.1"})


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_lines_are_no_longer_than_people_read(page: Path) -> None:
    text = DRAWN.sub("", page.read_text(encoding="utf-8"))
    prose = re.sub(r"^(    |\||```).*?$", "", FENCE.sub("", text), flags=re.MULTILINE)

    assert all(len(line) <= 160 for line in prose.splitlines())
