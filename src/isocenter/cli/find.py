"""``isocenter find``: what a peer has, by C-FIND."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isocenter.address import Address
from isocenter.cli.network import (
    CallingOption,
    PeerArgument,
    TimeoutOption,
    VerboseOption,
    associated,
    run,
    timeouts_of,
)
from isocenter.cli.selecting import (
    KeyOption,
    LevelName,
    LevelOption,
    ModelOption,
    level_of,
    model_of,
    parse_keys,
)
from isocenter.errors import Malformed

if TYPE_CHECKING:
    from isocenter.dimse.association import Association
    from isocenter.dimse.settings import Timeouts
    from isocenter.services.keys import Key
    from isocenter.services.models import Negotiated
    from isocenter.services.querying import Search

USUAL = {
    LevelName.patient: (
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "NumberOfPatientRelatedStudies",
    ),
    LevelName.study: (
        "StudyDate",
        "StudyTime",
        "PatientID",
        "PatientName",
        "AccessionNumber",
        "ModalitiesInStudy",
        "NumberOfStudyRelatedInstances",
        "StudyDescription",
        "StudyInstanceUID",
    ),
    LevelName.series: (
        "Modality",
        "SeriesNumber",
        "SeriesDescription",
        "NumberOfSeriesRelatedInstances",
        "SeriesInstanceUID",
    ),
    LevelName.image: ("InstanceNumber", "SOPClassUID", "SOPInstanceUID"),
}
"""What is asked for where no key says what."""


def find(
    peer: PeerArgument,
    level: LevelOption = LevelName.study,
    key: KeyOption = None,
    json: Annotated[
        bool, typer.Option("--json", help="A line of the DICOM JSON model for each match.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Matches after which to cancel the query.")
    ] = None,
    model: ModelOption = None,
    relational: Annotated[
        bool, typer.Option("--relational", help="Ask for relational queries.")
    ] = False,
    fuzzy: Annotated[
        bool, typer.Option("--fuzzy", help="Ask for fuzzy matching of names.")
    ] = False,
    combined_datetime: Annotated[
        bool, typer.Option("--combined-datetime", help="Ask for date and time as one.")
    ] = False,
    aet: CallingOption = "ISOCENTER",
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Find out what a peer has (C-FIND)."""
    from isocenter.services import keys
    from isocenter.services.models import Negotiated
    from isocenter.services.querying import Search, is_hierarchical

    level = level or LevelName.study
    parsed = parse_keys(key)
    wanted = level_of(level)
    try:
        if all(each.value for each in parsed):
            given = {each.path[0] for each in parsed}
            usual = [keys.parse(name) for name in USUAL[level]]
            parsed += [each for each in usual if each.path[0] not in given]
        search = Search(model_of(model, wanted), wanted, keys.document(parsed), limit)
    except Malformed as error:
        raise typer.BadParameter(str(error), param_hint="'--key' / '-k'") from error
    options = Negotiated(
        relational=relational or not is_hierarchical(search),
        combined_date_time=combined_datetime,
        fuzzy=fuzzy,
    )
    show = _JsonLines() if json else _Rows(parsed)
    run(_find(peer, aet, timeouts_of(timeout), search, options, show), is_verbose=verbose)


async def _find(
    peer: Address,
    calling: str,
    timeouts: "Timeouts",
    search: "Search",
    options: "Negotiated",
    show: "_JsonLines | _Rows",
) -> None:
    from isocenter.services import querying

    proposals = [querying.proposal(search.model.find, options)]
    try:
        async with associated(peer, calling, proposals, timeouts) as association:
            _warn_of_missing(association, search, options)
            async for match in querying.find(association, search):
                show.add(match)
    finally:
        show.flush()


def _warn_of_missing(association: "Association", search: "Search", asked: "Negotiated") -> None:
    """Say which options the peer did not agree to: it may find too much, or too little."""
    from isocenter.services.models import Negotiated

    granted = Negotiated.of(association.extended.get(search.model.find))
    for name, words in (("fuzzy", "fuzzy"), ("combined_date_time", "combined date and time")):
        if getattr(asked, name) and not getattr(granted, name):
            sys.stderr.write(f"isocenter: the peer does not do {words} matching\n")


class _JsonLines:
    """Prints a JSON object a line."""

    def add(self, match: dict[str, Any]) -> None:
        """Print a match."""
        import orjson

        sys.stdout.buffer.write(orjson.dumps(match, option=orjson.OPT_APPEND_NEWLINE))

    def flush(self) -> None:
        """Print what waits."""
        sys.stdout.buffer.flush()


class _Rows:
    """Prints a table with a column for each key, in their order."""

    def __init__(self, keys: "list[Key]") -> None:
        from isocenter.cli.table import Table
        from isocenter.dicom.dictionary import keyword_of

        self._tags = list(dict.fromkeys(key.tag for key in keys))
        names = [keyword_of(tag) or f"{tag >> 16:04X},{tag & 0xFFFF:04X}" for tag in self._tags]
        self._table = Table(names, typer.echo)

    def add(self, match: dict[str, Any]) -> None:
        """Add a match."""
        from isocenter.cli.table import cell

        self._table.add([cell(match.get(f"{tag:08X}")) for tag in self._tags])

    def flush(self) -> None:
        """Print what waits."""
        self._table.flush()
