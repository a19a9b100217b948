"""What the person says, and where items stand: rules R5, R10 and R12."""

from __future__ import annotations

from antiphon.protocol import client, server
from antiphon.protocol.client import ClientMessage
from antiphon.protocol.items import Item, McpListTools, Response
from antiphon.protocol.server import ServerMessage
from antiphon.protocol.session_config import Session
from antiphon.testing.watcher import Complaints, Watcher, item_of, kind_of, status_of


class Turns(Watcher):
    """R5 and R12: what the person says, from the first sound to the transcript."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._turn: str | None = None
        self._next: tuple[str, type[ServerMessage], str] | None = None
        """What has to be the very next message, by which rule, and of which item."""
        self._known: set[str] = set()
        self._done: set[str] = set()
        """Items whose transcription has ended."""
        self._awaited: set[str] = set()
        self._written: set[str] = set()
        """Items of responses, which say themselves when those are done."""
        self._knows_sent = False
        self._asked = 0
        """Requests for a response that were not answered yet."""
        self._commits = 0
        self._by_hand: str | None = None
        """The item of a commit that nobody but the client asked for, as long as it is the last thing that happened."""
        self._timed_out_item: str | None = None
        self._told_early: str | None = None
        """The item whose words were told before it was committed."""
        self._answering = False

    def sent(self, message: ClientMessage) -> Complaints:
        self._knows_sent = True
        self._asked += isinstance(message, client.ResponseCreate)
        self._commits += isinstance(message, client.AudioCommit)
        yield from ()

    def received(self, message: ServerMessage) -> Complaints:
        if self._next is not None:
            rule, kind, item_id = self._next
            self._next = None
            if not isinstance(message, kind) or item_of(message) != item_id:
                yield rule, f"{kind_of(message)} came where {kind.__struct_config__.tag} of {item_id} had to"
        match message:
            case server.SessionCreated(session=session) | server.SessionUpdated(session=session):
                self._configured(session)
            case server.SpeechStarted(item_id=item_id):
                yield from self._speech_started(item_id)
            case server.SpeechStopped(item_id=item_id):
                if item_id != self._turn:
                    yield "R5", f"speech_stopped of {item_id}, which was not being spoken"
                self._next = "R5", server.AudioCommitted, item_id
            case server.TimeoutTriggered(item_id=item_id):
                yield from self._timed_out(item_id)
            case server.AudioCommitted(item_id=item_id):
                yield from self._committed(item_id)
            case server.AudioCleared():
                self._turn = self._told_early = None
            case server.OutputItemAdded(item=item):
                self._written.add(item.id or "")
            case server.ItemAdded(item=item):
                yield from self._added(item)
            case server.ItemDone(item=item):
                self._by_hand = item.id if item.id == self._by_hand else None
                return
            case server.ResponseCreated(response=response):
                yield from self._response(response)
            case server.ResponseDone(response=response):
                self._answering &= response.conversation_id is None
            case server.OfInputPart():
                yield from self._transcribed(message)
            case _:
                pass
        if not isinstance(message, server.AudioCommitted | server.ItemAdded):
            self._by_hand = None

    def finished(self) -> Complaints:
        for item_id in sorted(self._awaited):
            yield "R5", f"item {item_id} has neither a transcript nor a failed transcription"

    def _configured(self, session: Session) -> None:
        before, self._session = self._session, session
        detects = session.audio.input.turn_detection is not None
        if not detects:
            self._turn = None
        if before is None or detects is not (before.audio.input.turn_detection is not None):
            self._told_early = None
        if session.audio.input.transcription is None:
            self._told_early = None
            self._awaited.clear()

    def _speech_started(self, item_id: str) -> Complaints:
        if self._turn is not None:
            yield "R5", f"speech_started while {self._turn} was being spoken"
        if item_id in self._known:
            yield "R5", f"speech_started names the item {item_id} of an earlier turn"
        if self._session is not None and self._session.audio.input.turn_detection is None:
            yield "R5", "speech_started without turn detection"
        self._turn = item_id

    def _timed_out(self, item_id: str) -> Complaints:
        detection = self._session.audio.input.turn_detection if self._session else None
        if self._session is not None and getattr(detection, "idle_timeout_ms", None) is None:
            yield "R12", "timeout_triggered without an idle_timeout_ms"
        if self._turn is not None or self._answering:
            yield "R12", "timeout_triggered while somebody spoke"
        self._timed_out_item = item_id
        self._next = "R12", server.AudioCommitted, item_id

    def _committed(self, item_id: str) -> Complaints:
        if self._turn is not None and item_id != self._turn:
            yield "R5", f"the speech announced as {self._turn} was committed as {item_id}"
        if item_id in self._known:
            yield "R5", f"item {item_id} was committed twice"
        if self._told_early not in (None, item_id):
            yield "R5", f"the words told of {self._told_early} were committed as {item_id}"
        self._told_early = None
        is_asked = self._commits > 0 and self._turn is None and self._timed_out_item != item_id
        self._by_hand = item_id if is_asked else None
        self._commits -= bool(self._commits) and self._by_hand is not None
        self._turn = None
        if self._session is not None and self._session.audio.input.transcription is not None:
            self._awaited.add(item_id)
        self._next = "R5", server.ItemAdded, item_id

    def _added(self, item: Item) -> Complaints:
        item_id = item.id or ""
        if item_id == self._turn:
            yield "R5", f"item {item_id} was added before its speech was committed"
        self._known.add(item_id)
        is_whole = status_of(item) != "in_progress" and not isinstance(item, McpListTools)
        if is_whole and item_id not in self._written:
            self._next = "R5", server.ItemDone, item_id

    def _may_be_told_early(self, message: server.OfInputPart) -> bool:
        """Whether these are words of what is still being said: a streaming recogniser tells them of the turn that was
        announced, or, where only the client says what an item is, under the id that the next one will have."""
        if not isinstance(message, server.TranscriptionDelta):
            return False
        detects = self._session is None or self._session.audio.input.turn_detection is not None
        if self._turn is not None or detects:
            return message.item_id == self._turn
        return message.item_id not in self._known and self._told_early in (None, message.item_id)

    def _response(self, response: Response) -> Complaints:
        if self._by_hand is not None and self._knows_sent and not self._asked:
            yield "R5", f"response {response.id} answers a commit, and nobody asked for it"
        self._asked -= bool(self._asked)
        self._answering |= response.conversation_id is not None

    def _transcribed(self, message: server.OfInputPart) -> Complaints:
        item_id = message.item_id
        if self._may_be_told_early(message):
            self._told_early = item_id
        elif item_id not in self._known:
            yield "R5", f"{kind_of(message)} of {item_id}, which was not announced"
        if item_id in self._done:
            yield "R5", f"{kind_of(message)} after the transcription of {item_id} had ended"
        if isinstance(message, server.TranscriptionCompleted | server.TranscriptionFailed):
            self._done.add(item_id)
            self._awaited.discard(item_id)


# --- the order of items ----------------------------------------------------------------------------------------------


class Order(Watcher):
    """R10: where an item stands is told by an item that the client knows."""

    def __init__(self) -> None:
        self._visible: set[str] = set()
        self._previous: dict[str, str | None] = {}
        """As it was told when the item was first announced."""
        self._deleted: set[str] = set()
        """What a response is still writing is done even so, and a client may use the name again."""
        self._fronts = 0
        """Items that the client wants at the front."""
        self._knows_sent = False

    def sent(self, message: ClientMessage) -> Complaints:
        self._knows_sent = True
        self._fronts += isinstance(message, client.ItemCreate) and message.previous_item_id == "root"
        yield from ()

    def received(self, message: ServerMessage) -> Complaints:
        match message:
            case server.AudioCommitted(item_id=item_id, previous_item_id=previous):
                yield from self._named(item_id, previous, may_lead=False)
                self._previous[item_id] = previous
            case server.ItemAdded(item=item, previous_item_id=previous):
                yield from self._added(item, previous)
            case server.ItemDone(item=item, previous_item_id=previous):
                item_id = item.id or ""
                if item_id not in self._previous:
                    yield "R10", f"conversation.item.done of {item_id}, which was never added"
                elif self._previous[item_id] != previous:
                    yield "R10", f"item {item_id} is done in another place than it was added"
            case server.ItemDeleted(item_id=item_id):
                if item_id not in self._visible:
                    yield "R10", f"item {item_id} was deleted and never there"
                self._visible.discard(item_id)
                self._deleted.add(item_id)
            case _:
                pass

    def _added(self, item: Item, previous: str | None) -> Complaints:
        item_id = item.id or ""
        if item_id in self._visible:
            yield "R10", f"item {item_id} was added twice"
        if item_id in self._deleted:
            self._deleted.discard(item_id)
            del self._previous[item_id]
        if item_id in self._previous and self._previous[item_id] != previous:
            yield "R10", f"item {item_id} was added in another place than it was committed"
        elif item_id not in self._previous:
            yield from self._named(item_id, previous, may_lead=status_of(item) != "in_progress")
        self._visible.add(item_id)
        self._previous[item_id] = previous

    def _named(self, item_id: str, previous: str | None, *, may_lead: bool) -> Complaints:
        if previous is not None:
            if previous not in self._visible:
                yield "R10", f"item {item_id} follows {previous}, which the client does not know"
            return
        if not self._visible:
            return
        if may_lead and (self._fronts or not self._knows_sent):
            self._fronts -= bool(self._fronts)
            return
        yield "R10", f"item {item_id} has no previous_item_id, and is not the first"
