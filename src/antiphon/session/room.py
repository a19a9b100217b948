"""What the parts of a session have in common: its settings, its conversation, the time, and the way out.

The parts change it and do not know each other through it; what joins them is `session`.
"""

from __future__ import annotations

import msgspec

from antiphon.audio.units import Samples, Seconds
from antiphon.session.conversation import Conversation, Entry
from antiphon.session.ids import Ids
from antiphon.session.items import Message
from antiphon.session.outputs import Output, Transcribe
from antiphon.session.settings import SessionConfig
from antiphon.session.truncation import CountTokens, estimated


class Room:
    """One for each session."""

    def __init__(self, config: SessionConfig, ids: Ids, count_tokens: CountTokens = estimated) -> None:
        self.config = config
        self.count_tokens = count_tokens
        self.settings = config.settings
        self.ids = ids
        self.conversation = Conversation(ids.make("conv"))
        for item in config.earlier:
            # What tools did then, no connection of this session has to know.
            size = len(msgspec.json.encode(item))
            self.conversation.add(Entry(item, hidden=not isinstance(item, Message), size=size))
        self.now: Seconds = 0.0
        """Of the input that is being acted on."""
        self.heard_language: str | None = None
        """What the recogniser took the last words for."""
        self.awaits_consent = False
        """The person was asked aloud whether something may be done."""
        self.summary = ""
        """Of what the conversation has left behind; empty until there is one."""
        self.told_early: set[str] = set()
        """Items of which words were told before they were items, until their transcript is told."""
        self._out: list[Output] = []
        self._works = 0

    def emit(self, output: Output) -> None:
        """This follows from the input, after what was emitted before."""
        self._out.append(output)

    def take_out(self) -> list[Output]:
        """All that was emitted since the last time."""
        out, self._out = self._out, []
        return out

    def new_work(self) -> int:
        """A number for a piece of work; none is given twice."""
        self._works += 1
        return self._works

    @property
    def language(self) -> str | None:
        """What the client said is spoken, or else what the recogniser took the last words for."""
        wish = self.settings.transcription
        return (wish.language if wish else None) or self.heard_language

    def recognition(
        self, item_id: str, start: Samples, stop: Samples, clip: int | None = None, *, is_provisional: bool = False
    ) -> Transcribe:
        """A new piece of work: the words of this stretch, as the settings want them."""
        wish = self.settings.transcription
        return Transcribe(
            work=self.new_work(),
            item_id=item_id,
            start=start,
            stop=stop,
            language=wish.language if wish else None,
            prompt=wish.prompt if wish else None,
            model=wish.model if wish else None,
            answer=self.settings.kind == "realtime",
            clip=clip,
            logprobs=self.settings.logprobs,
            is_provisional=is_provisional,
            awaits_consent=self.awaits_consent,
            is_voice=clip is None and self.settings.turn_detection is not None,
        )
