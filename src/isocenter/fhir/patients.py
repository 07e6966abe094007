"""What may be asked of a patient, by a search for patients or for what is a patient's."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from isocenter.errors import Malformed, Unsupported
from isocenter.fhir import demands as asked
from isocenter.fhir.demands import Demands, Given
from isocenter.storage.query import Key

NAME, ID, ISSUER, BIRTH_DATE, SEX = 0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00100040

SEXES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"male": ("M",), "female": ("F",), "other": ("O",), "unknown": ("", "U")}
)
"""Patient's Sex (PS3.3 C.7.1.1), by FHIR's gender."""


def ids(demands: Demands, given: Given) -> None:
    """Logical ids."""
    demands.of_patients(asked.plain(each) for each in given.values)


def identifiers(demands: Demands, given: Given) -> None:
    """Patient IDs, with their issuers or of any. Raises: Unsupported."""
    tokens = [asked.token(each) for each in given.values]
    issuers = {system if system is None else asked.issuer_of_system(system) for system, _ in tokens}
    if len(issuers) > 1:
        raise Unsupported("identifiers of several systems at once: ask for one after the other")
    for issuer in issuers:
        if issuer == "":
            demands.keys.append(Key(ISSUER, '""'))
        elif issuer is not None:
            demands.keys.append(Key(ISSUER, any_of=(issuer,)))
    if wanted := tuple(value for _, value in tokens if value):
        demands.keys.append(Key(ID, any_of=wanted))


def names(demands: Demands, given: Given) -> None:
    """Any part of a name begins with it, or holds it."""
    _named(demands, given, lambda text: asked.starting(text, given.modifier == "contains"))


def families(demands: Demands, given: Given) -> None:
    """The family name begins with it."""
    _named(demands, given, lambda text: asked.starting(text, False)[:1])


def givens(demands: Demands, given: Given) -> None:
    """A given or middle name begins with it."""
    _named(demands, given, lambda text: asked.starting(text, False)[1:])


def _named(demands: Demands, given: Given, ways: Callable[[str], tuple[str, ...]]) -> None:
    wanted = [way for each in given.values for way in ways(each)]
    if not wanted:
        demands.is_impossible = True
        return
    demands.keys.append(Key(NAME, "\\".join(wanted)))


def birth_dates(demands: Demands, given: Given) -> None:
    """The date of birth."""
    asked.dated(BIRTH_DATE, None, demands, given)


def genders(demands: Demands, given: Given) -> None:
    """The administrative gender. Raises: Malformed."""
    found: tuple[str, ...] = ()
    for each in given.values:
        _, gender = asked.token(each)
        if gender not in SEXES:
            raise Malformed("there is no such gender: male, female, other, unknown")
        found += SEXES[gender]
    demands.keys.append(Key(SEX, any_of=found))


CHAINED: Final[Mapping[str, Callable[[Demands, Given], None]]] = MappingProxyType(
    {
        "_id": ids,
        "identifier": identifiers,
        "name": names,
        "family": families,
        "given": givens,
        "birthdate": birth_dates,
        "gender": genders,
    }
)
"""What may be asked of the patient whose something is, by name."""


def of_patient(demands: Demands, given: Given) -> None:
    """What is somebody's: a reference, or a chain to what is asked of the patient.

    Raises: Malformed, Unsupported.
    """
    if given.modifier == "identifier" and not given.chain:  # of the reference, which has it
        identifiers(demands, given)
        return
    if given.modifier not in ("", "Patient"):
        raise Unsupported(f"the modifier {given.modifier[:40]} of {given.name}")
    if not given.chain:
        ids = (asked.reference(each, ("Patient",), demands.base) for each in given.values)
        demands.of_patients(each for each in ids if each is not None)
        return
    name, _, modifier = given.chain.partition(":")
    if name not in CHAINED or modifier not in ("", "contains" if name == "name" else ""):
        raise Unsupported(f"to ask {given.chain[:40]} of a patient")
    CHAINED[name](demands, Given(name, modifier, "", given.values))
