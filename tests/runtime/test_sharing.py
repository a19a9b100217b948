"""Several connections on one session: all see what happens in it, each hears alone what was wrong with its own
requests, and the session is over for all of them at once.
"""

from __future__ import annotations

from antiphon.engines.fake import FakeLlm, FakeStt
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.settings import ResponseOptions, SessionConfig, Settings, SettingsPatch
from antiphon.testing.conversation import Conversation, Ear
from antiphon.testing.virtual_time import run


def kinds(ear: Ear) -> list[type]:
    return [type(notice) for _, notice in ear.shown]


def test_an_observer_sees_what_the_first_connection_sees() -> None:
    async def story() -> None:
        async with Conversation(FakeStt("hello"), FakeLlm("Hello there.")) as call:
            call.drive.put(i.UpdateSettings("ear", None, SettingsPatch(instructions="Be brief.")))
            observer = Ear("observer")
            call.drive.attach(observer)
            (welcome,) = (notice for _, notice in observer.shown)
            assert isinstance(welcome, o.Welcomed)
            assert welcome.settings.instructions == "Be brief."
            assert kinds(call.ear).count(o.Welcomed) == 1, "the first one has been welcomed already"
            seen = len(call.ear.shown)
            await call.talk(1.0)
            await call.pause(3.0)
            assert kinds(observer)[1:] == kinds(call.ear)[seen:]
            assert o.ResponseEnded in kinds(observer)
            assert observer.audio == call.ear.audio
            assert not observer.checker.faults
            call.drive.detach(observer)

    run(story())


def test_each_may_ask_and_only_who_asked_is_refused() -> None:
    async def story() -> None:
        async with Conversation() as call:
            observer = Ear("observer")
            call.drive.attach(observer)
            call.drive.put(i.CancelResponse("observer", "mine"))
            assert o.Refused in kinds(observer)
            assert o.Refused not in kinds(call.ear)
            call.drive.put(i.CreateResponse("observer", None, ResponseOptions()))
            await call.pause(2.0)
            assert o.ResponseEnded in kinds(call.ear)
            seen = len(observer.shown)
            call.drive.detach(observer)
            await call.talk(1.0)
            await call.pause(1.0)
            assert len(observer.shown) == seen

    run(story())


def test_the_end_is_the_end_for_all() -> None:
    async def story() -> None:
        async with Conversation(config=SessionConfig(Settings(), lifetime_s=60.0)) as call:
            observer = Ear("observer")
            call.drive.attach(observer)
            await call.pause(61.0)
            for ear in (call.ear, observer):
                assert ear.closed == "session_expired"
                (refused,) = (notice for _, notice in ear.shown if isinstance(notice, o.Refused))
                assert refused.code == "session_expired"

    run(story())
