"""Draw the tables of the reference from the code they describe.

``python tools/reference.py`` writes them between the marks in the pages below ``docs``. A test
demands that this changes nothing.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import typer

from isocenter import config, errors, setting
from isocenter.archive import commitment
from isocenter.archive.archive import Archive
from isocenter.archive.peers import Peers
from isocenter.cli.main import COMMANDS
from isocenter.config import Config
from isocenter.dicom import procedure_step
from isocenter.dicom.procedure_step import Requirement, Usage
from isocenter.dicom.sop_classes import SOP_CLASSES
from isocenter.dicom.syntax import TRANSFER_SYNTAXES, UNCOMPRESSED, lookup
from isocenter.dicomweb import capabilities, reasons, routing
from isocenter.dicomweb.resources import ANY_METHOD, Method, Resource, merged
from isocenter.dimse import status
from isocenter.dimse.negotiation import Offer
from isocenter.dimse.settings import Limits, Timeouts
from isocenter.dimse.upper_layer import STEPS, TABLE, Action, Event, State
from isocenter.fhir import including, outcomes, patients, routing as fhir
from isocenter.fhir.releases import Release
from isocenter.imaging import abilities
from isocenter.services import providers, retrieve, suboperations
from isocenter.services.status import STATUSES
from isocenter.services.store import StoreProvider
from isocenter.storage.attributes import ATTRIBUTES, NEVER_MATCHED, Attribute, Held, Level
from isocenter.storage.conditions import conditions_of
from isocenter.storage.non_patient import BY_CATEGORY
from isocenter.storage.query import Key, Query
from isocenter.storage.workitem_search import INDEXED

DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- drawn by tools/reference.py: {} -->", "<!-- end of {} -->"

Row = tuple[str, ...]


def table(headings: Row, rows: Iterable[Row]) -> str:
    """Return a table in Markdown."""
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines
    )


# --- settings


def settings(prefix: str = "") -> str:
    """The settings of one section: name, type, default and meaning."""
    section = {**config.SECTIONS, **config.TABLES}.get(prefix.rstrip("."), Config)
    meanings = setting.meanings(section)
    rows = []
    for path, kind, default in config.documented():
        name = path.removeprefix(prefix)
        if name in meanings and path == prefix + name:
            rows.append((f"`{name}`", _kind(kind), _default(path, default), meanings[name]))
    return table(("setting", "type", "default", "meaning"), rows)


def _kind(kind: str) -> str:
    words = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false"}
    name, comma, span = kind.partition(",")
    return words.get(name, name.replace("'", "`")) + comma + span


def _default(path: str, default: str) -> str:
    if path in ("data", "viewer.folder"):
        return "the user's data folder"
    written = {"True": "true", "False": "false", "()": "none"}
    return f"`{written.get(default, default)}`" if default != "()" else "none"


# --- commands


def commands() -> str:
    """Every command with its arguments and options."""
    return "\n\n".join(_command(name, command) for name, command in every_command().items())


def every_command() -> Mapping[str, Any]:
    """Typer's own models of the commands, by name."""
    made = typer.Typer()
    for name, (module, function) in COMMANDS.items():
        made.command(name)(getattr(import_module(f"isocenter.cli.{module}"), function))
    return cast(Any, typer.main.get_command(made)).commands  # type: ignore[no-any-return]


def _command(name: str, command: Any) -> str:
    rows = []
    usage = [f"isocenter {name}"]
    for each in command.params:
        if each.param_type_name == "argument":
            usage.append(each.metavar or f"{each.name.upper()}…")
            rows.append((f"`{usage[-1]}`", _given(each), each.help))
        elif each.name != "help":
            spelled = ", ".join(f"`{one}`" for one in reversed(each.opts))
            rows.append((spelled + _argument(each), _given(each), each.help))
    head = f"### {name}\n\n    {' '.join(usage)} [OPTIONS]\n\n{command.help}"
    return f"{head}\n\n{table(('argument or option', 'default', 'meaning'), rows)}"


