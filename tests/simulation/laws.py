"""What must hold of every conversation, whatever went wrong in it.

Each law is a function that yields a sentence for each breach. They see an `Account`, and run nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import legible
from somebody import Heard, Person
from world import Account, Call

from antiphon.audio.units import Samples
from antiphon.relay.session import make_session
from antiphon.session import items, outputs, trace
from antiphon.store.changes import Change, ItemGone, ItemKept, TurnKept
from antiphon.testing.loopback import Message

Breaches = Iterator[str]
LATE_RULES = frozenset({"schema", "official", "ids"})
"""Those that hold for a connection that came in the middle."""
RESUMED = "antiphon.session.resumed"
LOSSES = ("wire loses", "wire swaps")
GUESSED: Samples = 2_400  # that our clock may be off where a client does not say what it has played


def breaches(account: Account) -> list[str]:
    """All of them, each with the law's name."""
    found = [f"{law.__name__}: {breach}" for law in WORLD_LAWS for breach in law(account)]
    for call in account.calls:
        found += [f"{law.__name__}: {breach}" for law in CALL_LAWS for breach in law(account, call)]
    return found


# --- of the world ----------------------------------------------------------------------------------------------------


def nothing_of_ours_breaks(account: Account) -> Breaches:
    yield from account.errors


def nothing_is_left_behind(account: Account) -> Breaches:
    for name in account.left_tasks:
        yield f"the task {name} outlived its session"
    for timer in account.left_timers:
        yield f"a timer outlived its session: {timer}"
    if account.left_streams:
        yield f"{account.left_streams} streams are still open in the hub"


def no_tool_runs_twice(account: Account) -> Breaches:
    for tool in account.tools:
        for number, times in tool.done.items():
            if times > 1:
                yield f"{tool.spec.name} ran {times} times for call {number}"
        if tool.at_work:
            yield f"{tool.spec.name} is still at work"
        if sorted(tool.left) != sorted(call.session.id for call in account.calls):
            yield f"{tool.spec.name} was told of the end of {tool.left}"


WORLD_LAWS: tuple[Callable[[Account], Breaches], ...] = (
    nothing_of_ours_breaks, nothing_is_left_behind, no_tool_runs_twice
)  # fmt: skip


# --- of each conversation --------------------------------------------------------------------------------------------


def the_protocol_is_kept(account: Account, call: Call) -> Breaches:
    if _is_garbled(account):
        return
    for number, line in enumerate(call.person.lines):
        for fault in line.checker.faults:
            if number == 0 or fault.rule in LATE_RULES:
                yield f"line {number}: {fault}"


def every_response_ends_once(account: Account, call: Call) -> Breaches:
    began = Counter(output.response.id for output in _outputs(call) if isinstance(output, outputs.ResponseBegan))
    ended = Counter(output.response.id for output in _outputs(call) if isinstance(output, outputs.ResponseEnded))
    for response_id in began | ended:
        if (began[response_id], ended[response_id]) != (1, 1):
            yield f"{response_id} began {began[response_id]} times and ended {ended[response_id]} times"


def who_asks_in_fair_weather_is_answered(account: Account, call: Call) -> Breaches:
    if call.died_at is None and not account.died_in_storm and not call.person.was_answered:
        yield f"nobody answered to {legible.name(call.person.last_word or 0)}"


def who_comes_back_misses_nothing(account: Account, call: Call) -> Breaches:
    """What comes over one connection comes once and in order, over all its sockets; and each time it is told how much
    of it was missed."""
    for number, line in enumerate(call.person.lines):
        places = [place for place, message in enumerate(line.received) if message["type"] == RESUMED]
        names = [message["event_id"] for message in line.received]
        if len(set(names)) < len(names):
            yield f"line {number} brought {len(names) - len(set(names))} messages twice"
        for place in places:
            told = line.received[place]
            if told["missed"] < 0 or told["session_id"] != call.session.id:
                yield f"line {number} was told {told}"
        if all(line.received[place]["is_complete"] for place in places):
            yield from _gaps(number, names, {names[place] for place in places})


def _gaps(number: int, names: list[str], resumed: set[str]) -> Breaches:
    """The ids of messages count them. What says that a connection is back has the id that was next then, and comes
    before what was missed."""
    numbers = [int(name[-6:]) for name in names]
    in_order = [int(name[-6:]) for name in names if name not in resumed]
    if in_order != sorted(in_order) or set(range(1, in_order[-1])) - set(numbers):
        yield f"line {number} brought the messages {numbers}"


