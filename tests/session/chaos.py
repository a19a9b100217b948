"""A conversation in which anything happens at any moment, told to the core alone. `rules` has what must hold in it.

What the detector, the engines, the client and time bring are inputs that a random source chooses, also such as no
well-behaved runtime would bring: results twice, out of order, too late, or of work that has ended.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from rules import Rules
from story import WINDOW, Story

from antiphon.audio.units import WIRE_RATE
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.items import McpApprovalResponse, McpTool, Message, Role, Text
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
LATE_TICKS = 3  # windows that are under way when the detector learns that a turn is over; then it says no more


class Chaos(Story):
    """A story that a random source tells: the person, the engines and the client act whenever they like."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.rules = Rules()
        self.speaking = False
        self.hears_turn = False
        """The detector has told of a voice, and was not told that the turn is over."""
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

    def tell(self) -> None:
        """All of it, up to the moment at which everything calms down."""
        for _ in range(STEPS):
            self.step()

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

    def give(self, item: i.Input) -> list[o.Output]:
        """One input; what follows is held against the rules. Raises `AssertionError`."""
        out = super().give(item)
        if isinstance(item, i.VoiceBegan):
            self.hears_turn = True
        for output in out:
            self.rules.note(output)
            if isinstance(output, o.TurnClosed):
                self.hears_turn = False
        return out

    def pause_on(self, seconds: float) -> None:
        windows, late = round(seconds * WIRE_RATE / WINDOW), LATE_TICKS
        while windows and late:
            windows -= 1
            late -= not self.hears_turn
            self.heard += WINDOW
            self.wait(WINDOW / WIRE_RATE)
            self.give(i.SilenceTick(self.heard, self.now))
        self.heard += windows * WINDOW
        self.wait(windows * WINDOW / WIRE_RATE)

    def engine(self) -> None:
        """Some work brings something: in order, out of order, too late, or a failure."""
        self.mcp_servers()
        recognitions = {task.work for task in self.all(o.Transcribe)}
        works = sorted(recognitions.union(self.works_of_responses()))
        if not works:
            return
        work = self.chance.choice(works[-4:])
        if work in recognitions:
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


def told(seed: int) -> Chaos:
    """The conversation of this seed, up to the moment at which everything calms down."""
    story = Chaos(seed)
    story.tell()
    return story


def ended(story: Chaos) -> None:
    """Let it come to its end. Raises `AssertionError` if a rule was broken."""
    story.settle_down()
    story.rules.end()