def _argument(option: Any) -> str:
    if option.is_flag:
        return ""
    if option.metavar:
        return f" {option.metavar}"
    kind = option.type_descriptor.annotation
    if isinstance(kind, type) and hasattr(kind, "__members__"):
        return " " + " or ".join(f"`{one.value}`" for one in cast(Any, kind))
    return {int: " N", float: " SECONDS", Path: " PATH"}.get(kind, " TEXT")


def _given(option: Any) -> str:
    if option.required:
        return "required"
    default = option.default
    return "" if default in (None, False) else f"`{getattr(default, 'value', default)}`"


# --- services


def _offers() -> list[Offer]:
    """What the server's own registry offers."""
    archive = cast(Archive, None)  # nothing is called
    made = Config()
    store = StoreProvider(archive)
    peers = cast(Peers, None)
    built = providers.services(archive, made, peers, store, Limits(), Timeouts())
    return [service.offer for service in built]


def is_storage(offer: Offer) -> bool:
    """Whether a SOP class is one of storage."""
    known = SOP_CLASSES.get(offer.abstract_syntax)
    return known is not None and known.is_storage


def services() -> str:
    """The SOP classes of services, but for storage."""
    return _sop_classes(offer for offer in _offers() if not is_storage(offer))


def storage() -> str:
    """The SOP classes of storage."""
    return _sop_classes(offer for offer in _offers() if is_storage(offer))


def _sop_classes(offers: Iterable[Offer]) -> str:
    rows = []
    for offer in offers:
        known = SOP_CLASSES[offer.abstract_syntax]
        roles = [
            role
            for role, is_taken in (("SCP", offer.as_provider), ("SCU", offer.as_user))
            if is_taken
        ]
        name = known.name.removesuffix(" (Retired)") + (" (retired)" if known.is_retired else "")
        rows.append((name, f"`{known.uid}`", ", ".join(roles), _syntaxes(offer)))
    return table(("SOP class", "UID", "roles", "transfer syntaxes"), rows)


def _syntaxes(offer: Offer) -> str:
    if set(offer.transfer_syntaxes) == set(TRANSFER_SYNTAXES):
        return "all below"
    if {lookup(uid) for uid in offer.transfer_syntaxes} == UNCOMPRESSED:
        return "uncompressed"
    return ", ".join(TRANSFER_SYNTAXES[uid].name for uid in offer.transfer_syntaxes)


def syntaxes() -> str:
    """Every transfer syntax, and where it is taken."""
    offers = _offers()
    queries = {uid for each in offers if not is_storage(each) for uid in each.transfer_syntaxes}
    stores = {uid for each in offers if is_storage(each) for uid in each.transfer_syntaxes}
    rows = []
    for uid in sorted(queries | stores, key=_by_parts):
        taken = [
            name for name, uids in (("storage", stores), ("all others", queries)) if uid in uids
        ]
        rows.append((TRANSFER_SYNTAXES[uid].name, f"`{uid}`", ", ".join(taken)))
    return table(("transfer syntax", "UID", "services"), rows)


def _by_parts(uid: str) -> list[int]:
    return [int(part) for part in uid.split(".")]


# --- statuses


