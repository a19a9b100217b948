"""Where utterances begin and end."""

from __future__ import annotations

from antiphon.audio.units import samples_from_ms as at
from antiphon.hearing.utterances import Begun, Cutting, Ended, TooLong, Utterances
from antiphon.session.inputs import SilenceTick, VoiceBegan, VoicePaused, VoiceTick


def began(ms: int) -> VoiceBegan:
    return VoiceBegan(at(ms), at(ms + 64), 0.0)


def paused(ms: int) -> VoicePaused:
    return VoicePaused(at(ms), at(ms + 32), 0.0)


def quiet(ms: int) -> SilenceTick:
    return SilenceTick(at(ms), 0.0)


def test_a_pause_ends_it_and_a_shorter_one_does_not() -> None:
    utterances = Utterances(Cutting(silence_ms=500))
    assert utterances.hear(began(1000)) == Begun(at(700))
    assert utterances.hear(paused(2000)) is None
    assert utterances.hear(quiet(2400)) is None
    assert utterances.hear(began(2450)) is None
    assert utterances.hear(paused(3000)) is None
    assert utterances.hear(quiet(3500)) == Ended(at(3200), at(3500))
    assert utterances.hear(quiet(3532)) is None


def test_what_goes_before_a_voice_was_not_part_of_the_last_one() -> None:
    utterances = Utterances(Cutting(silence_ms=100, before_ms=300, after_ms=200))
    assert utterances.hear(began(100)) == Begun(0)
    utterances.hear(paused(1000))
    assert utterances.hear(quiet(1100)) == Ended(at(1100), at(1100))
    assert utterances.hear(began(1200)) == Begun(at(1100))


def test_what_is_too_long_is_cut_and_goes_on() -> None:
    utterances = Utterances(Cutting(longest_s=2))
    utterances.hear(began(300))
    assert utterances.hear(VoiceTick(at(1900), 0.0)) is None
    assert utterances.hear(VoiceTick(at(2100), 0.0)) == TooLong(at(2100))
    utterances.cut(at(1500))
    assert utterances.is_open
    assert utterances.hear(VoiceTick(at(3000), 0.0)) is None
    assert utterances.finish(at(3100)) == Ended(at(3100), at(3100))
    assert utterances.finish(at(3100)) is None
