"""What must hold of all that a session says, whatever it was told: each output is held against those before it.

The rules know outputs only. Who gave the inputs, and in which order, is not their business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from antiphon.session import outputs as o
from antiphon.session.allowances import LATER
from antiphon.session.items import Status


class Rules:
    """`note` takes every output, in order, and `end` is called when nothing follows. Both raise `AssertionError`."""

    def __init__(self, guarded: frozenset[str] = frozenset()) -> None:
        """`guarded` are the tools of the server that run only when the person has allowed the call."""
        self._guarded = guarded
        self._works: set[int] = set()
        """Numbers of all work that was begun."""
        self._ran: set[str] = set()
        """Ids of the calls of the server's tools that were carried out."""
        self._asked: dict[str, str | None] = {}
        """Calls that the person was asked about, and what came of it."""
        self._played: dict[str, str] = {}
        """Responses whose sound the server plays, and how far that is."""
        self._written: set[str] = set()
        """Items whose words were told to the end."""
        self._begun: set[str] = set()
        self._ended: set[str] = set()
        self._open_items: dict[str, str] = {}
        """By the id of the item, the response that it belongs to."""
        self._announced: set[str | None] = {None}
        self._waiting: set[str] = set()
        """Calls that their responses are done with, and that were not settled."""
        self._listings: set[str] = set()
        self._active: str | None = None
        self._sent: dict[str, int] = {}
        """How much sound of each item."""
        self._unseen: set[int] = set()
        """Numbers of the work behind answers that were prepared, and of which nobody may hear yet."""
        self._turn: str | None = None
        self._acts: dict[type, Callable[[Any], None]] = {
            o.ResponseBegan: self._response_began,
            o.ResponseEnded: self._response_ended,
            o.OutputBegan: self._output_began,
            o.OutputEnded: self._output_ended,
            o.McpCallAwaits: self._call_awaits,
            o.McpCallBegan: self._call_goes_on,
            o.McpCallEnded: self._call_goes_on,
            o.McpCallSettled: self._call_settled,
            o.ToolListingBegan: self._listing_began,
            o.ToolListingEnded: self._listing_ended,
            o.McpArgumentsSent: self._words_sent,
            o.TextSent: self._words_sent,
            o.ArgumentsSent: self._words_sent,
            o.Generate: self._generates,
            o.RunTool: self._runs,
            **dict.fromkeys(
                (o.Transcribe, o.Follow, o.ScoreTurn, o.Summarise, o.Say, o.ListMcpTools, o.CallMcpTool), self._works_on
            ),
            o.StopWork: self._stops,
            o.ApprovalAsked: self._asks,
            o.ApprovalSettled: self._settled,
            o.PlaybackBegan: self._plays,
            o.PlaybackEnded: self._played_out,
            o.PlaybackCleared: self._played_out,
            o.TranscriptionDone: self._wrote,
            o.TranscriptionFailed: self._wrote,
            o.Release: self._released,
            o.SpeechStarted: self._speech_started,
            o.SpeechStopped: self._speech_stopped,
            o.AudioCleared: self._cleared,
            o.Listen: self._listens,
            o.AudioSent: self._audio_sent,
            o.AudioCommitted: self._committed,
            o.ItemAdded: self._item_added,
        }

    def note(self, output: o.Output) -> None:
        act = self._acts.get(type(output))
        if act is not None:
            act(output)

    def end(self) -> None:
        """Nothing is left open."""
        assert not self._listings, "a listing never ended"
        assert self._begun == self._ended, "a response never ended"
        assert None not in self._asked.values(), "a question is open for ever"
        assert "playing" not in self._played.values(), "an answer is played for ever"

    # --- responses and their items

    def _response_began(self, began: o.ResponseBegan) -> None:
        response = began.response
        assert response.id not in self._begun, "a response began twice"
        self._begun.add(response.id)
        if response.conversation_id is not None:
            assert self._active is None, "two responses at a time"
            self._active = response.id

    def _response_ended(self, ended: o.ResponseEnded) -> None:
        response = ended.response
        assert response.id in self._begun, "a response ended that never began"
        assert response.id not in self._ended, "a response ended twice"
        self._ended.add(response.id)
        assert response.id not in self._open_items.values(), "an item was left open"
        under_way = {item.id for item in response.output if item.status is Status.IN_PROGRESS}
        assert under_way <= self._waiting, "an item is under way in a response that is over"
        self._active = None if self._active == response.id else self._active

    def _output_began(self, began: o.OutputBegan) -> None:
        assert began.response_id not in self._ended, "an item after the end"
        self._open_items[began.item.id] = began.response_id
        if not began.detached:
            self._place(began.item.id, began.previous)

    def _output_ended(self, ended: o.OutputEnded) -> None:
        assert self._open_items.pop(ended.item.id) == ended.response_id, "an item ended twice"

    def _words_sent(self, words: o.McpArgumentsSent | o.TextSent | o.ArgumentsSent) -> None:
        assert self._open_items.get(words.item_id) == words.response_id, "words after the end"

    def _audio_sent(self, audio: o.AudioSent) -> None:
        assert audio.work not in self._unseen, "sound of an answer that was dropped"
        assert self._open_items.get(audio.item_id) == audio.response_id, "audio after the end"
        assert audio.start == self._sent.get(audio.item_id, 0), "audio out of order"
        assert audio.stop > audio.start, "audio without a sample"
        self._sent[audio.item_id] = audio.stop

    def _generates(self, question: o.Generate) -> None:
        self._works_on(question)
        if question.response_id is None:
            self._unseen.add(question.work)

    def _released(self, released: o.Release) -> None:
        self._unseen.remove(released.work)

    def _plays(self, began: o.PlaybackBegan) -> None:
        assert began.response_id not in self._played, "it began to be played twice"
        self._played[began.response_id] = "playing"

    def _played_out(self, ended: o.PlaybackEnded | o.PlaybackCleared) -> None:
        assert self._played.get(ended.response_id) != "over", "it was played to its end twice"
        self._played[ended.response_id] = "over"

    # --- work

    def _works_on(self, task: Any) -> None:
        assert task.work not in self._works, "two pieces of work have one number"
        self._works.add(task.work)

    def _stops(self, stop: o.StopWork) -> None:
        assert stop.work in self._works, "work was stopped that never began"

    def _runs(self, call: o.RunTool) -> None:
        self._works_on(call)
        assert call.call_id not in self._ran, "a call was carried out twice"
        self._ran.add(call.call_id)
        if call.name in self._guarded:
            asked = call.call_id.removesuffix(LATER)
            assert self._asked.get(asked) == "allowed", "a call was carried out that nobody had allowed"

    def _asks(self, asks: o.ApprovalAsked) -> None:
        assert asks.call_id not in self._asked, "the person was asked twice about one call"
        self._asked[asks.call_id] = None

    def _settled(self, settled: o.ApprovalSettled) -> None:
        assert self._asked[settled.call_id] is None, "a question was answered twice"
        self._asked[settled.call_id] = settled.outcome

    # --- MCP servers

    def _call_awaits(self, awaits: o.McpCallAwaits) -> None:
        assert self._open_items.pop(awaits.item.id) == awaits.response_id, "an item ended twice"
        self._waiting.add(awaits.item.id)

    def _call_goes_on(self, call: o.McpCallBegan | o.McpCallEnded) -> None:
        assert call.item_id in self._waiting or call.item_id in self._open_items, "a call that was over"

    def _call_settled(self, settled: o.McpCallSettled) -> None:
        self._waiting.remove(settled.item.id)

    def _listing_began(self, began: o.ToolListingBegan) -> None:
        self._place(began.item.id, began.previous)
        self._listings.add(began.item.id)

    def _listing_ended(self, ended: o.ToolListingEnded) -> None:
        self._listings.remove(ended.item.id)

    # --- the person's side

    def _speech_started(self, started: o.SpeechStarted) -> None:
        assert self._turn is None, "a turn within a turn"
        self._turn = started.item_id

    def _speech_stopped(self, stopped: o.SpeechStopped) -> None:
        assert self._turn == stopped.item_id, "the end of a turn that was not announced"

    def _cleared(self, cleared: o.AudioCleared) -> None:
        self._turn = None

    def _listens(self, listens: o.Listen) -> None:
        self._turn = None if listens.detection is None else self._turn

    def _committed(self, committed: o.AudioCommitted) -> None:
        assert committed.previous in self._announced, "an unknown item was named"
        assert self._turn in (None, committed.item_id), "a turn that was announced became no item"
        self._turn = None

    def _item_added(self, added: o.ItemAdded) -> None:
        self._place(added.item.id, added.previous)

    def _wrote(self, wrote: o.TranscriptionDone | o.TranscriptionFailed) -> None:
        assert wrote.item_id not in self._written, "the words of an item were told twice"
        self._written.add(wrote.item_id)

    def _place(self, item_id: str, previous: str | None) -> None:
        assert previous in self._announced, "an unknown item was named"
        self._announced.add(item_id)
