"""Which words go out with which sound."""

from __future__ import annotations

from antiphon.session.ledger import Ledger


def test_the_words_of_a_clause_go_out_before_its_sound() -> None:
    ledger = Ledger()
    ledger.begin_clause("One. ")
    ledger.add_audio(1000)
    ledger.begin_clause("Two.")
    ledger.add_audio(1000)
    ledger.finish()
    assert ledger.words_due() == "One. "
    ledger.send(1000)
    assert ledger.words_due() == "Two."
    ledger.send(1000)
    assert ledger.exhausted


def test_words_whose_sound_went_out_with_some_that_had_none_are_told_still() -> None:
    ledger = Ledger()
    ledger.add_audio(700)  # of a voice that breathes in before it begins
    ledger.begin_clause("One.")
    ledger.add_audio(500)
    ledger.finish()
    samples, _ = ledger.next_piece(2400)
    ledger.send(samples)
    assert ledger.words_due() == "One."
    assert ledger.exhausted