def statuses() -> str:
    """What is answered, and when."""
    rows = [
        (f"`{code:04X}`", _of_error(kind), "all", kind.__name__) for kind, code in STATUSES.items()
    ]
    fixed = (
        (status.SUCCESS, "done; for C-STORE: on stable storage and in the index", "all"),
        (status.PENDING, "a match; or how far sub-operations are", "C-FIND, C-MOVE, C-GET"),
        (status.PENDING_WARNING, "a match; a key that was given is not supported", "C-FIND"),
        (status.CANCEL, "cancelled by C-CANCEL", "C-FIND, C-MOVE, C-GET"),
        (
            suboperations.COMPLETE_WITH_FAILURES,
            "some sub-operations failed or warned",
            "C-MOVE, C-GET",
        ),
        (suboperations.CANNOT_PERFORM, "no sub-operation succeeded", "C-MOVE, C-GET"),
        (retrieve.UNKNOWN_DESTINATION, "the move destination is not a known peer", "C-MOVE"),
        (status.UNRECOGNIZED_OPERATION, "the SOP class has no such operation", "all"),
        (status.PROCESSING_FAILURE, "anything unforeseen: a bug of ours", "all"),
    )
    rows += [(f"`{code:04X}`", meaning, where, "") for code, meaning, where in fixed]
    return table(("status", "meaning", "operations", "error"), sorted(rows))


def _of_error(kind: type[errors.IsocenterError]) -> str:
    said = (kind.__doc__ or "").split("\n")[0].rstrip(".")
    return said[:1].lower() + said[1:]


# --- keys


_SAMPLES = {
    "DA": "20200101",
    "TM": "12",
    "DT": "2020",
    "IS": "1",
    "DS": "1",
    **dict.fromkeys(("FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"), "1"),
    "UI": "1.2",
}


def how(attribute: Attribute) -> str:
    """How a key is matched; asked of the code that makes the conditions."""
    if attribute.tag in NEVER_MATCHED or attribute.held is Held.GIVEN:
        return "returned"
    if attribute.vr == "SQ":
        return "matched"
    key = Key(attribute.tag, _SAMPLES.get(attribute.vr, "X"))
    made = conditions_of(Query(level=attribute.level, keys=(key,)), 0)
    kind = "computed, matched" if attribute.held is Held.COMPUTED else "matched"
    return f"{kind} by index" if all(each.hits is not None for each in made) else kind


def keys(level: Level) -> str:
    """The keys of one level."""
    found = (
        each
        for each in ATTRIBUTES.values()
        if each.level is level and each.held is not Held.GIVEN and each.tag not in _only_of_none()
    )
    return _keys(found)


def _only_of_none() -> set[int]:
    """Attributes that the index has for instances of no patient alone."""
    every = (each for attributes in BY_CATEGORY.values() for each in attributes)
    return {each.tag for each in every if ATTRIBUTES[each.tag] is each}


def keys_of_category(name: str) -> str:
    """The keys of instances of no patient."""
    return _keys(BY_CATEGORY[name])


def _keys(attributes: Iterable[Attribute]) -> str:
    rows = [
        (each.keyword, _tag(each.tag), each.vr, how(each), _items(each))
        for each in sorted(attributes, key=lambda each: each.tag)
    ]
    return table(("keyword", "tag", "VR", "how", "keys of its items"), rows)


def given() -> str:
    """Keys that the archive fills in at every level."""
    rows = [
        (each.keyword, _tag(each.tag), each.vr)
        for each in sorted(ATTRIBUTES.values(), key=lambda each: each.tag)
        if each.held is Held.GIVEN
    ]
    return table(("keyword", "tag", "VR"), rows)


def _tag(tag: int) -> str:
    return f"`{tag >> 16:04X},{tag & 0xFFFF:04X}`"


def _items(attribute: Attribute) -> str:
    return ", ".join(
        f"{each.keyword} ({_items(each)})" if each.items else each.keyword
        for each in attribute.items.values()
    )


# --- web services


def _served() -> tuple[Resource, ...]:
    return (capabilities.service(), *sorted(merged(routing.RESOURCES), key=lambda each: each.path))


def _methods() -> Iterator[tuple[Resource, str, Method]]:
    for resource in _served():
        for name, method in resource.methods.items():
            yield resource, name, method