def what_was_said_is_written_down(account: Account, call: Call) -> Breaches:
    person = call.person
    written = [word for text in _texts(call, "user") for word in text.split()]
    foreign = {word for word in written if word[0] == "w"} - {legible.name(word) for word in person.said}
    if foreign:
        yield f"somebody else said {foreign}"
    if call.died_at is not None or account.died_in_storm or account.vad_failures:
        return
    if _is_garbled(account):
        return
    lost = set().union(*(stt.lost for stt in account.stts)) | person.unsaid
    for word in person.said:
        if word not in lost and legible.name(word) not in written:
            yield f"{legible.name(word)} was said, and is not among {written}"


def what_was_heard_is_written_down(account: Account, call: Call) -> Breaches:
    if _is_garbled(account):
        return
    written = _transcripts(call.person)
    kept = _kept(call)
    for item_id, heard in _whole(call).items():
        sounded = _letters(legible.text_in(heard.sound))
        if not _letters(written.get(item_id, "")).startswith(sounded):
            yield f"{item_id} sounded {sounded!r}, and its transcript is {written.get(item_id)!r}"
        if item_id in kept and call.died_at is None:
            yield from _kept_as_heard(kept[item_id], heard, sounded)


def _kept_as_heard(kept: ItemKept, heard: Heard, sounded: str) -> Breaches:
    text = _letters(kept.text)
    played_text = legible.text_in(heard.sound[: 2 * max(0, heard.played - GUESSED)])
    played = _letters(played_text.rpartition(" ")[0])  # a word that was only begun was not heard
    if not heard.is_truncated and not text.startswith(played):
        yield f"{kept.item_id} was heard as {played!r}, and is kept as {kept.text!r}"
    if not sounded.startswith(text[:-1]):  # a letter that sounded in part is a letter
        yield f"{kept.item_id} is kept as {kept.text!r}, and only {sounded!r} ever sounded"


def who_goes_on_elsewhere_finds_what_was_acknowledged(account: Account, call: Call) -> Breaches:
    """At another worker, when the first has died: all words that stood fast for long enough, and in their order."""
    dead = call.goes_on_with
    if dead is None:
        return
    found = [(item.id, items.text_of(item)) for item in call.config.earlier if isinstance(item, items.Message)]
    texts = dict(found)
    for item_id, text in fast_words(dead).items():
        if text not in texts.get(item_id, ""):
            yield f"{item_id} stood fast as {text!r}, and is found as {texts.get(item_id)!r}"
    order = [entry.item.id for entry in dead.session.conversation.latest(dead.session.conversation.count)][::-1]
    known = [item_id for item_id, _ in found if item_id in order]
    if known != [item_id for item_id in order if item_id in texts]:
        yield f"the order was {order}, and is {known}"


def fast_words(dead: Call) -> dict[str, str]:
    """The person's words, by item, that were told to be final for long enough before its worker died, and that nobody
    deleted."""
    until = dead.desk.safe_at(dead.died_at or 0.0)
    words: dict[str, str] = {}
    for now, _, out in dead.steps:
        for output in out:
            match output:
                case outputs.TranscriptionDone(item_id=item_id, text=text) if now <= until and text:
                    words[item_id] = text
                case outputs.ItemAdded(item=items.Message(role=items.Role.USER) as item) if now <= until:
                    words |= {item.id: items.text_of(item)} if items.text_of(item) else {}
                case outputs.ItemDeleted(item_id=item_id):
                    words.pop(item_id, None)
                case _:
                    pass
    return words


def what_was_acknowledged_is_kept(account: Account, call: Call) -> Breaches:
    if call.died_at is not None:
        return
    kept = _kept(call)
    gone = {change.item_id for change in call.kept if isinstance(change, ItemGone)}
    gone |= {item.id for item in call.config.earlier}  # with another session
    for message in _received(call.person):
        match message:
            case {"type": "conversation.item.done", "item": {"id": item_id}}:
                if item_id not in gone and item_id not in kept:
                    yield f"{item_id} was acknowledged, and is not kept"
            case {"type": "conversation.item.input_audio_transcription.completed", "item_id": item_id}:
                text = message["transcript"]
                if item_id not in gone and (item_id not in kept or kept[item_id].text != text):
                    yield f"{item_id} was acknowledged as {text!r}, and is kept as {kept.get(item_id)}"


