"""Sentences of phonemes, in the form that Piper's voices learnt."""

from __future__ import annotations

import pytest

from antiphon.engines.tts.phonetics import sentences_from


def said(*clauses: tuple[str, str], longest: int = 100) -> list[str]:
    return ["".join(map(chr, sentence)) for sentence in sentences_from(clauses, longest)]


def test_clauses_join_to_sentences_with_their_marks() -> None:
    assert said(("həlˈoʊ ðˈɛɹ", "Hello there, h"), ("hˈaʊ ɑːɹ juː", "ow are you? I"), ("aɪm fˈaɪn", "'m fine.")) == [
        "həlˈoʊ ðˈɛɹ, hˈaʊ ɑːɹ juː?",
        "aɪm fˈaɪn.",
    ]
    assert said(("wˈʌn", "One; t"), ("tˈuː", 'wo!" h'), ("hiː sˈɛd", "e said")) == ["wˈʌn; tˈuː!", "hiː sˈɛd"]


def test_marks_that_voices_do_not_know_become_those_that_they_do() -> None:
    assert said(("wˈʌn", "One — t"), ("tˈuː", "wo…")) == ["wˈʌn, tˈuː."]


def test_an_abbreviation_ends_no_sentence() -> None:
    assert said(("aɪm dˈɑːktɚ", "I'm Dr. S"), ("smˈɪθ", "mith.")) == ["aɪm dˈɑːktɚ smˈɪθ."]


def test_words_of_another_language_are_not_announced() -> None:
    assert said(("(en)njˈuː(de) jˈɔɾk", "New York.")) == ["njˈuː jˈɔɾk."]


def test_accents_stand_alone() -> None:
    assert said(("vɛ̃", "vin.")) == ["vɛ\u0303."]
    assert said(("ç", "ich.")) == ["c\u0327."]


@pytest.mark.parametrize("longest", [4, 9, 30])
def test_a_long_sentence_is_cut_between_words(longest: int) -> None:
    parts = said(("aaa bbb ccc ddd eee", "Aaa bbb ccc ddd eee."), longest=longest)
    assert max(map(len, parts)) <= longest
    assert " ".join(parts) == "aaa bbb ccc ddd eee."


def test_a_word_longer_than_any_is_cut_all_the_same() -> None:
    assert said(("a" * 25, "Aaa."), longest=10) == ["a" * 10, "a" * 10, "aaaaa."]


def test_of_nothing_nothing_is_said() -> None:
    assert said() == []
    assert said(("", "... ")) == ["."]
