"""A conversation in which anything happens at any moment, told to the core alone, and what must hold in it.

What the detector, the engines, the client and time bring are inputs that a random source chooses, also such as no
well-behaved runtime would bring: results twice, out of order, too late, or of work that has ended.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from story import WINDOW, Story

from antiphon.audio.units import WIRE_RATE
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.items import McpApprovalResponse, McpTool, Message, Role, Status, Text
from antiphon.session.settings import (
    FunctionTool,
    McpServer,
    ResponseOptions,
    Settings,
    SettingsPatch,
    Speculating,
    TurnDetection,
)

STEPS = 40


class Chaos(Story):
    """A story that a random source tells: the person, the engines and the client act whenever they like."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        tools = (self.zoo(0),) if self.chance.random() < 0.5 else ()
        settings = Settings(turn_detection=self.detection(), speaks=self.chance.random() < 0.8, tools=tools)
        super().__init__(
            settings,
            max_mcp_servers=1,
            mcp_servers=(McpServer("home", address=9),) if self.chance.random() < 0.2 else (),
            server_tools=(FunctionTool("clock"),),
            lead_ms=self.chance.choice((0, 200, 500)),
            speculation=Speculating(answers=self.chance.random() < 0.7, most_wasted=self.chance.choice((5, 1000))),
            barge_in=self.chance.choice(("auto", "voice", "words")),
            continuous_endpoint=self.chance.random() < 0.3,
            scores_turns=self.chance.random() < 0.3,
        )
        self.works: list[int] = []
        self.speaking = False

    def detection(self) -> TurnDetection:
        return TurnDetection(
            kind=self.chance.choice(("server_vad", "server_vad", "semantic_vad")),
            interrupt_response=self.chance.random() < 0.8,
            create_response=self.chance.random() < 0.9,
            eagerness="high",
        )

    def zoo(self, address: int) -> McpServer:
        return McpServer("zoo", address, approval=self.chance.choice(("always", "never")))

    def reading(self) -> i.Reading:
        """Of words that are the same as often as not."""
        return i.Reading(
            words=self.chance.choice((0, 1, 1, 1, 2)),
            over=self.chance.choice((None, 0.1, 0.5, 0.95)),
            is_backchannel=self.chance.random() < 0.2,
            echoed=self.chance.choice((0.0, 0.0, 1.0)),
        )

    def step(self) -> None:
        act: Callable[[], None] = self.chance.choices(
            (self.person, self.engine, self.client, self.time_goes_by), weights=(4, 10, 1, 3)
        )[0]
        act()

    def person(self) -> None:
        self.heard += WINDOW
        if not self.speaking and self.chance.random() < 0.3:
            self.give(i.VoiceSuspected(self.heard - WINDOW, self.heard, self.now))
            self.heard += WINDOW
            if self.chance.random() < 0.5:
                self.give(i.VoiceDismissed(self.heard, self.now))
                return
        if not self.speaking:
            self.speaking = True
            self.give(i.VoiceBegan(self.heard - WINDOW, self.heard, self.now))
            return
        if self.chance.random() < 0.3:
            self.give(i.VoiceTick(self.heard, self.now))
            return
        self.speaking = False
        self.give(i.VoicePaused(self.heard - WINDOW, self.heard, self.now))
        if self.chance.random() < 0.5:
            self.give(i.Prosody(self.heard - WINDOW, self.chance.choice((None, 0.3, -0.3)), 5.0))
        if self.chance.random() < 0.7:
            self.pause_on(self.chance.choice((0.2, 0.6, 2.1)))

    def pause_on(self, seconds: float) -> None:
        for _ in range(round(seconds * WIRE_RATE / WINDOW)):
            self.heard += WINDOW
            self.wait(WINDOW / WIRE_RATE)
            self.give(i.SilenceTick(self.heard, self.now))

    def engine(self) -> None:
        """Some work brings something: in order, out of order, too late, or a failure."""
        self.mcp_servers()
        self.works = [task.work for task in self.all(o.Transcribe)]
        self.works += [task.work for task in self.all(o.Generate)]
        self.works += [task.work for task in self.all(o.Say)]
        self.works.sort()
        if not self.works:
            return
        work = self.chance.choice(self.works[-4:])
        if any(task.work == work for task in self.all(o.Transcribe)):
            results: list[i.Input] = [
                i.TranscriptGrew(work, "hel"),
                i.TranscriptReady(work, "hello", reading=self.reading()),
                i.TranscriptReady(work, "hello", reading=self.reading()),
                i.TranscriptReady(work, ""),
                i.WorkFailed(work, "stt", "no"),
            ]
            self.give(self.chance.choice(results))
            return
        for score in self.all(o.ScoreTurn)[-1:]:
            self.give(i.TurnScored(score.work, self.chance.random()))
        for tool in self.all(o.RunTool)[-1:]:
            if self.chance.random() < 0.5:
                self.give(i.ToolReturned(tool.work, "{}", self.chance.random() < 0.8))
        generate = next((task for task in self.all(o.Generate) if task.work == work), None)
        self.give(self.chance.choice(self.results_of(work, speaks=generate is None or generate.voice is not None)))

    def mcp_servers(self) -> None:
        for asked in self.all(o.ListMcpTools)[-2:]:
            if self.chance.random() < 0.7:
                listed = i.McpToolsListed(asked.work, (McpTool("feed", "Feed.", {}), McpTool("clock", "Tell.", {})))
                self.give(self.chance.choice((listed, listed, i.WorkFailed(asked.work, "mcp_failed", "no"))))
        if self.chance.random() < 0.2:
            self.give(
                i.CreateItem("browser", "r", McpApprovalResponse("", self.question(), self.chance.random() < 0.7))
            )
        for called in self.all(o.CallMcpTool)[-2:]:
            if self.chance.random() < 0.3:
                brought = i.McpToolReturned(called.work, "fed")
                self.give(self.chance.choice((brought, brought, i.WorkFailed(called.work, "internal_error", "no"))))

    def works_of_responses(self) -> list[int]:
        return [task.work for task in self.all(o.Generate)] + [task.work for task in self.all(o.Say)]

    def results_of(self, work: int, *, speaks: bool) -> list[i.Input]:
        spoken: list[i.Input] = [
            i.ClauseBegan(work, "Well, "),
            i.AudioMade(work, self.chance.choice((480, 4_800, 48_000))),
            i.AudioMade(work, 24_000),
            i.ClauseEnded(work),
            i.SpeakingEnded(work),
            i.SpeakingEnded(work),
        ]
        return [
            *(spoken if speaks else ()),
            i.TextWritten(work, "Well, "),
            i.CallWritten(
                work, 0, f"call_{work}", self.chance.choice(("clock", "theirs", "feed", "feed", "feed")), "{}"
            ),
            i.WritingEnded(work, self.chance.choice(("stop", "stop", "length"))),
            i.WorkFailed(work, "llm", "no"),
        ]

    def client(self) -> None:
        connection, request = "browser", "r"
        last = self.session.conversation.last()
        wishes: list[i.Input] = [
            i.CreateResponse(connection, request, ResponseOptions()),
            i.CreateResponse(connection, request, ResponseOptions(detached=True, input=())),
            i.CancelResponse(connection, request),
            i.CommitAudio(connection, request, self.heard),
            i.ClearAudio(connection, request, self.heard),
            i.CreateItem(connection, request, Message("", Role.USER, (Text("typed"),))),
            i.DeleteItem(connection, request, last or "nobody"),
            i.TruncateItem(connection, request, last or "nobody", 0, 100),
            i.UpdateSettings(connection, request, SettingsPatch(turn_detection=None)),
            i.UpdateSettings(connection, request, SettingsPatch(turn_detection=self.detection())),
            i.UpdateSettings(connection, request, SettingsPatch(tools=(self.zoo(self.chance.randrange(2)),))),
            i.CreateItem(connection, request, McpApprovalResponse("", self.question(), self.chance.random() < 0.7)),
            i.Announce("The tea is ready."),
            i.Attach("another"),
            i.Detach("another"),
        ]
        self.give(self.chance.choice(wishes))

    def question(self) -> str:
        """A call that waits to be allowed, or did."""
        asked = [waiting.item.approval for waiting in self.all(o.McpCallAwaits)]
        return self.chance.choice(asked[-3:]) or "" if asked else "nobody"

    def time_goes_by(self) -> None:
        self.wait(self.chance.choice((0.02, 0.1, 0.5, 3.0)))

    def settle_down(self) -> None:
        """Every engine answers what is still open; nobody speaks any more."""
        if self.speaking:
            self.heard += WINDOW
            self.give(i.VoicePaused(self.heard - WINDOW, self.heard, self.now))
        self.pause_on(2.1)  # as long as the most patient judgement of a pause that is eager
        for _ in range(20):
            known = len(self.everything)
            self.wait(60.0)
            self.bring_everything()
            if all(isinstance(output, o.Remark) for _, output in self.everything[known:]):
                return  # nothing happens any more, and what comes is too late

    def bring_everything(self) -> None:
        for task in self.all(o.Transcribe):
            self.give(i.TranscriptReady(task.work, "hello"))
        for asked in self.all(o.ListMcpTools):
            self.give(i.WorkFailed(asked.work, "mcp_failed", "no"))
        for called in self.all(o.CallMcpTool):
            self.give(i.McpToolReturned(called.work, "fed"))
        for tool in self.all(o.RunTool):
            self.give(i.ToolReturned(tool.work, "{}"))
        for work in self.works_of_responses():
            self.give(i.WritingEnded(work, "stop"))
            self.give(i.SpeakingEnded(work))


