"""What a response says of itself, from created to done: rules R2, R3, R4, R6, R7, R8 and R9."""

from __future__ import annotations

from msgspec import UNSET

from antiphon.protocol import server
from antiphon.protocol.items import AudioPart, FunctionCall, Item, McpCall, Message, Response
from antiphon.protocol.server import ServerMessage
from antiphon.protocol.session_config import Session
from antiphon.testing.watcher import Complaints, Watcher, kind_of, status_of


class _Part:
    """One part of an item that a response is writing."""

    def __init__(self, *, spoken: bool) -> None:
        self.spoken = spoken
        self.words: list[str] = []
        self.text: str | None = None
        """Of the `done` message that has it whole."""
        self.audio_is_done = not spoken
        self.is_done = False


class _Piece:
    """One item that a response is writing."""

    def __init__(self, item: Item) -> None:
        self.first = item
        self.final: Item | None = None
        self.is_announced = False
        """conversation.item.added"""
        self.is_settled = False
        """conversation.item.done"""
        self.parts: dict[int, _Part] = {}
        self.was_truncated = False
        """By the client, while it was spoken: its words end earlier."""
        self.arguments: list[str] = []
        self.whole_arguments: str | None = None


class _Answer:
    """One response."""

    def __init__(self, response: Response) -> None:
        self.id = response.id
        self.conversation = response.conversation_id
        self.pieces: dict[str, _Piece] = {}
        self.was_spoken_over = False
        """While the session interrupts responses: nothing but closing messages may follow."""
        self.heard_speech = False

    @property
    def in_band(self) -> bool:
        return self.conversation is not None


