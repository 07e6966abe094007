"""Person names as they are compared: folded, split into words, and by sound.

Source: PS3.5 6.2.1 (component groups and components); PS3.4 C.2.2.2.1 (insensitive matching).
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
"""The component groups of a name, as the DICOM JSON model calls them (PS3.18 F.2.2)."""

_LETTERS: Final = str.maketrans(
    {
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "ħ": "h",
        "ŧ": "t",
        "þ": "th",
        "æ": "ae",
        "œ": "oe",
        "\N{LATIN SMALL LETTER DOTLESS I}": "i",
        "ŋ": "n",
        "ĸ": "k",
        "ß": "ss",
    }
)
_SPACES: Final = re.compile(r"\s+")
_BREAKS: Final = re.compile(r"[\^=\s,.;\-\u2010-\u2015'\u2019*]+")


def _is_accent(character: str) -> bool:
    # Not the marks that make another letter in kana, Indic and Thai scripts: those are
    # classes 0, 7-9, 84-132.
    mark = unicodedata.combining(character)
    return mark == 1 or 10 <= mark <= 36 or mark >= 200


def fold_letters(text: str) -> str:
    """``text`` without case and accents; ligatures and full-width forms as plain letters."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    plain = "".join(each for each in decomposed if not _is_accent(each)).translate(_LETTERS)
    return unicodedata.normalize("NFC", plain)


@lru_cache(maxsize=4096)
def fold_group(group: str) -> str:
    """One component group as it is stored and compared; ``""`` where it names nobody.

    Spaces around components and empty components at the end do not count.
    """
    components = [_SPACES.sub(" ", each).strip() for each in fold_letters(group).split("^")]
    return "^".join(components).rstrip("^")


def words(folded: str) -> list[str]:
    """The words of a folded name, each once, in order."""
    return list(dict.fromkeys(each for each in _BREAKS.split(folded) if each))


# In this order. What European spellings of one sound have in common, then consonants by kind.
_SPELLINGS: Final = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"^(kn|gn|pn)", "n"),
        (r"^wr", "r"),
        (r"^ps", "s"),
        (r"^x", "s"),
        (r"tsch|tch|dsch|cz|tz|ts", "s"),
        (r"sch|sh|sz", "s"),
        (r"mps", "ms"),
        (r"ph", "f"),
        (r"th|dt", "t"),
        (r"ck|qu|q", "k"),
        (r"ch", "k"),
        (r"c(?=[eiy])", "s"),
        (r"c", "k"),
        (r"gh(?=[^aeiouy]|$)", ""),
        (r"x", "ks"),
        (r"z", "s"),
        (r"d", "t"),
        (r"b", "p"),
        (r"g", "k"),
        (r"v", "f"),
        (r"(?<=[aeiouy])w(?=[^aeiouy]|$)", ""),
        (r"w", "f"),
        (r"(?<!^)[jhy]", ""),
    )
)
_VOWELS: Final = re.compile(r"[aeiouy]+")
_DOUBLED: Final = re.compile(r"(.)\1+")


@lru_cache(maxsize=4096)
def sound(word: str) -> str:
    """How a folded Latin word sounds, roughly; ``""`` for other scripts and for no letters at all.

    Two spellings of one name should agree: Swain and Swayne, Meyer and Maier, Smith and Schmidt.
    """
    if not (word.isascii() and word.isalpha()):
        return ""
    code = word
    for pattern, replacement in _SPELLINGS:
        code = pattern.sub(replacement, code)
    opening = "a" if word[0] in "aeiouy" else ""
    consonants = _DOUBLED.sub(r"\1", _VOWELS.sub("", code))
    if len(consonants) + len(opening) > 1:
        return opening + consonants
    return opening + consonants + _first_vowel(word)


def _first_vowel(word: str) -> str:
    vowel = _VOWELS.search(word)
    return "" if vowel is None else {"e": "i", "y": "i", "u": "o"}.get(vowel[0][0], vowel[0][0])
