"""Recordings reach the store whole: in parts while they go on, and after it was away. No secret is told."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from s3_server import BUCKET, KEY_ID, REGION, S3, SECRET_KEY, s3_server

from antiphon.audio.units import WIRE_RATE
from antiphon.errors import ConfigError, EngineError
from antiphon.store import uploading
from antiphon.store.recording import Recorder
from antiphon.store.uploading import Address, Uploads, store_at

pytestmark = pytest.mark.real

PATIENCE_S = 30.0
PART = uploading.PART_BYTES


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_server() as one:
        yield one


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "LOOK_S", 0.02)
    monkeypatch.setattr(uploading, "FIRST_REST_S", 0.02)
    monkeypatch.setattr(uploading, "RETRIES", 0)


def begun(s3: S3, folder: Path, secret_key: str = SECRET_KEY, keep_s: float = 0.0) -> Uploads:
    address = Address(f"s3://{BUCKET}/antiphon/sound", s3.url, REGION, KEY_ID, secret_key)
    return Uploads(store_at(address), folder, keep_s=keep_s)


def until(what: Callable[[], object]) -> None:
    limit = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_a_short_recording_is_sent_when_it_is_over_and_then_is_not_here_any_more(s3: S3, tmp_path: Path) -> None:
    uploads = begun(s3, tmp_path)
    path = tmp_path / "sess_1.ogg"
    uploads.began("sess_1")
    path.write_bytes(b"sound")
    time.sleep(0.1)
    assert not s3.objects
    uploads.ended("sess_1")
    until(lambda: not path.exists())
    assert s3.objects == {"antiphon/sound/sess_1.ogg": b"sound"}
    assert b"".join(uploads.read("sess_1") or ()) == b"sound"
    assert uploads.read("sess_2") is None
    uploads.delete("sess_1")
    uploads.delete("sess_1")
    assert not s3.objects
    uploads.close()


def test_of_a_long_recording_parts_are_sent_while_it_goes_on(s3: S3, tmp_path: Path) -> None:
    uploads = begun(s3, tmp_path)
    path, sound = tmp_path / "sess_1.ogg", os.urandom(2 * PART + 100_000)
    uploads.began("sess_1")
    with path.open("wb", buffering=0) as file:
        file.write(sound[: PART + 50_000])
        until(lambda: any(s3.uploads.values()))
        assert not s3.objects
        file.write(sound[PART + 50_000 :])
    uploads.ended("sess_1")
    until(lambda: not path.exists())
    assert s3.objects["antiphon/sound/sess_1.ogg"] == sound
    assert sum(request.startswith("PUT") for request in s3.requests) == 3
    uploads.close()


def test_what_a_store_that_is_away_did_not_get_waits_on_disk_and_is_sent_whole(
    s3: S3, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    uploads = begun(s3, tmp_path)
    path, sound = tmp_path / "sess_1.ogg", os.urandom(PART + 100)
    uploads.began("sess_1")
    path.write_bytes(sound)
    until(lambda: any(s3.uploads.values()))
    s3.is_away = True
    uploads.ended("sess_1")
    until(lambda: "a recording waits in" in caplog.text)
    assert path.read_bytes() == sound
    s3.is_away = False
    until(lambda: not path.exists())
    assert s3.objects["antiphon/sound/sess_1.ogg"] == sound
    uploads.close()


def test_a_recording_that_the_store_refuses_holds_up_no_other_and_is_tried_again(s3: S3, tmp_path: Path) -> None:
    s3.refuses = "sess_1"
    for name in ("sess_1", "sess_2", "sess_3"):
        (tmp_path / f"{name}.ogg").write_bytes(name.encode())
    uploads = begun(s3, tmp_path)
    until(lambda: set(s3.objects) == {"antiphon/sound/sess_2.ogg", "antiphon/sound/sess_3.ogg"})
    assert (tmp_path / "sess_1.ogg").read_bytes() == b"sess_1"
    s3.refuses = ""
    until(lambda: "antiphon/sound/sess_1.ogg" in s3.objects)
    uploads.close()


def test_what_a_process_left_is_sent_by_the_next_and_what_another_writes_is_left_alone(s3: S3, tmp_path: Path) -> None:
    (tmp_path / "sess_1.ogg").write_bytes(b"left behind")
    (tmp_path / "sess_2.ogg").write_bytes(b"another one's")
    with (tmp_path / "sess_2.ogg").open("ab") as writing:
        assert uploading.locked(writing)
        uploads = begun(s3, tmp_path)
        until(lambda: not (tmp_path / "sess_1.ogg").exists())
        time.sleep(0.1)
        assert list(s3.objects) == ["antiphon/sound/sess_1.ogg"]
        with pytest.raises(EngineError, match="on its way"):
            uploads.delete("sess_2")
    until(lambda: len(s3.objects) == 2)
    uploads.close()


def test_a_recorder_sends_what_it_wrote(s3: S3, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, uploads=lambda folder: begun(s3, folder))
    sound = recorder.begin("sess_1", 100.0)
    sound.heard(np.full(WIRE_RATE, 900, np.int16), 101.0)
    sound.close(102.0)
    until(lambda: s3.objects)
    assert s3.objects["antiphon/sound/sess_1.ogg"].startswith(b"OggS")
    until(lambda: not recorder.path("sess_1").exists())
    recorder.delete("sess_1")
    assert not s3.objects
    recorder.close()


def test_old_recordings_are_deleted_there(s3: S3, tmp_path: Path) -> None:
    s3.objects = {"antiphon/sound/sess_1.ogg": b"old", "antiphon/sound/else.txt": b"", "elsewhere/sess_1.ogg": b""}
    uploads = begun(s3, tmp_path, keep_s=3600.0)
    until(lambda: "antiphon/sound/sess_1.ogg" not in s3.objects)
    assert set(s3.objects) == {"antiphon/sound/else.txt", "elsewhere/sess_1.ogg"}
    uploads.close()


def test_a_wrong_key_is_told_without_the_key(s3: S3, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wrong = "not-the-secret-key"
    (tmp_path / "sess_1.ogg").write_bytes(b"sound")
    uploads = begun(s3, tmp_path, wrong)
    until(lambda: "a recording waits in" in caplog.text)
    with pytest.raises(EngineError, match="does not answer") as refused:
        uploads.read("sess_1")
    assert refused.value.code == "recording_unavailable"
    uploads.close()
    assert wrong not in caplog.text + str(refused.value) + refused.value.hint
    assert (tmp_path / "sess_1.ogg").exists()


def test_while_something_is_sent_everybody_else_goes_on(s3: S3, tmp_path: Path) -> None:
    """The library is not Python: it must let Python run."""
    (tmp_path / "sess_1.ogg").write_bytes(os.urandom(3 * PART))
    moments: list[float] = []
    uploads = begun(s3, tmp_path)
    while (tmp_path / "sess_1.ogg").exists():
        moments.append(time.monotonic())
        time.sleep(0.001)
    assert len(moments) > 10
    assert threading.active_count() < 20
    uploads.close()


def test_an_address_that_is_none_is_refused() -> None:
    for url in ("https://example.com/bucket", "s3://", "bucket"):
        with pytest.raises(ConfigError, match="not the URL of a bucket"):
            store_at(Address(url))