def what_was_handed_over_is_written_down(account: Account, call: Call) -> Breaches:
    if call.died_at is not None or account.died_in_storm:
        return
    wanted, written = _newest(call.kept), _newest(call.desk.written(call.session.id))
    for name in wanted.keys() | written.keys():
        if wanted.get(name) != written.get(name):
            yield f"{name} was handed over as {wanted.get(name)}, and is {written.get(name)}"


def it_goes_the_same_way_again(account: Account, call: Call) -> Breaches:
    steps, difference = trace.replay(recorded(call), make=make_session)
    if difference is not None:
        yield f"a replay differs at line {difference.line}, after {type(difference.step.input).__name__}"
    if steps != len(call.steps):
        yield f"{len(call.steps)} steps were recorded, and {steps} replayed"


CALL_LAWS: tuple[Callable[[Account, Call], Breaches], ...] = (
    the_protocol_is_kept, every_response_ends_once, who_asks_in_fair_weather_is_answered,
    who_comes_back_misses_nothing, what_was_said_is_written_down, what_was_heard_is_written_down,
    what_was_acknowledged_is_kept, what_was_handed_over_is_written_down,
    who_goes_on_elsewhere_finds_what_was_acknowledged, it_goes_the_same_way_again,
)  # fmt: skip


# --- what they look at -----------------------------------------------------------------------------------------------


def recorded(call: Call) -> list[bytes]:
    """The conversation as a trace."""
    lines = [trace.header_line(call.seed, call.config, redacted=False)]
    return lines + [trace.step_line(item, out, now, redacted=False) for now, item, out in call.steps]


def _is_garbled(account: Account) -> bool:
    """Whether what another server said did not all come, or not in order: then we may say, and keep, less than was said
    there, and in another order."""
    return any(account.weather.faults.get(fault) for fault in LOSSES)


def _outputs(call: Call) -> Iterator[object]:
    return (output for _, _, out in call.steps for output in out)


def _kept(call: Call) -> Mapping[str, ItemKept]:
    """The newest version of each item that was not deleted."""
    kept: dict[str, ItemKept] = {}
    for change in call.kept:
        if isinstance(change, ItemKept):
            kept[change.item_id] = change
        elif isinstance(change, ItemGone):
            kept.pop(change.item_id, None)
    return kept


def _newest(changes: list[Change]) -> Mapping[str | int, Change]:
    """The last word on each item, by its id, and on each turn, by its number."""
    newest: dict[str | int, Change] = {}
    for change in changes:
        match change:
            case ItemKept(item_id=item_id) | ItemGone(item_id=item_id):
                newest[item_id] = change
            case TurnKept(number=number):
                newest[number] = change
            case _:
                pass
    return newest


def _texts(call: Call, kind: str) -> list[str]:
    return [item.text for item in sorted(_kept(call).values(), key=lambda item: item.place) if item.kind == kind]


def _transcripts(person: Person) -> Mapping[str, str]:
    """Of our answers, as they were sent piece by piece."""
    texts: dict[str, str] = {}
    for message in _received(person):
        if message["type"] == "response.output_audio_transcript.delta":
            texts[message["item_id"]] = texts.get(message["item_id"], "") + message["delta"]
    return texts


def _received(person: Person) -> Iterator[Message]:
    """Over all her connections."""
    return (message for line in person.lines for message in line.received)


def _whole(call: Call) -> Mapping[str, Heard]:
    """Answers of which she got all that was sent: a connection that was down, or slow and then cut, misses some, and so
    does one that came when the words were told and the sound was not."""
    received = _received(call.person)
    begun = {message["item"]["id"] for message in received if message["type"] == "response.output_item.added"}
    sent: Counter[str] = Counter()
    for output in _outputs(call):
        if isinstance(output, outputs.AudioSent):
            sent[output.item_id] += output.stop - output.start
    heard_of = {item_id: heard for item_id, heard in call.person.heard.items() if item_id in begun}
    return {item_id: heard for item_id, heard in heard_of.items() if len(heard.sound) == 2 * sent[item_id]}


def _letters(text: str) -> str:
    """Without spaces, which are no part of a clause's sound at its ends."""
    return "".join(text.split())