class Responses(Watcher):
    """R2, R3, R4, R6, R7, R8 and R9: what a response says of itself, from created to done."""

    def __init__(self) -> None:
        self._open: dict[str, _Answer] = {}
        self._over: set[str] = set()
        self._items: dict[str, _Piece] = {}
        """Every item that a response has written, by id."""
        self._detached_items: set[str] = set()
        self._announced: set[str] = set()
        self._interrupts = False

    def received(self, message: ServerMessage) -> Complaints:
        match message:
            case server.SessionCreated(session=session) | server.SessionUpdated(session=session):
                self._interrupts = interrupts(session)
            case server.SpeechStarted():
                self._speech_started()
            case server.ResponseCreated(response=response):
                yield from self._created(response)
            case server.ResponseDone(response=response):
                yield from self._done(response)
            case server.OutputItemAdded(response_id=response_id) | server.OutputItemDone(response_id=response_id):
                yield from self._about(message, response_id)
            case server.OfOutputItem(response_id=response_id):
                yield from self._about(message, response_id)
            case server.ItemAdded(item=item):
                yield from self._item_added(item)
            case server.ItemDone(item=item):
                yield from self._item_done(item)
            case server.ItemTruncated(item_id=item_id) if item_id in self._items:
                self._items[item_id].was_truncated = True
            case _:
                pass

    def finished(self) -> Complaints:
        for response_id in self._open:
            yield "R2", f"response {response_id} has no response.done"

    def _speech_started(self) -> None:
        for answer in self._open.values():
            if answer.in_band:
                answer.heard_speech = True
                answer.was_spoken_over |= self._interrupts

    def _created(self, response: Response) -> Complaints:
        if response.id in self._open or response.id in self._over:
            yield "R2", f"response {response.id} was created twice"
            return
        if response.status != "in_progress" or response.output:
            yield "R2", f"response {response.id} was not created in_progress and empty"
        running = next((answer.id for answer in self._open.values() if answer.in_band), None)
        if response.conversation_id is not None and running is not None:
            yield "R8", f"response {response.id} was created while {running} was in progress"
        self._open[response.id] = _Answer(response)

    def _done(self, response: Response) -> Complaints:
        answer = self._open.pop(response.id, None)
        if answer is None:
            yield "R2", f"response.done of {response.id}, which {self._fate(response.id)}"
            return
        self._over.add(response.id)
        if response.status == "in_progress" or response.usage is None:
            yield "R2", f"response {response.id} is done without a final status or its usage"
        if answer.conversation != response.conversation_id:
            yield "R9", f"response {response.id} changed its conversation_id"
        yield from self._why(answer, response)
        for item_id, piece in answer.pieces.items():
            if piece.final is None:
                yield "R7", f"item {item_id} has no response.output_item.done"
            elif answer.in_band and not piece.is_settled and not _waits(piece.final):
                yield "R7", f"item {item_id} has no conversation.item.done"
        if [item.id for item in response.output] != list(answer.pieces):
            yield "R2", f"response {response.id} does not list the items that it wrote"
        if response.status == "completed" and any(status_of(item) == "incomplete" for item in response.output):
            yield "R7", f"response {response.id} is completed with an incomplete item"

    def _why(self, answer: _Answer, response: Response) -> Complaints:
        """Whether the response ended for the reason that was seen."""
        reason = response.status_details.reason if response.status_details else UNSET
        spoken_over = response.status == "cancelled" and reason == "turn_detected"
        if spoken_over and not answer.in_band:
            yield "R9", f"response {response.id} is out of band and was cut by a turn"
        elif spoken_over and not answer.heard_speech:
            yield "R6", f"response {response.id} was cut by a turn before any speech_started"
        elif answer.was_spoken_over and not spoken_over:
            yield "R6", f"response {response.id} was spoken over, and is {response.status}"

    def _fate(self, response_id: str) -> str:
        return "was over" if response_id in self._over else "was never created"

    def _about(self, message: ServerMessage, response_id: str) -> Complaints:
        answer = self._open.get(response_id)
        if answer is None:
            yield "R2", f"{kind_of(message)} of response {response_id}, which {self._fate(response_id)}"
            return
        match message:
            case server.OutputItemAdded(item=item, output_index=index):
                yield from self._output_added(answer, item, index)
            case server.OutputItemDone(item=item):
                yield from self._output_done(answer, item)
            case server.OfOutputItem(item_id=item_id):
                piece = answer.pieces.get(item_id)
                if piece is None or piece.final is not None:
                    yield "R3", f"{kind_of(message)} of item {item_id}, which the response is not writing"
                    return
                yield from self._progress(answer, piece, message)

    # --- one item

    def _output_added(self, answer: _Answer, item: Item, index: int) -> Complaints:
        item_id = item.id or ""
        if answer.was_spoken_over:
            yield "R6", "response.output_item.added after the speech_started that cut the response"
        if index != len(answer.pieces):
            yield "R3", f"item {item_id} has output_index {index} and is number {len(answer.pieces)}"
        if item_id in self._announced:
            yield "R3", f"item {item_id} was announced before its response.output_item.added"
        match item:
            case Message(content=content, status=status):
                if content or status != "in_progress":
                    yield "R3", f"item {item_id} was not added in_progress and empty"
            case FunctionCall(call_id=call_id, name=name, arguments=arguments, status=status):
                if arguments or status != "in_progress" or not call_id or not name:
                    yield "R4", f"function call {item_id} was not added in_progress, named and without arguments"
            case _:
                pass
        answer.pieces[item_id] = self._items[item_id] = _Piece(item)
        if not answer.in_band:
            self._detached_items.add(item_id)

    def _output_done(self, answer: _Answer, item: Item) -> Complaints:
        piece = answer.pieces.get(item.id or "")
        if piece is None or piece.final is not None:
            yield "R3", f"response.output_item.done of item {item.id}, which the response is not writing"
            return
        piece.final = item
        if answer.in_band and not piece.is_announced:
            yield "R3", f"item {item.id} is done, and conversation.item.added never came"
        if status_of(item) == "in_progress":
            yield "R7", f"item {item.id} is done and still in_progress"
        if any(not part.is_done for part in piece.parts.values()):
            yield "R7", f"item {item.id} is done with a part that has no response.content_part.done"
        yield from _whole_arguments(piece, item) if isinstance(item, FunctionCall) else _whole_words(piece, item)

    def _item_added(self, item: Item) -> Complaints:
        item_id = item.id or ""
        self._announced.add(item_id)
        piece = self._items.get(item_id)
        if item_id in self._detached_items:
            yield "R9", f"item {item_id} of an out-of-band response was added to the conversation"
        elif piece is not None:
            piece.is_announced = True
            if piece.first != item:
                yield "R3", f"item {item_id} differs in conversation.item.added and response.output_item.added"
        elif status_of(item) == "in_progress":
            yield "R3", f"item {item_id} was announced in_progress, and no response is writing it"

    def _item_done(self, item: Item) -> Complaints:
        item_id = item.id or ""
        piece = self._items.get(item_id)
        if piece is None:
            return
        if item_id in self._detached_items:
            yield "R9", f"item {item_id} of an out-of-band response was put into the conversation"
            return
        piece.is_settled = True
        if piece.final is None:
            yield "R3", f"conversation.item.done of {item_id} came before its response.output_item.done"
        elif piece.final != item and not _waits(piece.final):
            yield "R3", f"item {item_id} differs in conversation.item.done and response.output_item.done"

    # --- inside one item

    def _progress(self, answer: _Answer, piece: _Piece, message: ServerMessage) -> Complaints:
        if isinstance(message, server.ContentPartAdded | server.ArgumentsDelta | server.ArgumentsDone):
            rule = "R3" if isinstance(message, server.ContentPartAdded) else "R4"
            if answer.in_band and not piece.is_announced:
                yield rule, f"{kind_of(message)} came before the item's conversation.item.added"
        if answer.was_spoken_over and kind_of(message).endswith((".delta", ".added")):
            yield "R6", f"{kind_of(message)} after the speech_started that cut the response"
        match message:
            case server.ContentPartAdded(content_index=index, part=part):
                if index != len(piece.parts) or not isinstance(piece.first, Message):
                    yield "R3", f"content part {index} of item {message.item_id} is out of place"
                piece.parts[index] = _Part(spoken=isinstance(part, AudioPart))
            case server.OfOutputPart(content_index=index):
                part_of = piece.parts.get(index)
                if part_of is None or part_of.is_done:
                    yield "R3", f"{kind_of(message)} of a content part that is not open"
                    return
                yield from _part_progress(part_of, message)
            case server.ArgumentsDelta() | server.ArgumentsDone():
                yield from _call_progress(piece, message)
            case _:
                pass


