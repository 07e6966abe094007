"""Metadata of a server that runs: the same by whatever way, kept over a restart, of any size."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import httpx

from instances import Instance, make_study, stream_study, write_files
from peers import Isocenter
from programs import Command, ServerFactory, Tool

JSON = {"accept": "application/dicom+json"}


def path_of(one: Instance, *, is_series: bool = True) -> str:
    series = f"/series/{one.series}" if is_series else ""
    return f"/dicom-web/studies/{one.study}{series}/metadata"


def ask(server: Isocenter, path: str, **headers: str) -> httpx.Response:
    url = f"{server.url}{path}"
    return httpx.get(url, headers={**JSON, **headers}, timeout=60, trust_env=False)


def store_by_web(server: Isocenter, instances: list[Instance]) -> None:
    mark = "parted"
    body = b"".join(
        f"\r\n--{mark}\r\nContent-Type: application/dicom\r\n\r\n".encode() + each.file
        for each in instances
    )
    kind = f'multipart/related; type="application/dicom"; boundary={mark}'
    answer = httpx.post(
        f"{server.url}/dicom-web/studies",
        content=body + f"\r\n--{mark}--\r\n".encode(),
        headers={"content-type": kind, **JSON},
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text


def without_address(server: Isocenter, answer: httpx.Response) -> Any:
    return json.loads(answer.text.replace(server.url, ""))


def test_what_came_by_c_store_and_by_stow_is_described_alike(
    start_server: ServerFactory, dcmtk: Tool, tmp_path: Path
) -> None:
    instances = make_study(10, pixels=64)
    first, second = start_server(), start_server()
    write_files(instances, tmp_path / "files")
    dcmtk("storescu", "-R", "+sd", *first.at[:2], *first.at[2:], str(tmp_path / "files"))
    store_by_web(second, instances)

    answers = [ask(server, path_of(instances[0])) for server in (first, second)]

    assert [answer.status_code for answer in answers] == [200, 200]
    found = [
        without_address(server, answer)
        for server, answer in zip((first, second), answers, strict=True)
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 10


def test_a_restart_after_kill_gives_what_is_there_then(server: Isocenter) -> None:
    study = make_study(20, pixels=64)
    store_by_web(server, study[:10])
    assert len(ask(server, path_of(study[0])).json()) == 10
    store_by_web(server, study[10:])

    server.kill()
    server.start()

    answer = ask(server, path_of(study[0]))
    assert len(answer.json()) == 20
    again = ask(server, path_of(study[0]), **{"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304


def test_an_index_made_anew_or_a_folder_without_copies_changes_nothing(
    server: Isocenter, isocenter: Command
) -> None:
    study = make_study(20, pixels=64)
    store_by_web(server, study)
    before = ask(server, path_of(study[0])).json()
    server.stop()
    isocenter("reindex", "--data", server.data)
    server.start()
    assert ask(server, path_of(study[0])).json() == before

    shutil.rmtree(server.data / "copies")

    assert ask(server, path_of(study[0])).json() == before


def test_a_large_study_is_streamed_in_little_memory(
    server: Isocenter, isocenter: Command, tmp_path: Path
) -> None:
    count = 1000
    instances = stream_study(count, series=10, pixels=8)
    first = next(instances)
    write_files([first, *instances], tmp_path / "files")
    server.stop()
    isocenter("import", "--data", server.data, tmp_path / "files", timeout=300)
    server.start()
    ask(server, path_of(first))
    before = server.process.resident_bytes()

    started = time.monotonic()
    size = 0
    with httpx.stream(
        "GET", f"{server.url}{path_of(first, is_series=False)}", timeout=60, trust_env=False
    ) as answer:
        for piece in answer.iter_raw():
            size += len(piece)
    taken = time.monotonic() - started

    assert answer.status_code == 200
    assert size > 1000
    assert server.process.resident_bytes() - before < 50e6
    assert taken < 60
    whole = ask(server, path_of(first, is_series=False), **{"accept-encoding": "gzip"})
    assert len(whole.json()) == count
