"""Tokens as a model counts them, by a tokeniser that is trained here on a few words."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from antiphon.engines.llm.tokens import LONGEST_COUNTED, token_counter
from antiphon.errors import ConfigError


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(["the lion sleeps tonight"] * 3, trainer)
    path = tmp_path_factory.mktemp("tokens") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def test_words_that_it_knows_are_one_token_each_and_others_are_spelled(file: Path) -> None:
    count = token_counter(file)
    assert count("the lion sleeps tonight") == 4
    assert count("") == 0
    assert count("xyz") == 3


def test_of_a_long_text_the_beginning_is_the_measure(file: Path) -> None:
    count = token_counter(file)
    whole = "the lion sleeps tonight" * 1000
    assert count(whole) == pytest.approx(4 * 1000, rel=0.05)
    assert count(whole[:LONGEST_COUNTED]) < count(whole[: LONGEST_COUNTED + 1])


def test_what_is_no_tokeniser_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        token_counter(tmp_path / "tokenizer.json")
    other = tmp_path / "other.json"
    other.write_text("{}")
    with pytest.raises(ConfigError, match="is no tokenizer"):
        token_counter(other)
