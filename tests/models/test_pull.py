"""Models from a small hub on loopback: whole or not at all, resumed, checked, and never by surprise."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
from click.testing import CliRunner
from hub import SmallHub, serving

from antiphon.cli.models import command
from antiphon.engines.registry import FACTORIES
from antiphon.engines.tts.sherpa import find_voice
from antiphon.errors import ConfigError, UnknownName
from antiphon.models import pull as pulling
from antiphon.models.catalog import MODELS, Listed, Model, model_named
from antiphon.models.pull import Hub, copy_from, plan_from
from antiphon.models.store import LIST, Store

pytestmark = pytest.mark.real

NAME = "whisper-tiny.en"
FILES = {
    "model.bin": bytes(range(256)) * 2_000,
    "config.json": b"{}",
    "tokenizer.json": b'{"a": 1}',
    "vocabulary.txt": b"a\nb\n",
    "README.md": b"not needed",
    "../../escape.json": b"no",
}


@pytest.fixture
def hub() -> Iterator[SmallHub]:
    with serving(SmallHub(FILES, MODELS[NAME].repository)) as made:
        yield made


def pulled(hub: SmallHub, store: Store) -> tuple[Path, int]:
    counted: list[int] = []
    with Hub(hub.url) as client:
        plan = client.plan(NAME, model_named(NAME))
        return client.pull(plan, store, counted.append), sum(counted) - plan.size_bytes


def test_what_is_needed_and_nothing_else(hub: SmallHub, tmp_path: Path) -> None:
    store = Store(tmp_path / "models")
    folder, miscounted = pulled(hub, store)
    assert {path.name for path in folder.iterdir()} == {
        "model.bin", "config.json", "tokenizer.json", "vocabulary.txt", "antiphon-model.json",
    }  # fmt: skip
    assert (folder / "model.bin").read_bytes() == FILES["model.bin"]
    assert miscounted == 0
    assert store.names() == [NAME]
    assert store.find(NAME) == folder
    assert not list(tmp_path.rglob("escape*"))


def test_what_broke_off_goes_on_where_it_was(hub: SmallHub, tmp_path: Path) -> None:
    store = Store(tmp_path)
    hub.break_after = [100_000, 200_000]
    folder, miscounted = pulled(hub, store)
    assert (folder / "model.bin").read_bytes() == FILES["model.bin"]
    ranges = [asked for path, asked in hub.requests if path.endswith("model.bin")]
    assert ranges == [None, "bytes=100000-", "bytes=300000-"]
    assert miscounted == 0


def test_what_breaks_off_again_and_again_is_told_and_kept(hub: SmallHub, tmp_path: Path) -> None:
    store = Store(tmp_path)
    hub.break_after = [1_000] * pulling.ATTEMPTS
    with pytest.raises(ConfigError, match="broke off") as failed:
        pulled(hub, store)
    assert "goes on where it stopped" in failed.value.hint
    assert store.names() == []
    with pytest.raises(ConfigError, match="not whole"):
        store.find(NAME)
    hub.requests.clear()
    pulled(hub, store)
    assert hub.requests[1][1] == f"bytes={1_000 * pulling.ATTEMPTS}-"
    assert store.names() == [NAME]


def test_what_was_changed_on_the_way_is_deleted(hub: SmallHub, tmp_path: Path) -> None:
    hub.lie = True
    with pytest.raises(ConfigError, match="checksum differs"):
        pulled(hub, Store(tmp_path))
    assert not list(tmp_path.rglob("model.bin*"))


@pytest.mark.parametrize(("status", "hint"), [(401, "HF_TOKEN"), (404, "Update"), (503, "minutes")])
def test_a_hub_that_refuses(hub: SmallHub, tmp_path: Path, status: int, hint: str) -> None:
    hub.status = status
    with pytest.raises(ConfigError) as failed:
        pulled(hub, Store(tmp_path))
    assert hint in failed.value.hint


def test_the_proxy_of_the_environment_is_asked(hub: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, hub.url)
    hub.proxied = "http://hub.invalid"
    with Hub("http://hub.invalid") as client:
        client.pull(client.plan(NAME, model_named(NAME)), Store(tmp_path))
    assert Store(tmp_path).names() == [NAME]
    assert all(path.startswith("http://hub.invalid/") for path, _ in hub.requests)


def test_no_network_and_no_space(hub: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "SPARE_BYTES", 1 << 60)
    with pytest.raises(ConfigError, match="needs 1 MB more"):
        pulled(hub, Store(tmp_path))
    with Hub("http://127.0.0.1:9") as nowhere, pytest.raises(ConfigError, match="cannot be reached") as failed:
        nowhere.plan(NAME, model_named(NAME))
    assert "HTTPS_PROXY" in failed.value.hint
    monkeypatch.setattr(pulling, "SPARE_BYTES", 0)
    plan = pulling.Plan(NAME, "", "", (pulling.Sibling("model.bin", 10),), "http://127.0.0.1:9/folder")
    with Hub() as client, pytest.raises(ConfigError, match=r"127\.0\.0\.1:9/folder cannot be reached"):
        client.pull(plan, Store(tmp_path / "none"))


def test_from_a_folder_without_a_network(hub: SmallHub, tmp_path: Path) -> None:
    folder, _ = pulled(hub, Store(tmp_path / "stick"))
    store = Store(tmp_path / "models")
    counted: list[int] = []
    plan = plan_from(tmp_path / "stick", NAME)
    assert copy_from(plan, store, counted.append) == store.folder / NAME
    assert sum(counted) == plan.size_bytes > 500_000
    assert copy_from(plan_from(folder, NAME), Store(tmp_path / "other")).is_dir()
    assert store.names() == [NAME]
    assert store.contents(NAME) == Store(tmp_path / "stick").contents(NAME)
    with pytest.raises(ConfigError, match="holds no whole model"):
        plan_from(tmp_path, NAME)


def test_a_folder_that_was_changed_or_has_no_checksums_is_not_taken(
    hub: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = pulled(hub, Store(tmp_path / "stick"))
    plan = plan_from(folder, NAME)
    (folder / "model.bin").write_bytes(FILES["model.bin"][::-1])
    store = Store(tmp_path / "models")
    with pytest.raises(ConfigError, match=r"model\.bin.* is not what was pulled"):
        copy_from(plan, store)
    assert store.names() == []
    assert not list(store.folder.rglob("model.bin"))
    monkeypatch.setattr(pulling, "SPARE_BYTES", 1 << 60)
    with pytest.raises(ConfigError, match="needs 1 MB more"):
        copy_from(plan, store)
    listed = json.loads((folder / LIST).read_bytes())
    (folder / LIST).write_text(json.dumps(listed | {"sha256": {}}))
    with pytest.raises(ConfigError, match="has no checksums"):
        plan_from(folder, NAME)
    (folder.parent / "outside").write_bytes(b"ab")
    (folder / LIST).write_text(json.dumps(listed | {"files": {"../outside": 2}, "sha256": {"../outside": "00"}}))
    with pytest.raises(ConfigError, match="holds no whole model"):
        plan_from(folder, NAME)


def test_a_model_with_a_wrong_file_is_not_there(hub: SmallHub, tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder, _ = pulled(hub, store)
    (folder / "config.json").unlink()
    assert store.names() == []
    assert store.remove(NAME) > 500_000
    with pytest.raises(ConfigError, match="not on this machine"):
        store.find(NAME)
    with pytest.raises(UnknownName):
        store.find("whisper-tinny")
    with pytest.raises(ConfigError, match="no folder"):
        store.find("./nothing")
    assert store.find(str(tmp_path)) == tmp_path


def test_the_verbs(hub: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("ANTIPHON_MODELS__FOLDER", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    run = CliRunner()
    refused = run.invoke(command, ["pull", NAME], input="n\n")
    assert refused.exit_code == 1
    assert "0.5 MB" in refused.stderr
    assert "licence: MIT" in refused.stderr
    assert not (tmp_path / NAME).exists()
    assert run.invoke(command, ["pull", NAME, "-y"]).stdout == f"{tmp_path / NAME}\n"
    monkeypatch.setenv("ANTIPHON_MODELS__FOLDER", str(tmp_path / "copies"))
    copied = run.invoke(command, ["pull", NAME, "--from", str(tmp_path)])
    assert copied.stdout == f"{tmp_path / 'copies' / NAME}\n"
    assert "0.5 MB" in copied.stderr
    assert "licence: MIT" in copied.stderr
    monkeypatch.setenv("ANTIPHON_MODELS__FOLDER", str(tmp_path))
    listed = run.invoke(command, ["list"]).stdout
    assert f"*  {NAME}" in listed
    assert run.invoke(command, ["path", NAME]).stdout == f"{tmp_path / NAME}\n"
    assert run.invoke(command, ["rm", NAME]).exit_code == 0
    assert f"*  {NAME}" not in run.invoke(command, ["list"]).stdout


# --- models that are not on the hub ----------------------------------------------------------------------------------


def listed(hub: SmallHub) -> Model:
    """A model that its owner keeps in a folder of his own, with the checksums that he publishes."""
    crc32c = pytest.importorskip("google_crc32c")
    files = {name: hub.files[name] for name in ("model.bin", "config.json")}
    sums = {name: b64encode(crc32c.Checksum(data).digest()).decode() for name, data in files.items()}
    rows = tuple(Listed(name, len(data), sums[name]) for name, data in files.items())
    return Model("moonshine", f"{hub.url}/{hub.repository}/resolve/0123abc", "English", "MIT", 1, listed=rows)


def test_an_owners_own_folder_is_fetched_by_his_list(
    hub: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_mine")
    store = Store(tmp_path)
    hub.break_after = [100_000]
    with Hub("https://elsewhere.invalid") as client:
        plan = client.plan("moonshine-tiny", listed(hub))
        folder = client.pull(plan, store)
    assert {path.name for path in folder.iterdir()} == {"model.bin", "config.json", "antiphon-model.json"}
    assert (folder / "model.bin").read_bytes() == FILES["model.bin"]
    assert [asked for path, asked in hub.requests if path.endswith("model.bin")] == [None, "bytes=100000-"]
    assert set(hub.tokens) == {None}, "the hub's token is for the hub alone"
    with Hub(hub.url) as client:
        client.plan(NAME, model_named(NAME))
    assert hub.tokens[-1] == "Bearer hf_of_mine"


def test_an_owners_file_that_is_another_than_he_lists_is_not_kept(hub: SmallHub, tmp_path: Path) -> None:
    hub.lie = True
    with Hub() as client:
        plan = client.plan("moonshine-tiny", listed(hub))
        with pytest.raises(ConfigError, match="checksum differs"):
            client.pull(plan, Store(tmp_path))
    assert not list(tmp_path.rglob("model.bin*"))


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.listed])
def test_what_is_listed_is_what_the_library_would_fetch_itself(name: str) -> None:
    library = pytest.importorskip("moonshine_voice").moonshine_api
    architecture = library.ModelArch[f"{name.removeprefix('moonshine-').upper()}_STREAMING"]
    manifest = json.loads(library.moonshine_get_stt_dependencies_string("en", {"model_arch": int(architecture)}))
    (group,) = manifest["groups"]
    assert group["base_url"] == MODELS[name].repository
    theirs = {(file["name"], file["size"], file["checksum"]) for file in group["files"]}
    assert {(file.name, file.size_bytes, file.crc32c) for file in MODELS[name].listed} == theirs
    assert round(sum(file["size"] for file in group["files"]) / 1e6) == MODELS[name].about_mb


def test_whispers_are_those_that_the_library_knows() -> None:
    known = pytest.importorskip("faster_whisper").utils._MODELS
    for name, model in MODELS.items():
        if model.engine == "whisper":
            assert known[name.removeprefix("whisper-")] == model.repository


def test_what_is_fetched_of_pocket_tts_is_all_that_its_engine_looks_for(tmp_path: Path) -> None:
    theirs = ("lm_flow.int8.onnx", "lm_main.int8.onnx", "decoder.int8.onnx", "encoder.onnx", "text_conditioner.onnx",
              "vocab.json", "token_scores.json", "LICENSE", "README.md", "test_wavs/bria.wav")  # fmt: skip
    model = MODELS["pocket-tts"]
    for file in theirs:
        if any(fnmatch(file, pattern) for pattern in model.files):
            (tmp_path / file).touch()
    with pytest.raises(ConfigError, match=r"no voice\.wav") as missing:
        find_voice(tmp_path)
    assert "Put some seconds" in missing.value.hint
    (tmp_path / "voice.wav").touch()
    assert find_voice(tmp_path).kind == "pocket"
    assert "voice.wav" in model.note


def test_every_local_engine_has_a_model_to_fetch() -> None:
    known = {model.engine for model in MODELS.values()}
    assert known == {*FACTORIES["stt"], "sherpa-tts"} - {"pocketsphinx", "openai", "fake"}
