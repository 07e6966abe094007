"""``isocenter explain``: what a tag, a UID, a keyword, a VR or a status code is."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from isocenter.cli.output import complain, say

if TYPE_CHECKING:
    from isocenter.cli.explaining import Meaning


def explain(
    terms: Annotated[
        list[str],
        typer.Argument(
            metavar="TERM...",
            help="A tag, a UID, a keyword or part of a name; a VR; a status code; a CID.",
        ),
    ],
    creator: Annotated[
        str, typer.Option(metavar="TEXT", help="The private creator of a private tag.")
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="As JSON: an array of what was found.")
    ] = False,
) -> None:
    """Look up the dictionary of the standard, and what is done with it here."""
    from isocenter.cli.explaining import meanings, similar

    # Words that only together name something; else each for itself.
    together = " ".join(terms)
    named = [together] if len(terms) > 1 and meanings(together, creator) else terms
    found: list[Meaning] = []
    missing = []
    for term in named:
        known = meanings(term, creator)
        found += known
        if not known:
            missing.append(term)
    _show(found, as_json=as_json)
    for term in missing:
        near = similar(term)
        hint = f"; perhaps {', '.join(near)}" if near else ""
        complain(f"isocenter: nothing is known of {term!r}{hint}")
    if missing:
        raise typer.Exit(1)


def _show(found: "list[Meaning]", *, as_json: bool) -> None:
    if as_json:
        import json

        say(json.dumps([_flat(each) for each in found], indent=2, ensure_ascii=False))
        return
    for number, each in enumerate(found):
        if number:
            say("")
        say(each.title)
        width = max(map(len, each.facts), default=0)
        for label, text in each.facts.items():
            say(f"  {label.ljust(width)}  {text}")


def _flat(meaning: "Meaning") -> dict[str, object]:
    known = asdict(meaning)
    return {"kind": known["kind"], "title": known["title"], **known["facts"]}
