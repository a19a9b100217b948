"""Client secrets: read by every process with the same keys, altered by nobody."""

from __future__ import annotations

import base64
import secrets

import pytest

from antiphon.errors import PeerError
from antiphon.protocol.session_config import FunctionTool, McpTool, SessionPatch
from antiphon.server.tokens import LONGEST_TOKEN, Grant, Tokens

NOW = 1_800_000_000
SECRET = b"a secret of the tests, 32 of them"
SESSION = SessionPatch(
    type="realtime",
    instructions="Answer like a pirate.",
    tools=(FunctionTool(name="sail", parameters={"type": "object"}),),
)
GRANT = Grant(NOW + 600, SESSION)


def made(tokens: Tokens, key: str = "", grant: Grant = GRANT) -> str:
    return tokens.make(tokens.name_of(key), grant, NOW)


@pytest.mark.parametrize("grant", [GRANT, Grant(NOW)])
def test_it_says_who_made_it_and_for_what(grant: Grant) -> None:
    tokens = Tokens(["one", "two"], SECRET)
    assert tokens.read(made(tokens, "two", grant)) == (tokens.name_of("two"), grant)


@pytest.mark.parametrize(("keys", "secret"), [(["one", "two"], b""), (["one", "two"], SECRET), ([], SECRET)])
def test_another_process_with_the_same_configuration_reads_it(keys: list[str], secret: bytes) -> None:
    key = keys[0] if keys else ""
    assert Tokens(reversed(keys), secret).read(made(Tokens(keys, secret), key)) is not None


@pytest.mark.parametrize("secret", [b"", SECRET])
def test_without_its_key_it_is_worth_nothing(secret: bytes) -> None:
    token = made(Tokens(["one", "two"], secret), "one")
    assert Tokens(["two"], secret).read(token) is None
    assert Tokens(["one"], b"another secret of the same tests").read(token) is None


def test_it_cannot_be_read_or_altered() -> None:
    tokens = Tokens(secret=SECRET)
    token = made(tokens)
    assert b"pirate" not in base64.urlsafe_b64decode(token[11:] + "===")
    for position in range(len(token)):
        other = "A" if token[position] != "A" else "B"
        altered = f"{token[:position]}{other}{token[position + 1 :]}"
        # The last character of base64 may have bits that say nothing: then it is still the same token.
        assert tokens.read(altered) is None or position == len(token) - 1
    for altered in (token[:-4], token + "AAAA", token[:20], "", "ek_", token.removeprefix("ek_"), token + "é"):
        assert tokens.read(altered) is None


def test_it_fits_into_a_header_and_a_subprotocol() -> None:
    token = made(Tokens(secret=SECRET))
    assert token.startswith("ek_")
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_long_session_fits_if_it_is_ordinary_text_and_is_refused_if_not() -> None:
    tokens = Tokens(secret=SECRET)
    tool = FunctionTool(name="look_up", description="Looks up an order of a customer by its number.", parameters={})
    ordinary = SessionPatch(instructions="Be polite, and brief. " * 1000, tools=(tool,) * 100)
    assert len(made(tokens, grant=Grant(NOW, ordinary))) < LONGEST_TOKEN / 4
    with pytest.raises(PeerError, match="too long for a client secret") as refused:
        made(tokens, grant=Grant(NOW, SessionPatch(instructions=secrets.token_hex(8000))))
    assert (refused.value.code, refused.value.param) == ("string_above_max_length", "session")


def test_the_length_of_a_token_tells_nothing_of_an_authorization() -> None:
    def length(guess: str) -> int:
        tool = McpTool(server_label="crm", server_url="https://crm.example", authorization="Bearer 0123456789abcdef")
        return len(made(Tokens(secret=SECRET), grant=Grant(NOW, SessionPatch(instructions=guess, tools=(tool,)))))

    assert length("Bearer 0123456789abcdef" * 20) == length("xZ8qPw-vNmK4hTtRr2LsYaD" * 20)
