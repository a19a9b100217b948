"""How many tokens a text is to a model: counted by the model's own tokeniser, from a file of the operator's.

Hugging Face's library reads it; nothing is downloaded. It does not know conversations, nor what is done with the
number.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from antiphon.errors import ConfigError, NotInstalled

LONGEST_COUNTED = 4_000  # characters: 1.5 ms, on the event loop. Of a longer text its beginning is the measure


def token_counter(path: Path) -> Callable[[str], int]:
    """Counts by the tokenizer.json at `path`, which takes up to a second to load. Raises `ConfigError`."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise NotInstalled("tokenizers", "tokens") from None
    if not path.is_file():
        raise ConfigError(
            f"llm.tokenizer: there is no file {path}", "It is called tokenizer.json, and lies beside a model's weights."
        )
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - the library's own have no other type
        raise ConfigError(
            f"llm.tokenizer: {path} is no tokenizer: {error}", "Take the model's tokenizer.json."
        ) from None

    def count(text: str) -> int:
        counted = text[:LONGEST_COUNTED]
        tokens = len(tokenizer.encode(counted, add_special_tokens=False).ids)
        return tokens if len(text) <= LONGEST_COUNTED else -(-tokens * len(text) // LONGEST_COUNTED)

    return count