def web_resources() -> str:
    """Every resource with its methods, what they take and give, and what they may answer."""
    rows = [
        (
            f"`{resource.path}`",
            f"{name} {method.transaction}",
            method.source,
            _media_types(method.takes),
            _media_types(method.gives),
            " ".join(str(code) for code in sorted(method.statuses)),
        )
        for resource, name, method in _methods()
    ]
    return table(("resource", "transaction", "source", "takes", "gives", "status codes"), rows)


def _media_types(listed: Iterable[str]) -> str:
    return "<br>".join(f"`{each}`" for each in listed)


def web_statuses() -> str:
    """What status codes mean, by transaction; those that mean the same come together."""
    meanings: dict[tuple[tuple[int, str], ...], list[str]] = {}
    for _, name, method in _methods():
        known = meanings.setdefault(tuple(sorted(method.statuses.items())), [])
        if (called := f"{name} {method.transaction}") not in known:
            known.append(called)
    parts = []
    for statuses, names in meanings.items():
        rows = [(f"`{code}`", meaning) for code, meaning in statuses]
        parts.append(f"**{', '.join(names)}**\n\n{table(('status', 'when'), rows)}")
    return "\n\n".join(parts)


def web_any() -> str:
    """What any request may be answered."""
    return table(("status", "when"), [(f"`{code}`", when) for code, when in ANY_METHOD.items()])


def web_reasons() -> str:
    """Failure and Warning Reasons of responses to requests to store."""
    by_reason: dict[int, list[str]] = {}
    for error, reason in reasons.REASONS.items():
        by_reason.setdefault(reason, []).append(f"`{error.__name__}`")
    rows = [
        (f"`{reason:04X}` ({reason})", meaning, ", ".join(by_reason.get(reason, ())))
        for reason, meaning in sorted(reasons.MEANINGS.items())
    ]
    return table(("reason", "meaning", "error"), rows)


def commitment_reasons() -> str:
    """Failure Reasons of responses to requests for storage commitment."""
    meanings = setting.meanings(commitment.Reason)
    rows = [
        (
            f"`{each.value:04X}` ({each.value})",
            each.name.replace("_", " ").lower(),
            meanings[each.name],
        )
        for each in sorted(commitment.Reason)
    ]
    return table(("reason", "name", "when"), rows)


def web_parameters() -> str:
    """Query parameters, and the transactions that heed them."""
    heeding: dict[tuple[str, str], list[str]] = {}
    for _, _, method in _methods():
        for each in method.parameters:
            known = heeding.setdefault((each.name, each.source), [])
            if method.transaction not in known:
                known.append(method.transaction)
    rows = [(f"`{name}`", source, ", ".join(names)) for (name, source), names in heeding.items()]
    return table(("parameter", "source", "transactions"), sorted(rows))


# --- FHIR


def fhir_parameters() -> str:
    """What each resource of FHIR can be searched by."""
    rows = [
        (
            kind.name,
            f"`{each.name}`",
            each.type,
            ", ".join(f"`:{one}`" for one in (*each.modifiers, *each.targets)),
            _releases(each.releases),
            each.meaning,
        )
        for kind in fhir.RESOURCES
        for each in kind.parameters
    ]
    return table(("resource", "parameter", "type", "modifiers", "releases", "meaning"), rows)


def fhir_chains() -> str:
    """What may be asked of a patient in a search for something else."""
    return ", ".join(f"`patient.{name}`" for name in patients.CHAINED)


def fhir_includes() -> str:
    """What may come along with what is searched for."""
    rows = [
        (f"`{parameter}={name}`", each.of.name, each.gives.name, _releases(each.releases))
        for parameter, known in (
            ("_include", including.INCLUDES),
            ("_revinclude", including.REVERSE),
        )
        for name, each in known.items()
    ]
    return table(("parameter", "of a search for", "brings", "releases"), rows)


def _releases(releases: Iterable[Release]) -> str:
    return ", ".join(each.name for each in releases)


