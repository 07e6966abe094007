from pathlib import Path

import pytest

from isocenter.address import Address
from isocenter.config import Config, SettingsError, documented, load


def faults(text: str, tmp_path: Path, **options: object) -> list[str]:
    file = tmp_path / "isocenter.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(file, options=options)
    return [str(fault).removeprefix(f"{tmp_path}/") for fault in caught.value.faults]


def test_without_any_source_the_defaults_hold() -> None:
    assert load() == Config()


def test_options_win_over_environment_over_file(tmp_path: Path) -> None:
    file = tmp_path / "isocenter.toml"
    file.write_text('aet = "FILE"\ndicom_port = 1\nhttp_port = 1\n[dimse]\nidle_timeout = 5\n')

    config = load(
        file,
        environ={"ISOCENTER_DICOM_PORT": "2", "ISOCENTER_DIMSE__MAX_OPERATIONS": "3", "PATH": "/"},
        options={"dicom_port": 4},
    )

    assert (config.aet, config.dicom_port, config.http_port) == ("FILE", 4, 1)
    assert (config.dimse.idle_timeout, config.dimse.max_operations) == (5.0, 3)


def test_every_fault_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = (
        'aet = "FAR TOO LONG A TITLE"\n'
        "colour = 1\n"
        "\n"
        "[archive]\n"
        'on_conflict = "shrug"\n'
        "[dimse]\n"
        'idle_timeout = "soon"\n'
        "max_operations = 1000\n"
        "[[peer]]\n"
        'aet = "GOOD"\nhost = "h"\nport = 104\n'
        "[[peer]]\n"
        'aet = "BAD"\nhost = "h"\nport = 104000\n'
    )

    assert sorted(faults(text, tmp_path)) == [
        "isocenter.toml:13: peer: 104000 is not a port",
        "isocenter.toml:1: aet: AE title 'FAR TOO LONG A TITLE' has 20 characters, not 1 to 16",
        "isocenter.toml:2: there is no setting 'colour'",
        "isocenter.toml:5: archive.on_conflict: 'shrug' is none of 'keep', 'replace', 'reject'",
        "isocenter.toml:7: dimse.idle_timeout: expected a number, not 'soon'",
        "isocenter.toml:8: dimse.max_operations: 1000 is outside 1 to 64",
    ]


def test_a_file_that_is_no_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    assert "line 2" in faults("aet = 'A'\n[[[\n", tmp_path)[0]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load(tmp_path / "nowhere.toml")


def test_an_unknown_section_is_refused_even_when_empty(tmp_path: Path) -> None:
    assert faults("[dimsee]\n", tmp_path) == [
        "isocenter.toml:1: there is no setting 'dimsee'",
    ]


def test_an_environment_variable_that_means_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match="ISOCENTER_PROT: there is no setting 'prot'"):
        load(environ={"ISOCENTER_PROT": "1"})


def test_listening_beyond_loopback_needs_authentication_or_consent() -> None:
    with pytest.raises(SettingsError, match=r"--host: listening on 0\.0\.0\.0"):
        load(options={"host": "0.0.0.0"})

    assert load(options={"host": "0.0.0.0", "allow_anonymous": True}).is_exposed
    assert load(environ={"ISOCENTER_DIMSE__KNOWN_CALLERS_ONLY": "true", "ISOCENTER_HOST": "::"})


def test_peers_of_file_and_command_line_add_up(tmp_path: Path) -> None:
    file = tmp_path / "isocenter.toml"
    file.write_text('[[peer]]\naet = "A"\nhost = "::1"\nport = 104\n')

    config = load(file, options={"peer": ["B@pacs.example:11112"]})

    assert config.peer == (Address("A", "::1", 104), Address("B", "pacs.example", 11112))


def test_every_setting_is_described() -> None:
    assert {"aet", "archive.on_conflict", "dimse.idle_timeout", "peer"} <= {
        name for name, _, _ in documented()
    }


def test_rules_of_compression_are_read_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "isocenter.toml"
    file.write_text(
        '[[compression]]\nto = "htj2k"\nmodalities = ["CT", "MR"]\n'
        '[[compression]]\nto = "jpeg-ls"\nwhen = "later"\nage = 60\n'
    )

    first, second = load(file).compression

    assert (first.to, first.modalities, first.when) == ("htj2k", ("CT", "MR"), "on ingest")
    assert (second.to, second.when, second.age) == ("jpeg-ls", "later", 60.0)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ('to = "jpeg"', "none of the transfer syntaxes that lose nothing: rle, jpeg-lossless"),
        ('to = "jpeg-2000-lossy"', "lose nothing"),
        ("when = 'later'", "'to' is missing"),
        ('to = "rle"\nage = 5', "only what is compressed later has one"),
        ('to = "rle"\nwhen = "sometimes"', "when: 'sometimes' is none of"),
        ('to = "rle"\nmodality = "CT"', "there is no setting 'modality' in a rule"),
        ('to = "rle"\nmodalities = "CT"\nage = -1', "age: -1 is outside"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_told_with_its_line(
    tmp_path: Path, rule: str, told: str
) -> None:
    file = tmp_path / "isocenter.toml"
    file.write_text(f'aet = "A"\n\n[[compression]]\n{rule}\n')

    with pytest.raises(SettingsError) as caught:
        load(file)

    (fault,) = caught.value.faults
    assert fault.where == f"{file}:3"
    assert told in fault.what


def test_a_timezone_that_is_none_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "isocenter.toml"
    for text in ("Mars/Olympus", "../etc/passwd", "/etc/localtime"):
        file.write_text(f'[fhir]\ntimezone = "{text}"\n')
        with pytest.raises(SettingsError, match=r"isocenter\.toml:2.*timezone"):
            load(file)
    file.write_text('[fhir]\ntimezone = "Europe/Berlin"\n')
    assert load(file).fhir.timezone == "Europe/Berlin"
