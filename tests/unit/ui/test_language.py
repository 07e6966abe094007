"""Every text of the pages is there in every language."""

import ast
import json
import re
from pathlib import Path

import pytest
from starlette.requests import Request

from isocenter.archive.correction import FIELDS
from isocenter.archive.removals import CODES
from isocenter.ui import (
    changes,
    correction,
    display,
    filters,
    jobs,
    language,
    page,
    peers,
    removal,
    settings,
    shares,
    spans,
    storage,
    study,
    troubles,
)
from isocenter.ui.faults import TITLES
from isocenter.ui.page import TEMPLATES

SAID = re.compile(r"""_\(\s*("[^"]*"|'[^']*')""")
SAID_BY_CODE = (
    *("Bytes received", "Instances received", "In the archive", "Others", "Unknown"),
    *("Received by day and modality", "Received by week and modality"),
)
CATALOGS = sorted(language.LOCALES.glob("*.json"))


def texts() -> set[str]:
    """All that templates say, and what code gives them to say."""
    found = {*TITLES.values(), *filters.PERIODS.values(), *filters.ORDERS.values()}
    found |= {*jobs.TABS.values()}
    found |= {*CODES.values(), *removal.FAULTS, study.WHOSE, study.MOVED}
    found |= {*display.NOTICES.values(), *shares.DURATIONS.values(), *shares.STATES}
    found |= {text for _, text in page.NAVIGATION}
    found |= {words for _, words in changes.KINDS.values()} | {*changes.WARNINGS.values()}
    found |= {words for words, _ in storage.RATES.values()} | {*spans.MEASURES.values()}
    found |= {*troubles.TEXTS.values(), *SAID_BY_CODE}
    found |= {*peers.OUTCOMES.values(), *peers.ADVICE.values(), *settings.SOURCES.values()}
    found |= {text for _, *texts in page.ADMINISTRATION for text in texts}
    found |= {
        *correction.SCOPES.values(),
        *(each.name for each in FIELDS),
        correction.LATE,
        correction.ALREADY,
    }
    for path in TEMPLATES.glob("*.html"):
        found |= {ast.literal_eval(text) for text in SAID.findall(path.read_text("utf-8"))}
    return found


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.stem)
def test_a_catalog_has_every_text_and_no_other(path: Path) -> None:
    assert set(json.loads(path.read_text("utf-8"))) == texts()


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.stem)
def test_a_translation_leaves_room_for_the_same_values(path: Path) -> None:
    for text, said in json.loads(path.read_text("utf-8")).items():
        assert sorted(re.findall(r"\{\w*\}", text)) == sorted(re.findall(r"\{\w*\}", said))


@pytest.mark.parametrize(
    ("accepted", "cookie", "code"),
    [
        ("", "", "en"),
        ("de-AT,de;q=0.9,en;q=0.8", "", "de"),
        ("fr, de;q=0.1, en;q=0.5", "", "en"),
        ("de;q=0, fr", "", "en"),
        ("de;q=much", "", "en"),
        ("de", "language=en", "en"),
        ("en", "language=xx", "en"),
    ],
)
def test_the_reader_is_spoken_to_in_a_language_they_know(
    accepted: str, cookie: str, code: str
) -> None:
    headers = [(b"accept-language", accepted.encode()), (b"cookie", cookie.encode())]

    found = language.of(Request({"type": "http", "headers": headers}))

    assert found.code == code
