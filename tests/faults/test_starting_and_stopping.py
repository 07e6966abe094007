"""What must stop a start, and what must not stop an end."""

import os
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import wire
from instances import make_study, write_files
from peers import Isocenter, clean_environment, run_tool
from programs import ServerFactory
from questions import count_instances, store_all

UNAVAILABLE = 0xA700


def refused(server: Isocenter, *options: str) -> str:
    """What a server that must not start says; it must exit with 1, soon."""
    server.folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [*server.command(), *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        env=clean_environment(),
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_second_server_on_the_same_folder_is_refused(server: Isocenter, tmp_path: Path) -> None:
    told = refused(Isocenter(tmp_path / "second", data_folder=server.data))

    assert len(told.strip().splitlines()) == 1
    assert str(server.data) in told
    assert server.health() == 200


@pytest.mark.parametrize("which", ["dicom_port", "http_port"])
def test_a_taken_port_is_told(tmp_path: Path, which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        told = refused(Isocenter(tmp_path, **{which: port}))

    assert len(told.strip().splitlines()) == 1
    assert str(port) in told


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        folder = Path("/proc/isocenter")  # where not even root can write
    else:
        folder = tmp_path / "closed"
        folder.mkdir()
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)

    told = refused(Isocenter(tmp_path / "server", data_folder=folder))

    assert len(told.strip().splitlines()) == 1
    assert str(folder) in told


def test_a_data_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    told = refused(Isocenter(tmp_path / "server", data_folder=tmp_path / "file"))

    assert len(told.strip().splitlines()) == 1


def test_every_wrong_setting_is_told_with_its_line(tmp_path: Path) -> None:
    config = 'aet = "ISOCENTER"\ncolour = "red"\n[dimse]\nidle_timeout = "soon"\nmax_people = 3\n'

    told = refused(Isocenter(tmp_path, config=config))

    for name, line in (("colour", 2), ("idle_timeout", 4), ("max_people", 5)):
        (fault,) = [text for text in told.splitlines() if name in text]
        assert str(line) in fault


def test_another_host_is_refused_unless_callers_are_known(tmp_path: Path) -> None:
    told = refused(Isocenter(tmp_path), "--host", "0.0.0.0")

    assert "allow-anonymous" in told


def test_a_stop_lets_a_transfer_finish(server: Isocenter) -> None:
    (one,) = make_study(pixels=512)
    association = wire.storing(server.dicom_port, (one.sop_class, one.transfer_syntax)).connect()
    statuses: list[int] = []

    def store() -> None:
        command: dict[int, int | str] = {
            wire.SOP_CLASS: one.sop_class,
            wire.COMMAND: wire.C_STORE_RQ,
            wire.MESSAGE_ID: 1,
            wire.PRIORITY: 0,
            wire.DATA_SET_TYPE: 1,
            wire.SOP_INSTANCE: one.sop_instance,
        }
        command_set = wire.encode_command(command)
        start = b"".join(association.fragments(1, command_set, is_command=True))
        rest = b"".join(association.fragments(1, one.data_set, is_command=False))
        association.socket.sendall(start + rest[:1000])
        begun.set()
        time.sleep(0.5)
        association.socket.sendall(rest[1000:])
        statuses.append(association.receive_message().status)
        association.release()
        association.close()

    begun = threading.Event()
    sender = threading.Thread(target=store)
    sender.start()
    assert begun.wait(10)
    server.process.send_signal(signal.SIGTERM)
    sender.join(20)
    server.stop(20)

    assert statuses == [wire.SUCCESS]
    server.start()
    assert count_instances(server, one.study) == 1


def test_a_stop_does_not_wait_for_the_idle(start_server: ServerFactory) -> None:
    server = start_server(config="shutdown_timeout = 2\n")
    idle = [wire.Association(server.dicom_port).connect() for _ in range(5)]
    unfinished = socket.create_connection(("127.0.0.1", server.dicom_port))

    started = time.monotonic()
    server.stop()

    assert time.monotonic() - started < 8
    unfinished.close()
    for association in idle:
        association.close()


def test_a_stop_ends_a_stalled_transfer_at_its_deadline(start_server: ServerFactory) -> None:
    server = start_server(config="shutdown_timeout = 1\n")
    (one,) = make_study(pixels=512)
    association = wire.storing(server.dicom_port, (one.sop_class, one.transfer_syntax)).connect()
    whole = b"".join(association.fragments(1, one.data_set, is_command=False))
    association.socket.sendall(whole[:1000])

    started = time.monotonic()
    server.stop()
    association.close()

    assert time.monotonic() - started < 8


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    folder.mkdir(parents=True)
    size = f"size={megabytes}m"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("may not mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_told_and_reads_go_on(start_server: ServerFactory, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16) as disk:
        server = start_server(data_folder=disk / "data")
        study = make_study(60, pixels=512)

        statuses = store_all(server, study)

        stored = statuses.count(wire.SUCCESS)
        assert set(statuses) == {wire.SUCCESS, UNAVAILABLE}
        assert stored >= 4
        assert count_instances(server, study[0].study) == stored
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb") as file:
            file.write(bytes(64 << 20))
        assert set(store_all(server, make_study(2))) == {UNAVAILABLE}
        assert count_instances(server, study[0].study) == stored

        filler.unlink()
        for path in list(disk.rglob("*.tmp")):
            assert not path.stat().st_size, f"{path} was left behind"
        server.stop()


def test_a_disk_with_room_again_takes_again(start_server: ServerFactory, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16) as disk:
        server = start_server(data_folder=disk / "data")
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb") as file:
            file.write(bytes(64 << 20))
        (one,) = make_study()

        full = store_all(server, [one])
        filler.unlink()
        roomy = store_all(server, [one])

        assert (full, roomy) == ([UNAVAILABLE], [wire.SUCCESS])
        server.stop()


def test_a_blob_that_is_gone_fails_alone(start_server: ServerFactory, tmp_path: Path) -> None:
    server = start_server()
    study = make_study(3)
    store_all(server, study)
    (blob,) = [
        path
        for path in server.data.rglob("*")
        if path.is_file()
        and study[1].sop_instance.encode() in path.read_bytes()[:4096]
        and study[1].data_set[-1024:] in path.read_bytes()
        and path.read_bytes().endswith(study[1].data_set)
    ]
    blob.unlink()

    contexts = [(wire.STUDY_ROOT_GET, (wire.IMPLICIT,)), (study[0].sop_class, (wire.EXPLICIT,))]
    roles = wire.role_selection(study[0].sop_class, user=False, provider=True)
    keys = wire.identifier({0x00080052: "STUDY", 0x0020000D: study[0].study})
    with wire.Association(server.dicom_port, contexts, user_items=roles) as association:
        answers = list(association.get(keys))

    given = {
        str(message.command[wire.SOP_INSTANCE]): message.data_set
        for message in answers
        if message.command[wire.COMMAND] == wire.C_STORE_RQ
    }
    assert given == {one.sop_instance: one.data_set for one in (study[0], study[2])}
    assert answers[-1].status == 0xB000
    assert answers[-1].command[wire.FAILED] == 1
    assert study[1].sop_instance.encode() in answers[-1].data_set


def test_a_sender_killed_in_mid_transfer_leaves_nothing(server: Isocenter, tmp_path: Path) -> None:
    study = make_study(30, pixels=512)
    files = write_files(study, tmp_path)
    arguments = [*server.at, *files]

    with pytest.raises(subprocess.TimeoutExpired):
        run_tool("storescu", "--repeat", "1000", *arguments, timeout=0.5)

    held = count_instances(server, study[0].study)
    assert held <= 30
    assert set(store_all(server, study)) == {wire.SUCCESS}
    assert count_instances(server, study[0].study) == 30
