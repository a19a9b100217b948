"""Keys, client secrets, Host and Origin."""

from __future__ import annotations

import pytest

from antiphon.server.door import Door, Visitor, is_loopback, key_from
from antiphon.server.refusals import Refusal
from antiphon.server.tokens import Grant

SECRET = b"a secret of the tests, 32 of them"
OPEN = Door(secret=SECRET)
LOCKED = Door(("sesame", "open"), {"voice.example"}, secret=SECRET)
NOW = 1_800_000_000.0


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:1", "localhost", "[::1]:8765"])
def test_loopback_names_are_known(host: str) -> None:
    assert OPEN.refusal({"host": host}) is None


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "", "127.0.0.1.evil.example", "192.168.1.5"])
def test_other_names_are_not(host: str) -> None:
    refusal = OPEN.refusal({"host": host})
    assert refusal is not None
    assert refusal.status == 421


def test_a_configured_name_and_with_a_key_any_address() -> None:
    assert LOCKED.refusal({"host": "voice.example:8765"}) is None
    assert LOCKED.refusal({"host": "192.168.1.5:8765"}) is None
    assert LOCKED.refusal({"host": "other.example"}) is not None


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        (None, True),
        ("http://localhost:8765", True),
        ("http://localhost:9999", False),
        ("https://evil.example", False),
        ("null", False),
        ("http://localhost:8765.evil.example", False),
        ("https://app.example", True),
    ],
)
def test_pages(origin: str | None, is_allowed: bool) -> None:
    door = Door(allowed_origins=["https://APP.example/"], secret=SECRET)
    headers = {"host": "localhost:8765"} | ({"origin": origin} if origin else {})
    refusal = door.refusal(headers)
    assert (refusal is None) is is_allowed
    assert refusal is None or refusal.status == 403


def admitted(door: Door, shown: str | None, path: str = "/v1/realtime") -> Visitor | Refusal:
    return door.admit(path, {} if shown is None else {"authorization": f"Bearer {shown}"}, (), NOW)


def refused(result: Visitor | Refusal) -> tuple[int, str | None]:
    assert isinstance(result, Refusal)
    return result.status, result.code


def test_a_key_by_header_or_by_subprotocol() -> None:
    protocols = ["realtime", "openai-insecure-api-key.open"]
    names = set()
    for headers, offered in (
        ({"authorization": "Bearer open"}, ()),
        ({"authorization": "bearer open"}, ()),
        ({}, protocols),
    ):
        visitor = LOCKED.admit("/v1/realtime", headers, offered, NOW)
        assert isinstance(visitor, Visitor)
        assert "open" not in repr(visitor)
        names.add(visitor.name)
    other = admitted(LOCKED, "sesame")
    assert isinstance(other, Visitor)
    assert len(names | {other.name}) == 2


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_api_key"),
        ({"authorization": "Basic sesame"}, "missing_api_key"),
        ({"authorization": "Bearer "}, "missing_api_key"),
        ({"authorization": "Bearer sesam"}, "invalid_api_key"),
        ({"authorization": "Bearer gehörn"}, "invalid_api_key"),
        ({"authorization": "Bearer ek_"}, "invalid_client_secret"),
        ({"authorization": "Bearer ek_ö"}, "invalid_client_secret"),
    ],
)
def test_no_key_or_the_wrong_one(headers: dict[str, str], code: str) -> None:
    result = LOCKED.admit("/v1/models", headers, (), NOW)
    assert refused(result) == (401, code)
    assert isinstance(result, Refusal)
    assert "sesam" not in result.message


def test_no_key_is_asked_for_where_none_is_configured_or_by_whoever_watches_over_the_server() -> None:
    assert isinstance(admitted(OPEN, None), Visitor)
    assert isinstance(admitted(OPEN, "whatever"), Visitor)
    assert isinstance(admitted(LOCKED, None, "/health"), Visitor)
    assert key_from({}) is None


@pytest.mark.parametrize("door", [OPEN, LOCKED])
def test_a_client_secret_opens_sessions_and_nothing_else_until_it_expires(door: Door) -> None:
    owner = admitted(door, "sesame")
    assert isinstance(owner, Visitor)
    grant = Grant(int(NOW) + 10)
    token = door.tokens.make(owner.owner, grant, int(NOW))
    visitor = admitted(door, token)
    assert isinstance(visitor, Visitor)
    assert (visitor.grant, visitor.owner) == (grant, owner.owner)
    assert visitor.name != owner.name
    assert token not in repr(visitor)
    for path in ("/v1/realtime/client_secrets", "/v1/models", "/v1/realtime/", "/v1/realtime/calls/rtc_1/hangup"):
        assert refused(admitted(door, token, path)) == (403, "insufficient_permissions")
    later = door.admit("/v1/realtime", {"authorization": f"Bearer {token}"}, (), NOW + 10)
    assert refused(later) == (401, "client_secret_expired")


def test_another_servers_client_secret_is_refused_also_where_no_key_is_asked_for() -> None:
    token = LOCKED.tokens.make(LOCKED.tokens.name_of("open"), Grant(int(NOW) + 10), int(NOW))
    assert refused(admitted(OPEN, token)) == (401, "invalid_client_secret")


@pytest.mark.parametrize(
    ("host", "inside"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("lan", False)]
)
def test_where_only_this_machine_gets_in(host: str, inside: bool) -> None:
    assert is_loopback(host) is inside