def fhir_statuses() -> str:
    """Status and issue type of each error."""
    rows = [
        (f"`{status.value}`", f"`{code}`", _of_error(kind), kind.__name__)
        for kind, (status, code) in outcomes.STATUSES.items()
    ]
    return table(("status", "issue", "meaning", "error"), sorted(rows))


# --- workitems


def workitem() -> str:
    """The attributes of a workitem, those in sequences below them."""
    return table(
        ("attribute", "tag", "to create", "to set", "needed to be", "key", "returned"),
        _requirements(procedure_step.TABLE),
    )


def _requirements(
    held: Mapping[int, Requirement], above: str = "", path: str = ""
) -> Iterator[Row]:
    for each in held.values():
        name = f"{above}{each.keyword}"
        yield (
            name,
            _tag(each.tag),
            _usage(each.on_create),
            _usage(each.on_set),
            _final(each.final),
            _match(each, f"{path}{each.tag8}"),
            "" if path else _returned(each),
        )
        yield from _requirements(each.items, f"{above}> ", f"{path}{each.tag8}.")


def _usage(usage: Usage) -> str:
    if usage.is_ours:
        return "ours"
    if not usage.is_allowed:
        return "no"
    if not usage.may_have_value:
        return "empty"
    if usage.is_required:
        return "there" if usage.may_be_empty else "value"
    return "may be empty" if usage.may_be_empty else "optional"


def _final(code: str) -> str:
    states = {"R": "COMPLETED, CANCELED", "P": "COMPLETED", "X": "CANCELED"}
    return "COMPLETED, if only empty" if code == "P2" else states.get(code, "")


def _match(requirement: Requirement, path: str) -> str:
    if path in INDEXED:
        return "index"
    return "no" if requirement.match == "-" else "yes"


def _returned(requirement: Requirement) -> str:
    if not requirement.on_create.may_have_value and not requirement.on_create.is_required:
        return "never"
    if requirement.returned in ("1", "2"):
        return "always"
    return "if there" if requirement.returned in ("1C", "2C") else "asked"


# --- the upper layer


def states() -> str:
    """The states of an association as it goes well; whatever else happens ends it."""
    edges: dict[tuple[State, State], list[str]] = {}
    for (event, state), action in TABLE.items():
        if action.value.startswith("AA-") or event is Event.TRANSPORT_CLOSED:
            continue
        for after in _after(state, action):
            edges.setdefault((state, after), []).append(_event(event))
    lines = ["```mermaid", "stateDiagram-v2", "    direction TB"]
    lines += [f'    state "{each.value} {_words(each.name)}" as {each.value}' for each in State]
    lines += [
        f"    {before.value} --> {after.value}: {' / '.join(events)}"
        for (before, after), events in edges.items()
    ]
    return "\n".join([*lines, "```"])


def _after(state: State, action: Action) -> Iterator[State]:
    yield STEPS[action][1]
    if action is Action.AR_8:  # on a release collision an acceptor goes another way
        yield State.COLLISION_ACCEPTOR_AWAITING_RELEASE


def transitions() -> str:
    """The whole table: what each event leads to in each state."""
    rows = [
        (_event(event), *(_cell(TABLE.get((event, state))) for state in State)) for event in Event
    ]
    return table(("event", *(state.value for state in State)), rows)


def _cell(action: Action | None) -> str:
    return action.value if action is not None else ""


def _event(event: Event) -> str:
    return _words(event.name)


def _words(name: str) -> str:
    return name.replace("_", " ").lower().replace("artim", "ARTIM")


# --- formats


def _proofs() -> Mapping[str, Any]:
    """What `tests/formats.py` has noted."""
    proofs = (DOCS.parent / "tests" / "data" / "formats.json").read_text("utf-8")
    return cast(Mapping[str, Any], json.loads(proofs))