def _waits(item: Item) -> bool:
    """Whether it is a call that has still to be allowed: the conversation has it done when it was made."""
    return (
        isinstance(item, McpCall)
        and item.approval_request_id is not None
        and item.output is None
        and item.error is None
    )


def _part_progress(part: _Part, message: server.OfOutputPart) -> Complaints:
    name = kind_of(message)
    if isinstance(message, server.ContentPartDone):
        if part.text is None or not part.audio_is_done:
            yield "R3", "response.content_part.done came before all that it closes was done"
        part.is_done = True
        return
    belongs = not isinstance(message, server.TextDelta | server.TextDone) if part.spoken else ".output_text." in name
    if not belongs:
        yield "R3", f"{name} in {'a spoken' if part.spoken else 'a written'} part"
    match message:
        case server.TextDelta(delta=delta) | server.TranscriptDelta(delta=delta):
            if part.text is not None:
                yield "R3", f"{name} after the words were done"
            part.words.append(delta)
        case server.AudioDelta():
            if part.audio_is_done:
                yield "R3", "response.output_audio.delta after the audio was done"
        case server.AudioDone():
            if part.audio_is_done:
                yield "R3", "response.output_audio.done came twice"
            part.audio_is_done = True
        case server.TextDone(text=text) | server.TranscriptDone(transcript=text):
            if part.text is not None:
                yield "R3", f"{name} came twice"
            part.text = text
        case _:
            pass


def _call_progress(piece: _Piece, message: server.ArgumentsDelta | server.ArgumentsDone) -> Complaints:
    call = piece.first
    if not isinstance(call, FunctionCall) or call.call_id != message.call_id:
        yield "R4", f"{kind_of(message)} does not name the call that its item is"
        return
    if piece.whole_arguments is not None:
        yield "R4", f"{kind_of(message)} after the arguments were done"
    if isinstance(message, server.ArgumentsDelta):
        piece.arguments.append(message.delta)
        return
    if message.name != call.name:
        yield "R4", f"the call of {call.name!r} ended as one of {message.name!r}"
    piece.whole_arguments = message.arguments


def _whole_arguments(piece: _Piece, call: FunctionCall) -> Complaints:
    first = piece.first
    if piece.whole_arguments is None:
        yield "R4", f"function call {call.id} is done without response.function_call_arguments.done"
    elif piece.whole_arguments != call.arguments or (
        piece.arguments and call.status == "completed" and "".join(piece.arguments) != call.arguments
    ):
        yield "R4", f"the arguments of {call.id} are not what was streamed"
    if isinstance(first, FunctionCall) and (first.call_id, first.name) != (call.call_id, call.name):
        yield "R4", f"function call {call.id} changed its call_id or name"


def _whole_words(piece: _Piece, item: Item) -> Complaints:
    """A complete item's words are those that were streamed."""
    if status_of(item) != "completed" or piece.was_truncated:
        return
    for index, part in piece.parts.items():
        if part.is_done and part.text is not None and "".join(part.words) != part.text:
            yield "R3", f"part {index} of item {item.id} ends with other words than were streamed"


def interrupts(session: Session) -> bool:
    """Whether speech cuts the response that it is heard in."""
    detection = session.audio.input.turn_detection
    return detection is not None and detection.interrupt_response
