"""A configuration comes from three places, says what is wrong with it, and keeps its secrets."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from antiphon.config import Config, Engine, load
from antiphon.errors import ConfigError

EXAMPLE = Path(__file__).parents[1] / "antiphon.toml.example"
SETTING = re.compile(r"# (?=[a-z_]+ = )")


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # so that no antiphon.toml of whoever runs the tests is read


def written(text: str) -> Path:
    path = Path("antiphon.toml")
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path | None = None, environ: dict[str, str] | None = None, **overrides: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {}, overrides)
    return caught.value


def test_without_anything_it_is_the_defaults() -> None:
    assert load(None, {}) == Config()


def test_later_places_win_and_what_they_leave_out_stays() -> None:
    path = written('[server]\nport = 1\nhost = "::1"\nmax_sessions = 3\n[llm]\nmodel = "file"')
    config = load(path, {"ANTIPHON_SERVER__PORT": "2", "ANTIPHON_LLM__MODEL": "environ"}, {"server.port": 3})
    assert (config.server.port, config.server.host, config.server.max_sessions) == (3, "::1", 3)
    assert config.llm.model == "environ"
    assert config.stt == Engine()


def test_a_flag_that_was_not_given_changes_nothing() -> None:
    assert load(written("[server]\nport = 1"), {}, {"server.port": None}).server.port == 1


def test_the_file_in_the_current_folder_is_found_and_another_one_is_named() -> None:
    written("[server]\nport = 1")
    assert load(None, {}).server.port == 1
    assert load(written("[server]\nport = 2").rename("other.toml"), {}).server.port == 2


def test_the_environment_is_text_and_becomes_what_the_key_is() -> None:
    config = load(
        None,
        {
            "ANTIPHON_SERVER__KEYS": "first, second,",
            "ANTIPHON_SERVER__TLS_SELF_SIGNED": "true",
            "ANTIPHON_SERVER__DRAIN_S": "1.5",
            "ANTIPHON_TRACE__FOLDER": "~/traces",
            "ANTIPHON_HOME": "somebody else's",
            "PATH": "/bin",
        },
    )
    assert config.server.keys == ("first", "second")
    assert config.server.tls_self_signed is True
    assert config.server.drain_s == 1.5
    assert config.trace.folder == Path.home() / "traces"


@pytest.mark.parametrize(
    ("text", "named", "meant"),
    [
        ("[server]\nprot = 1", "server.prot", "port"),
        ("[sever]\nport = 1", "sever", "server"),
        ("[llm]\nbase-url = 'http://x'", "llm.base-url", "base_url"),
        ("port = 1", "port", ""),
    ],
)
def test_an_unknown_key_names_the_file_the_key_and_what_was_meant(text: str, named: str, meant: str) -> None:
    error = refused(written(text))
    assert "antiphon.toml" in error.message
    assert repr(named) in error.message
    assert not meant or f"Did you mean {meant!r}?" in error.hint


def test_an_unknown_variable_or_flag_is_named_too() -> None:
    error = refused(None, {"ANTIPHON_SERVER__PROT": "1"})
    assert "ANTIPHON_SERVER__PROT" in error.message
    assert "'port'" in error.hint
    assert "server.prot" in refused(None, {}, **{"server.prot": 1}).message


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[server]\nport = "many"', "server.port"),
        ("[server]\nhost = 1", "server.host"),
        ("[server]\nkeys = 'one'", "server.keys"),
        ("[llm]\nmodel = true", "llm.model"),
        ("[trace]\nfolder = 1", "trace.folder"),
    ],
)
def test_a_wrong_type_names_the_key(text: str, key: str) -> None:
    assert key in refused(written(text)).message


def test_a_section_is_no_value() -> None:
    assert "section" in refused(written("server = 1")).message


def test_a_file_that_is_missing_or_not_toml_says_so() -> None:
    assert "nowhere.toml" in refused(Path("nowhere.toml")).message
    assert "not TOML" in refused(written("[server\nport = 1")).message
    Path("antiphon.toml").write_bytes(b"\xff\xfe")
    assert "not TOML" in refused(Path("antiphon.toml")).message


def test_secrets_are_shown_nowhere() -> None:
    config = load(None, {"ANTIPHON_SERVER__KEYS": "swordfish", "ANTIPHON_LLM__API_KEY": "swordfish"})
    for shown in (repr(config), str(config), f"{config.server}", repr(config.llm)):
        assert "swordfish" not in shown
    assert config.llm.api_key == "swordfish"
    assert "swordfish" not in str(refused(written('[server]\nkeys = [["swordfish"]]')))


# --- the documented sample --------------------------------------------------------------------------------------------


def documented(unset: bool) -> str:
    """The example with its settings in force: those that have a default, or those that have none."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    chosen = (line for line in lines if line.startswith("[") or line.endswith("# unset") == unset)
    return "\n".join(SETTING.sub("", line, count=1) for line in chosen)


def test_the_example_says_what_the_defaults_are() -> None:
    config = load(written(documented(unset=False)), {})
    home = config.tools.list_path
    assert home == Config().tools.list_path.expanduser()
    assert msgspec.structs.replace(config, tools=Config().tools) == Config()


def test_the_example_leaves_no_setting_out() -> None:
    with_default, without = (tomllib.loads(documented(unset)) for unset in (False, True))
    for section in msgspec.structs.fields(Config):
        if section.name == "vad":
            continue  # it shares a struct with the others; nobody reads its address
        fields = msgspec.structs.fields(type(section.default))
        assert set(with_default[section.name]) == {f.name for f in fields if f.default is not None}
        assert set(without[section.name]) == {f.name for f in fields if f.default is None}


def test_the_example_as_it_is_changes_nothing_and_its_settings_without_default_are_accepted() -> None:
    assert load(EXAMPLE, {}) == Config()
    load(written(documented(unset=True)), {})
