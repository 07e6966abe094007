import pytest
from hypothesis import given, strategies as st

from isocenter.storage.names import fold_group, fold_letters, sound, words


@pytest.mark.parametrize(
    ("written", "also_written"),
    [
        ("Müller^Jörg", "MULLER^JORG"),
        ("Łódź^Ørsted", "LODZ^ORSTED"),
        ("Groß", "GROSS"),
        ("Đorđević", "Dordevic"),
        ("Straße  ^ Anna ", "STRASSE^ANNA"),
        ("Doe^John^^^", "Doe^John"),
        ("\uff33\uff4d\uff49\uff54\uff48", "smith"),
        ("Ελένη", "ΕΛΕΝΗ"),
        ("Иванов", "ИВАНОВ"),
        ("Mu\u0308ller", "M\u00fcller"),
    ],
)
def test_case_accents_padding_and_forms_make_no_difference(written: str, also_written: str) -> None:
    assert fold_group(written) == fold_group(also_written)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Doe^John", "Doe^Jane"), ("Doe^^John", "Doe^John"), ("か", "が"), ("洪", "王")],
)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert fold_group(one) != fold_group(other)


def test_hangul_syllables_stay_whole() -> None:
    assert fold_group("홍^길동") == "홍^길동"


@given(st.text())
def test_folding_again_changes_nothing(text: str) -> None:
    assert fold_letters(fold_letters(text)) == fold_letters(text)
    assert fold_group(fold_group(text)) == fold_group(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("swain", "swayne"),  # the example of PS3.4 C.2.2.2.1
        ("meyer", "maier"),
        ("smith", "schmidt"),
        ("mueller", "muller"),
        ("thompson", "tomson"),
        ("catherine", "katharina"),
        ("wolf", "wulff"),
        ("kowalski", "kovalsky"),
        ("petersen", "pedersen"),
    ],
)
def test_spellings_of_one_name_sound_alike(one: str, other: str) -> None:
    assert sound(one) == sound(other) != ""


@pytest.mark.parametrize(("one", "other"), [("lee", "lu"), ("smith", "jones"), ("anna", "maria")])
def test_other_names_sound_otherwise(one: str, other: str) -> None:
    assert sound(one) != sound(other)


@pytest.mark.parametrize("word", ["王", "иванов", "홍", "42", ""])
def test_what_is_not_latin_has_no_sound(word: str) -> None:
    assert sound(word) == ""


@given(st.text())
def test_a_word_has_no_break_in_it(text: str) -> None:
    for word in words(fold_group(text)):
        assert word
        assert not set(word) & set("^= ")
        assert sound(word).isascii()