def formats() -> str:
    """Every transfer syntax: whether its pixels are decoded and encoded, by what, and the proof."""
    proofs = _proofs()
    rows = []
    for uid in abilities.transfer_syntaxes():
        ability = abilities.of_transfer_syntax(uid)
        rows.append(
            (
                TRANSFER_SYNTAXES[uid].name,
                f"`{uid}`",
                _proof(ability.is_decoded, proofs["decoded"].get(uid)),
                _proof(ability.is_encoded, proofs["encoded"].get(uid)),
                ability.library,
                ability.licence,
            )
        )
    headings = ("transfer syntax", "UID", "decoded", "encoded", "library", "licence")
    return table(headings, rows)


def image_classes() -> str:
    """Every SOP class of images: whether it is kept, read and rendered, and the proof."""
    rows = []
    for uid, proof in ((uid, _proofs()["classes"].get(uid)) for uid in abilities.images()):
        known = SOP_CLASSES[uid]
        done = [_yes(proof is not None and proof[what]) for what in ("kept", "read", "rendered")]
        retired = " (retired)" if known.is_retired else ""
        rows.append((f"{known.name}{retired}", f"`{uid}`", *done, proof["file"] if proof else ""))
    return table(("SOP class", "UID", "kept", "read", "rendered", "proven by"), rows)


def _yes(is_done: bool) -> str:
    return "yes" if is_done else "no"


def _proof(can: bool, proof: Mapping[str, str] | None) -> str:
    if not can:
        return "no"
    if proof is None:
        return "yes"
    return f"yes: {proof['file']}, by {proof['by'] or 'itself'}"


# --- the pages

FRAGMENTS: Mapping[str, tuple[tuple[str, Callable[[], str]], ...]] = {
    "reference/settings.md": (
        ("settings", settings),
        ("archive", lambda: settings("archive.")),
        ("dimse", lambda: settings("dimse.")),
        ("http", lambda: settings("http.")),
        ("dicomweb", lambda: settings("dicomweb.")),
        ("fhir", lambda: settings("fhir.")),
        ("imaging", lambda: settings("imaging.")),
        ("jobs", lambda: settings("jobs.")),
        ("viewer", lambda: settings("viewer.")),
        ("ui", lambda: settings("ui.")),
        ("compression", lambda: settings("compression.")),
    ),
    "reference/commands.md": (("commands", commands),),
    "reference/dimse.md": (
        ("services", services),
        ("statuses", statuses),
        ("transfer syntaxes", syntaxes),
        ("storage", storage),
    ),
    "reference/dicomweb.md": (
        ("resources", web_resources),
        ("statuses", web_statuses),
        ("any method", web_any),
        ("reasons", web_reasons),
        ("commitment", commitment_reasons),
        ("parameters", web_parameters),
    ),
    "reference/fhir.md": (
        ("search parameters", fhir_parameters),
        ("chains", fhir_chains),
        ("includes", fhir_includes),
        ("statuses", fhir_statuses),
    ),
    "reference/query-keys.md": (
        ("patient", lambda: keys(Level.PATIENT)),
        ("study", lambda: keys(Level.STUDY)),
        ("series", lambda: keys(Level.SERIES)),
        ("image", lambda: keys(Level.IMAGE)),
        ("given", given),
        *((name, partial(keys_of_category, name)) for name in BY_CATEGORY),
    ),
    "reference/workitem-attributes.md": (("workitem", workitem),),
    "reference/formats.md": (("formats", formats), ("image classes", image_classes)),
    "explanation/architecture.md": (("states", states), ("transitions", transitions)),
}


def drawn(page: str, text: str) -> str:
    """Return ``text``, a page, with what is drawn from the code as it is now."""
    for name, draw in FRAGMENTS[page]:
        begin, end = BEGIN.format(name), END.format(name)
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (found and ended):
            raise SystemExit(f"{page} has no place for {name!r}")
        text = f"{before}{begin}\n{draw()}\n{end}{after}"
    return text


def main() -> int:
    for page in FRAGMENTS:
        path = DOCS / page
        path.write_text(drawn(page, path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
