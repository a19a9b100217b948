"""Keys, Host and Origin."""

from __future__ import annotations

import pytest

from antiphon.server.door import Door, is_loopback, key_from

OPEN = Door()
LOCKED = Door(keys=("sesame", "open"), allowed_hosts=frozenset({"voice.example"}))


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
    door = Door(allowed_origins=frozenset({"https://app.example"}))
    headers = {"host": "localhost:8765"} | ({"origin": origin} if origin else {})
    refusal = door.refusal(headers)
    assert (refusal is None) is is_allowed
    assert refusal is None or refusal.status == 403


def test_a_key_by_header_or_by_subprotocol() -> None:
    assert LOCKED.key_refusal({"authorization": "Bearer sesame"}) is None
    assert LOCKED.key_refusal({"authorization": "bearer open"}) is None
    assert LOCKED.key_refusal({}, ["realtime", "openai-insecure-api-key.open"]) is None


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_api_key"),
        ({"authorization": "Basic sesame"}, "missing_api_key"),
        ({"authorization": "Bearer "}, "missing_api_key"),
        ({"authorization": "Bearer sesam"}, "invalid_api_key"),
        ({"authorization": "Bearer gehörn"}, "invalid_api_key"),
    ],
)
def test_no_key_or_the_wrong_one(headers: dict[str, str], code: str) -> None:
    refusal = LOCKED.key_refusal(headers)
    assert refusal is not None
    assert (refusal.status, refusal.code) == (401, code)
    assert "sesam" not in refusal.message


def test_no_key_is_asked_for_where_none_is_configured() -> None:
    assert OPEN.key_refusal({}) is None
    assert key_from({}) is None


@pytest.mark.parametrize(
    ("host", "inside"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("lan", False)]
)
def test_where_only_this_machine_gets_in(host: str, inside: bool) -> None:
    assert is_loopback(host) is inside
