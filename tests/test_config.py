"""A configuration comes from three places, says what is wrong with it, and keeps its secrets."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from antiphon.config import Config, Recogniser, load
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
    path = written(
        '[server]\nport = 1\nhost = "::1"\nmax_sessions = 3\n[llm]\nbase_url = "http://x/v1"\nmodel = "file"'
    )
    config = load(path, {"ANTIPHON_SERVER__PORT": "2", "ANTIPHON_LLM__MODEL": "environ"}, {"server.port": 3})
    assert (config.server.port, config.server.host, config.server.max_sessions) == (3, "::1", 3)
    assert config.llm.model == "environ"
    assert config.stt == Recogniser()


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
    environ = {
        "ANTIPHON_SERVER__KEYS": "swordfish",
        "ANTIPHON_LLM__API_KEY": "swordfish",
        "ANTIPHON_LLM__BASE_URL": "http://x/v1",
        "ANTIPHON_HISTORY__REDIS_URL": "redis://:swordfish@host:6379/0",
        "ANTIPHON_HISTORY__RECORDINGS_SECRET_KEY": "swordfish",
    }
    config = load(None, environ)
    for shown in (repr(config), str(config), f"{config.server}", repr(config.llm)):
        assert "swordfish" not in shown
    assert config.llm.api_key == "swordfish"
    assert "swordfish" not in str(refused(written('[server]\nkeys = [["swordfish"]]')))


# --- ranges, and what does not go together ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nport = 70000", "server.port is 70000"),
        ("[server]\nmax_sessions = 0", "server.max_sessions is 0"),
        ("[server]\nidle_timeout_s = -1", "server.idle_timeout_s is -1"),
        ("[server]\ndrain_s = nan", "server.drain_s is nan"),
        ("[server]\nsession_limit_s = inf", "server.session_limit_s is inf"),
        ('[server]\nallowed_origins = ["example.com"]', "server.allowed_origins: 'example.com'"),
        ("[session]\nlead_ms = 100", "session.lead_ms is 100"),
        ("[session]\nmax_turn_s = 0", "session.max_turn_s is 0"),
        ('[session]\nlocale = "english"', "session.locale: 'english'"),
        ("[stt]\nconnect_timeout_s = 0", "stt.connect_timeout_s is 0"),
        ("[stt]\nconnect_timeout_s = 500\nbase_url = 'http://x/v1'", "stt.connect_timeout_s is longer"),
        ("[tts]\nrate_hz = 96000", "tts.rate_hz is 96000"),
        ('[tts]\nvoices = { marin = "" }', "tts.voices is {'marin': ''}"),
        ("[llm]\nbase_url = 'localhost:11434'", "llm.base_url is not the address"),
        ("[llm]\nbase_url = 'http://me:swordfish@x/v1'", "llm.base_url holds more than an address"),
        ("[llm]\nmodel = 'qwen3'", "llm.model is set, but llm.base_url is not"),
        ("[vad]\nbase_url = 'http://x/v1'", "there is no key 'vad.base_url'"),
        ("[server]\ntls_self_signed = true\ntls_cert = 'a'\ntls_key = 'b'", "server.tls_self_signed"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_value(text: str, named: str) -> None:
    error = refused(written(text))
    assert named in error.message
    assert "swordfish" not in str(error)


def test_a_wrong_value_says_where_it_stands() -> None:
    path = written("[server]\nport = 1")
    assert refused(written("[server]\nport = 'x'")).message.startswith("antiphon.toml: server.port is 'x'")
    assert refused(path, {"ANTIPHON_SERVER__PORT": "x"}).message.startswith("ANTIPHON_SERVER__PORT: server.port is 'x'")
    assert refused(None, {}, **{"server.port": -1}).message.startswith("the flag for server.port: server.port is -1")
    long = refused(written(f"[server]\nport = '{'x' * 1000}'"))
    assert len(long.message) < 200


def test_a_time_zone_that_is_not_there_is_refused_with_the_nearest() -> None:
    load(written('[session]\ntime_zone = "Europe/Berlin"'), {})
    assert "Did you mean 'Europe/Berlin'?" in refused(written('[session]\ntime_zone = "Europe/Berln"')).hint
    assert "IANA" in refused(written('[session]\ntime_zone = "../../etc/passwd"')).hint


@pytest.mark.parametrize("locale", ["de", "en-US", "zh-Hant-TW", "es-419"])
def test_locales(locale: str) -> None:
    assert load(written(f'[session]\nlocale = "{locale}"'), {}).session.locale == locale


def test_a_key_may_stand_in_a_variable_of_its_own() -> None:
    path = written('[llm]\nbase_url = "http://x/v1"\napi_key_env = "SERVICE_KEY"')
    assert load(path, {"SERVICE_KEY": " swordfish "}).llm.api_key == "swordfish"
    assert "SERVICE_KEY is not set" in refused(path).message
    assert "both set" in refused(path, {"SERVICE_KEY": "a", "ANTIPHON_LLM__API_KEY": "b"}).message


def test_a_key_in_the_place_of_its_variables_name_is_not_shown() -> None:
    error = refused(written('[llm]\nbase_url = "http://x/v1"\napi_key_env = "sk-swordfish"'))
    assert "swordfish" not in str(error)
    assert "api_key" in error.hint


def test_a_table_in_the_environment_is_json() -> None:
    config = load(None, {"ANTIPHON_TTS__VOICES": '{"marin": "af_heart"}', "ANTIPHON_LLM__EXTRA": '{"top_k": 1}'})
    assert (config.tts.voices, config.llm.extra) == ({"marin": "af_heart"}, {"top_k": 1})
    assert "ANTIPHON_LLM__EXTRA" in refused(None, {"ANTIPHON_LLM__EXTRA": "top_k=1"}).message


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
        fields = msgspec.structs.fields(type(section.default))
        assert set(with_default[section.name]) == {f.name for f in fields if f.default is not None}
        assert set(without[section.name]) == {f.name for f in fields if f.default is None}


def test_the_example_names_every_key_once_and_no_other() -> None:
    known = {
        (section.name, field.name)
        for section in msgspec.structs.fields(Config)
        for field in msgspec.structs.fields(type(section.default))
    }
    named: list[tuple[str, str]] = []
    section = ""
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif SETTING.match(line):
            named.append((section, line.split()[1]))
    assert sorted(named) == sorted(known)


def test_the_example_as_it_is_changes_nothing_and_its_settings_without_default_are_accepted() -> None:
    assert load(EXAMPLE, {}) == Config()
    settings = documented(unset=True)
    for either in ("api_key ", "api_key_env "):
        chosen = "\n".join(line for line in settings.splitlines() if not line.startswith(either))
        config = load(written(chosen), {"OPENAI_API_KEY": "sk-..."})
        assert config.stt.api_key == config.llm.api_key == config.tts.api_key == "sk-..."


HOME = """
[mcp.servers.home]
url = "http://homeassistant.local:8123/api/mcp"
"""


def test_an_mcp_server_has_its_token_from_the_environment_and_shows_it_nowhere() -> None:
    path = written(
        HOME + 'authorization_env = "HOME_TOKEN"\nheaders = { X-Key = "swordfish" }\nallowed_tools = ["lights"]'
    )
    config = load(path, {"HOME_TOKEN": "swordfish"})
    home = config.mcp.servers["home"]
    assert (home.url, home.authorization) == ("http://homeassistant.local:8123/api/mcp", "swordfish")
    assert home.allowed_tools == ("lights",)
    assert "swordfish" not in repr(config) + repr(home)
    servers = '{"home": {"url": "https://home.example/mcp"}}'
    config = load(None, {"ANTIPHON_MCP__SERVERS": servers, "ANTIPHON_MCP__ALLOWED_HOSTS": "a.example, b.example:8443"})
    assert config.mcp.servers["home"].url == "https://home.example/mcp"
    assert config.mcp.allowed_hosts == ("a.example", "b.example:8443")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (HOME + 'authorization = "swordfish"\nauthorization_env = "X"', "mcp.servers.home.authorization"),
        (HOME + 'authorization_env = "X"', "mcp.servers.home.authorization_env"),
        (HOME + 'headers = { X-Key = "swordfish\\n" }', "mcp.servers.home.headers"),
        (HOME + 'password = "swordfish"', "mcp.servers"),
        ('[mcp.servers.home]\nurl = "swordfish"', "mcp.servers.home.url"),
        ('[mcp.servers."my home"]\nurl = "https://home.example/"', "'my home'"),
        ('[mcp]\nallowed_hosts = ["https://a.example"]', "mcp.allowed_hosts"),
        ('[mcp]\nallowed_hosts = ["*"]', "mcp.allowed_hosts"),
        ("[mcp]\nfollow_up_s = -1", "mcp.follow_up_s is -1"),
        ("[mcp.servers.home]\n", "mcp.servers.home needs a url or a command"),
        (HOME + 'command = ["swordfish"]', "mcp.servers.home needs a url or a command"),
    ],
)
def test_mcp_servers_that_cannot_be_are_refused_without_their_secrets(text: str, named: str) -> None:
    error = refused(written(text))
    assert named in error.message
    assert "swordfish" not in str(error)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[server.named_keys]\n"my guest" = "swordfish"', "'my guest'"),
        ('[server]\nkeys = ["swordfish"]\nnamed_keys = { guest = "swordfish" }', "a key twice"),
        ('[server.named_keys]\nguest = "swordfish"\n[tools.for_keys.gest]', "no key is called 'gest'"),
        ('[server.named_keys]\nguest = "swordfish"\n[tools.for_keys.guest]\napproval = "no"', "tools.for_keys"),
    ],
)
def test_what_keys_may_use_is_said_of_keys_that_have_names(text: str, named: str) -> None:
    error = refused(written(text))
    assert named in str(error)
    assert "swordfish" not in str(error)


def test_keys_with_names_are_keys() -> None:
    server = load(None, {"ANTIPHON_SERVER__KEYS": "a", "ANTIPHON_SERVER__NAMED_KEYS": '{"guest": "b"}'}).server
    assert server.all_keys == ("a", "b")
    assert "'b'" not in repr(server)