def check(story: Story) -> None:
    """The invariants, over everything that the session has said."""
    begun: dict[str, int] = {}
    ended: dict[str, int] = {}
    open_items: dict[str, str] = {}
    announced: list[str | None] = [None]
    waiting: set[str] = set()
    """Calls that their responses are done with, and that were not settled."""
    listings: set[str] = set()
    active: str | None = None
    ahead: dict[str, int] = {}
    unseen: set[int] = set()
    turn: str | None = None
    for _, output in story.everything:
        match output:
            case o.ResponseBegan(response):
                begun[response.id] = begun.get(response.id, 0) + 1
                if response.conversation_id is not None:
                    assert active is None, "two responses at a time"
                    active = response.id
            case o.ResponseEnded(response):
                ended[response.id] = ended.get(response.id, 0) + 1
                assert response.id not in open_items.values(), "an item was left open"
                assert all(item.status is not Status.IN_PROGRESS for item in response.output if item.id not in waiting)
                active = None if active == response.id else active
            case o.OutputBegan(response_id=response_id, item=item):
                assert response_id not in ended, "an item after the end"
                open_items[item.id] = response_id
                if not output.detached:
                    assert output.previous in announced, "an unknown item was named"
                    announced.append(item.id)
            case o.OutputEnded(response_id=response_id, item=item):
                assert open_items.pop(item.id) == response_id, "an item ended twice"
            case o.McpCallAwaits(response_id=response_id, item=call):
                assert open_items.pop(call.id) == response_id, "an item ended twice"
                waiting.add(call.id)
            case o.McpCallBegan(item_id=item_id) | o.McpCallEnded(item_id=item_id):
                assert item_id in waiting or item_id in open_items, "a call that was over"
            case o.McpCallSettled(item=call):
                waiting.remove(call.id)
            case o.ToolListingBegan(item=listing, previous=previous):
                assert previous in announced
                announced.append(listing.id)
                listings.add(listing.id)
            case o.ToolListingEnded(item=listing):
                listings.remove(listing.id)
            case (
                o.McpArgumentsSent(response_id=response_id, item_id=item_id)
                | o.TextSent(response_id=response_id, item_id=item_id)
                | o.ArgumentsSent(response_id=response_id, item_id=item_id)
            ):
                assert open_items.get(item_id) == response_id, "words after the end"
            case o.Generate(work=work, response_id=None):
                unseen.add(work)
            case o.Release(work=work):
                unseen.remove(work)
            case o.SpeechStarted(item_id=item_id):
                assert turn is None, "a turn within a turn"
                turn = item_id
            case o.SpeechStopped(item_id=item_id):
                assert turn == item_id, "the end of a turn that was not announced"
            case o.AudioCleared() | o.Listen(detection=None):
                turn = None
            case o.AudioSent(response_id=response_id, item_id=item_id, start=start, stop=stop):
                assert output.work not in unseen, "sound of an answer that was dropped"
                assert open_items.get(item_id) == response_id, "audio after the end"
                assert start == ahead.get(item_id, 0), "audio out of order"
                assert stop > start
                ahead[item_id] = stop
            case o.AudioCommitted(item_id=item_id, previous=previous):
                assert previous in announced
                assert turn in (None, item_id), "a turn that was announced became no item"
                turn = None
            case o.ItemAdded(item=item, previous=previous):
                assert previous in announced
                announced.append(item.id)
            case _:
                pass
    assert not listings, "a listing never ended"
    assert set(begun.values()) <= {1}
    assert begun.keys() == ended.keys(), "a response never ended"
    assert set(ended.values()) <= {1}, "a response ended twice"


def told(seed: int) -> Chaos:
    """The conversation of this seed, up to the moment at which everything calms down."""
    story = Chaos(seed)
    for _ in range(STEPS):
        story.step()
    return story


def ended(story: Chaos) -> None:
    """Let it come to its end. Raises `AssertionError` if a rule was broken."""
    story.settle_down()
    check(story)
