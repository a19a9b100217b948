"""A conversation in which anything happens at any moment, told to the core alone. `rules` has what must hold in it.

What the detector, the engines, the client and time bring are inputs that a random source chooses, also such as no
well-behaved runtime would bring: results twice, out of order, too late, or of work that has ended.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import msgspec
from rules import Rules
from story import WINDOW, Story

from antiphon.audio.units import WIRE_RATE
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.items import McpApprovalResponse, McpTool, Message, Role, Text
from antiphon.session.settings import (
    Fillers,
    FunctionTool,
    McpServer,
    ResponseOptions,
    Settings,
    SettingsPatch,
    Speculating,
    Transcription,
    TurnDetection,
)

STEPS = 60
GUARDED = frozenset({"send"})  # tools of the server that run only when the person has allowed it
CALLED = ("clock", "send", "send", "theirs", "feed", "feed")
Work = (
    o.Transcribe
    | o.Follow
    | o.Generate
    | o.Say
    | o.ScoreTurn
    | o.Summarise
    | o.RunTool
    | o.ListMcpTools
    | o.CallMcpTool
)
ENDS = (
    i.TranscriptReady,
    i.TurnScored,
    i.Summarised,
    i.ToolReturned,
    i.McpToolsListed,
    i.McpToolReturned,
    i.WorkFailed,
)
"""Results after which nothing is to be expected of the work; that of an answer ends with it."""
LATE_TICKS = 3  # windows that are under way when the detector learns that a turn is over; then it says no more


class Chaos(Story):
    """A story that a random source tells: the person, the engines and the client act whenever they like."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.tasks: dict[int, Work] = {}
        """All work that was asked for, by its number."""
        self.under_way: dict[int, Work] = {}
        """What of it was neither stopped nor is done."""
        self.speaking = False
        self.hears_turn = False
        """The detector has told of a voice, and was not told that the turn is over."""
        self.rules = Rules(GUARDED)
        writes_down = self.chance.random() < 0.1
        settings = Settings(
            kind="transcription" if writes_down else "realtime",
            transcription=Transcription() if writes_down or self.chance.random() < 0.5 else None,
            turn_detection=self.detection(),
            speaks=self.chance.random() < 0.8,
            tools=(self.zoo(0),) if self.chance.random() < 0.5 else (),
        )
        self.plays = self.chance.random() < 0.25
        super().__init__(
            settings,
            max_mcp_servers=1,
            mcp_servers=(McpServer("home", address=9),) if self.chance.random() < 0.2 else (),
            server_tools=(FunctionTool("clock"), *(FunctionTool(name) for name in GUARDED)),
            asks_before=tuple(GUARDED),
            approval_s=self.chance.choice((2.0, 30.0)),
            plays=self.plays,
            follows=writes_down,
            follows_conversation=self.chance.random() < 0.3,
            fillers=Fillers(phrases={"en": "One moment."} if self.chance.random() < 0.3 else {}),
            greeting=self.chance.choice(("", "", "Good day.")),
            apologies={"en": "Sorry."} if self.chance.random() < 0.3 else {},
            context_tokens=self.chance.choice((28_672, 28_672, 100)),
            summarise=self.chance.random() < 0.5,
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
            idle_timeout_ms=self.chance.choice((None, None, None, 5_000)),
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
            consent=self.chance.choice((None, True, False)),
        )

    def tell(self) -> None:
        """All of it, up to the moment at which everything calms down."""
        for _ in range(STEPS):
            self.step()

    def step(self) -> None:
        act: Callable[[], None] = self.chance.choices(
            (self.person, self.engine, self.client, self.time_goes_by, self.speaker, self.tool),
            weights=(5, 30, 3, 6, 2, 1),
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
            if isinstance(output, Work):
                self.tasks[output.work] = self.under_way[output.work] = output
            elif isinstance(output, o.StopWork):
                self.under_way.pop(output.work, None)
            elif isinstance(output, o.ResponseEnded):
                self.let_go(output.response.id)
            elif isinstance(output, o.TurnClosed):
                self.hears_turn = False
        return out

    def let_go(self, response_id: str) -> None:
        for task in list(self.under_way.values()):
            if isinstance(task, o.Generate | o.Say) and task.response_id == response_id:
                del self.under_way[task.work]

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
        """Some work brings something, or fails: mostly such as is under way, else any, also what has long ended."""
        works = list(self.under_way if self.under_way and self.chance.random() < 0.8 else self.tasks)[-4:]
        if works:
            self.bring(self.tasks[self.chance.choice(works)])

    def bring(self, task: Work) -> None:
        results = self.results_of(task)
        if self.chance.random() < 0.05:
            results = [i.WorkFailed(task.work, "broken", "no")]
        result = self.chance.choice(results)
        if isinstance(result, ENDS):
            self.under_way.pop(task.work, None)
        self.give(result)

    def is_voiced(self, task: Work) -> bool:
        return isinstance(task, o.Generate | o.Say) and task.voice is not None

    def results_of(self, task: Work) -> list[i.Input]:
        """What it may bring next, which need not follow from what it has brought."""
        work = task.work
        match task:
            case o.Transcribe() | o.Follow():
                words = [
                    i.TranscriptReady(work, text, reading=self.reading()) for text in ("hello", "hello", "", "yes")
                ]
                return [i.TranscriptGrew(work, "hel"), *words]
            case o.Generate() | o.Say():
                return self.answers(work, writes=isinstance(task, o.Generate), speaks=self.is_voiced(task))
            case o.ScoreTurn():
                return [i.TurnScored(work, self.chance.random())]
            case o.Summarise():
                return [i.Summarised(work, "sum"), i.Summarised(work, "")]
            case o.RunTool():
                return [i.ToolReturned(work, "{}", self.chance.random() < 0.8)]
            case o.ListMcpTools():
                return [i.McpToolsListed(work, (McpTool("feed", "Feed.", {}), McpTool("clock", "Tell.", {})))]
            case o.CallMcpTool():
                return [i.McpToolReturned(work, "fed")]

    def answers(self, work: int, *, writes: bool, speaks: bool) -> list[i.Input]:
        """Of a model and its voice. What a voice does is there as often as is needed for some answers to be heard."""
        spoken: list[i.Input] = [
            *(i.ClauseBegan(work, text) for text in ("Well, ", "no. ")),
            *(i.AudioMade(work, samples) for samples in (480, 4_800, 24_000, 48_000)),
            i.WordsMarked(work, ((0, 0), (3, 400))),
            i.ClauseEnded(work),
            i.SpeakingEnded(work),
        ]
        written: list[i.Input] = [
            i.TextWritten(work, "Well, "),
            *(i.CallWritten(work, index, f"call_{work}_{index}", self.chance.choice(CALLED), "{}") for index in (0, 1)),
            i.WritingEnded(work, self.chance.choice(("stop", "stop", "length"))),
        ]
        return (spoken if speaks else []) + (written if writes else [i.WritingEnded(work, "stop")])

    def speaker(self) -> None:
        """Somebody says how much was played: the server's own speaker, or a client, which may be wrong."""
        for response_id, sent in self.sound_of_responses()[-2:]:
            self.give(i.Played(response_id, self.chance.choice((0, sent // 2, sent, sent))))
        for audio in self.all(o.AudioSent)[-1:]:
            self.give(i.AudioPlayed(audio.item_id, self.chance.choice((0, audio.start, audio.stop, 10 * audio.stop))))

    def sound_of_responses(self) -> list[tuple[str, int]]:
        """Of each response how much was sent."""
        sent: dict[str, int] = {}
        for audio in self.all(o.AudioSent):
            sent[audio.response_id] = sent.get(audio.response_id, 0) + audio.stop - audio.start
        return list(sent.items())

    def tool(self) -> None:
        """A tool of the server says how far it is, or one that went on beside the conversation is done."""
        calls = self.all(o.RunTool)
        call_id, name = (calls[-1].call_id, calls[-1].name) if calls else ("nobody", "clock")
        said: list[i.Input] = [
            i.ToolProgressed(call_id, name, "half way"),
            i.TaskEnded(call_id, name, "{}", "done", self.chance.random() < 0.8),
            i.CancelTool("browser", "r", call_id),
        ]
        self.give(self.chance.choice(said))

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
            i.CreateItem(connection, request, Message("", Role.USER, (Text("yes"),)), consent=True),
            *(i.AnswerApproval(connection, request, asked, self.chance.random() < 0.7) for asked in self.asked()),
            i.RetrieveItem(connection, request, last or "nobody"),
            i.ClearPlayback(connection, request),
            i.LineLost("browser"),
            i.LineRestored("browser"),
            i.Attach("another"),
            i.Detach("another"),
        ]
        self.give(self.chance.choice(wishes))

    def question(self) -> str:
        """A call that waits to be allowed, or did."""
        asked = [waiting.item.approval for waiting in self.all(o.McpCallAwaits)]
        return self.chance.choice(asked[-3:]) or "" if asked else "nobody"

    def asked(self) -> list[str]:
        """Calls of the server's tools that wait to be allowed, or did."""
        return [asked.call_id for asked in self.all(o.ApprovalAsked)[-2:]] or ["nobody"]

    def time_goes_by(self) -> None:
        self.wait(self.chance.choice((0.02, 0.1, 0.5, 3.0)))

    def settle_down(self) -> None:
        """Every engine answers what is still open; nobody speaks any more."""
        if self.speaking:
            self.heard += WINDOW
            self.give(i.VoicePaused(self.heard - WINDOW, self.heard, self.now))
        self.give(i.LineRestored("browser"))
        detection = self.session.settings.turn_detection
        if detection is not None and detection.idle_timeout_ms is not None:  # silence would be a turn, again and again
            self.ask(turn_detection=msgspec.structs.replace(detection, idle_timeout_ms=None))
        self.pause_on(2.1)  # as long as the most patient judgement of a pause that is eager
        for _ in range(20):
            known = len(self.everything)
            self.wait(60.0)
            self.bring_all(self.under_way)
            if all(isinstance(output, o.Remark) for _, output in self.everything[known:]):
                break  # nothing happens any more
        known = len(self.everything)
        self.bring_all(self.tasks)
        late = {type(output) for _, output in self.everything[known:]}
        assert late <= {o.Remark}, f"what came too late had {late} for a consequence"

    def bring_all(self, tasks: Mapping[int, Work]) -> None:
        """Let this work end well."""
        for task in list(tasks.values()):
            match task:
                case o.Generate() | o.Say():
                    self.give(i.WritingEnded(task.work, "stop"))
                    self.give(i.SpeakingEnded(task.work))
                case o.ListMcpTools():
                    self.give(i.WorkFailed(task.work, "mcp_failed", "no"))
                case _:
                    self.give(self.results_of(task)[-1])
        for response_id, sent in self.sound_of_responses() if self.plays else ():
            self.give(i.Played(response_id, sent))


def told(seed: int) -> Chaos:
    """The conversation of this seed, up to the moment at which everything calms down."""
    story = Chaos(seed)
    story.tell()
    return story


def ended(story: Chaos) -> None:
    """Let it come to its end. Raises `AssertionError` if a rule was broken."""
    story.settle_down()
    story.rules.end()
