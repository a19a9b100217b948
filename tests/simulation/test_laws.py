"""Every law of the simulation notices a breach: accounts of good conversations, tampered with."""

from __future__ import annotations

from collections.abc import Callable

import laws
import legible
import msgspec
import pytest
import world

from antiphon.session import inputs, outputs
from antiphon.store.changes import ItemKept


@pytest.fixture(scope="module")
def seed() -> int:
    """Of a conversation in which nothing goes wrong, and everything is said and heard."""
    for seed in range(100):
        account = world.live(seed)
        heard = account.calls[0].person.heard.values()
        if account.weather.faults or account.died_in_storm or not account.calls[0].steps[3:]:
            continue
        if account.calls[0].died_at is not None:
            continue
        if any(answer.played > 2 * laws.GUESSED for answer in heard):
            return seed
    raise AssertionError("chance has become unkind: no conversation goes well")


@pytest.fixture
def account(seed: int) -> world.Account:
    account = world.live(seed)
    assert laws.breaches(account) == []
    return account


def lose_words(account: world.Account) -> None:
    kept = account.calls[0].kept
    kept[:] = [change for change in kept if not isinstance(change, ItemKept) or change.kind != "user"]


def lose_what_was_handed_over(account: world.Account) -> None:
    account.calls[0].desk.written = lambda session_id, until=None: []  # type: ignore[method-assign]


def keep_too_much(account: world.Account) -> None:
    kept = account.calls[0].kept
    kept[:] = [
        msgspec.structs.replace(change, text=change.text + " and more")
        if isinstance(change, ItemKept) and change.kind == "assistant"
        else change
        for change in kept
    ]


def forget_what_was_heard(account: world.Account) -> None:
    kept = account.calls[0].kept
    kept[:] = [
        msgspec.structs.replace(change, text="")
        if isinstance(change, ItemKept) and change.kind == "assistant"
        else change
        for change in kept
    ]


def sound_what_is_not_written(account: world.Account) -> None:
    for heard in account.calls[0].person.heard.values():
        heard.sound[: 2 * legible.LETTER] = bytes(2 * legible.LETTER)


def run_a_tool_again(account: world.Account) -> None:
    account.tools[0].done[99] = 2


def leave_a_tool_at_work(account: world.Account) -> None:
    account.tools[0].at_work = 1


def leave_a_task(account: world.Account) -> None:
    account.left_tasks.append("work 7")


def break_in_the_log(account: world.Account) -> None:
    account.errors.append("session sess_1 broke at Attach")


def say_nothing_at_last(account: world.Account) -> None:
    account.calls[0].person.was_answered = False


def leave_a_response_open(account: world.Account) -> None:
    for _, _, out in account.calls[0].steps:
        out[:] = [output for output in out if not isinstance(output, outputs.ResponseEnded)]


def change_history(account: world.Account) -> None:
    steps = account.calls[0].steps
    del steps[next(place for place, (_, item, _) in enumerate(steps) if isinstance(item, inputs.VoiceBegan))]


def lose_a_message(account: world.Account) -> None:
    del account.calls[0].person.lines[0].received[2]


def bring_a_message_twice(account: world.Account) -> None:
    received = account.calls[0].person.lines[0].received
    received.append(received[2])


def speak_out_of_turn(account: world.Account) -> None:
    account.calls[0].person.lines[0].checker.received({"type": "response.done"})


@pytest.mark.slow
def test_words_that_are_lost_with_a_worker_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "DEADLY", 1.0)
    for seed in range(100):
        account = world.live(seed)
        last = account.calls[-1]
        assert last.goes_on_with is not None
        if list(laws.fast_words(last.goes_on_with)):
            assert laws.breaches(account) == []
            last.config = msgspec.structs.replace(last.config, earlier=())
            law = laws.who_goes_on_elsewhere_finds_what_was_acknowledged
            assert law.__name__ in {breach.partition(":")[0] for breach in laws.breaches(account)}
            return
    raise AssertionError("chance has become unkind: nobody has said anything before a worker died")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tamper", "law"),
    [
        (lose_words, laws.what_was_said_is_written_down),
        (lose_words, laws.what_was_acknowledged_is_kept),
        (lose_what_was_handed_over, laws.what_was_handed_over_is_written_down),
        (keep_too_much, laws.what_was_heard_is_written_down),
        (forget_what_was_heard, laws.what_was_heard_is_written_down),
        (sound_what_is_not_written, laws.what_was_heard_is_written_down),
        (run_a_tool_again, laws.no_tool_runs_twice),
        (leave_a_tool_at_work, laws.no_tool_runs_twice),
        (leave_a_task, laws.nothing_is_left_behind),
        (break_in_the_log, laws.nothing_of_ours_breaks),
        (say_nothing_at_last, laws.who_asks_in_fair_weather_is_answered),
        (leave_a_response_open, laws.every_response_ends_once),
        (lose_a_message, laws.who_comes_back_misses_nothing),
        (bring_a_message_twice, laws.who_comes_back_misses_nothing),
        (change_history, laws.it_goes_the_same_way_again),
        (speak_out_of_turn, laws.the_protocol_is_kept),
    ],
)
def test_a_law_notices(
    account: world.Account, tamper: Callable[[world.Account], None], law: Callable[..., object]
) -> None:
    tamper(account)
    assert law.__name__ in {breach.partition(":")[0] for breach in laws.breaches(account)}
