"""The page in a real browser, against our server: what a person does with it, and what a person sees."""

from __future__ import annotations

import asyncio
import json
import re
from functools import partial
from pathlib import Path

import msgspec
import pytest
from playwright.async_api import Page, expect
from stage import KEY, LINES, PRODUCT, STORY, House, embedded, scripted
from theatre import PHONE, Cable, open_page, origin_of, picture, tape

pytestmark = [pytest.mark.real, pytest.mark.slow]

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE_MS = 90_000  # the embedded recogniser takes longer than half a minute where others want the processor
LOOK_MS = 50
KEEP_MICROPHONE = """
window.microphones = []
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices)
navigator.mediaDevices.getUserMedia = async (wish) => {
  const stream = await ask(wish)
  window.microphones.push(...stream.getAudioTracks())
  return stream
}
"""
UNPLUG = """() => {
  // A track that a script stops does not say so itself, as that of an unplugged device does.
  microphones.at(-1).stop()
  microphones.at(-1).dispatchEvent(new Event('ended'))
}"""
KEEP_CALLS = """
window.calls = []
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...given) {
    super(...given)
    calls.push(this)
  }
  createDataChannel(...given) {
    return (this.channel = super.createDataChannel(...given))
  }
}
"""
BREAK_CALL = """() => {
  // A browser finds out by itself after some fifteen seconds. The page is told at once here, and the server is not: no
  // goodbye gets through a path that is broken.
  const call = calls.at(-1)
  call.close = call.channel.close = () => undefined
  Object.defineProperty(call, 'connectionState', { get: () => 'failed' })
  call.dispatchEvent(new Event('connectionstatechange'))
}"""
NO_PATH = """
// Only by a relay, and there is none: as behind a firewall that lets no UDP through.
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor() {
    super({ iceTransportPolicy: 'relay' })
  }
}
const wait = window.setTimeout
window.setTimeout = (then, ms, ...given) => wait(then, ms === 15000 ? 1500 : ms, ...given) // of the patience for it
"""
SPILLS = """(({ scrollWidth, clientWidth, scrollHeight, clientHeight }) =>
  [scrollWidth > clientWidth, scrollHeight > clientHeight])(document.querySelector('%s'))"""
SLOW = """
// As if each answer had taken long.
for (const time of document.querySelectorAll('.figure:nth-child(-n+2) dd, .turn-total')) time.textContent = '12,766 ms'
"""
LOUD = "Number(document.querySelector('.ring').style.getPropertyValue('--level')) > 0.4"
DURATION = re.compile(r"calculate\s*\d+ ms on the server")
scripted_house = partial(scripted, tls=False, partials="off")
"""The page asks for words while they are spoken, and each look at an utterance would use up a line of the script."""
expect.set_options(timeout=PATIENCE_MS)


async def connect(page: Page, house: House) -> None:
    await page.goto(origin_of(house.url))
    await page.get_by_role("button", name="Connect", exact=True).click()
    await page.get_by_label("This server asks for a key").fill(KEY)
    await page.locator("form.banner").get_by_role("button", name="Connect").click()
    await expect(page.get_by_role("status")).to_have_text(re.compile("Connected|Listening|Speaking|Thinking"))


async def connect_at_once(page: Page, house: House) -> None:
    """By one click, for who has given the key before. Nothing but that has the focus."""
    await page.add_init_script(f"sessionStorage.setItem('antiphon.key', {KEY!r})")
    await page.goto(origin_of(house.url))
    await page.get_by_role("button", name="Connect", exact=True).click()
    await expect(page.get_by_role("status")).to_have_text("Connected")


async def until(page: Page, condition: str) -> None:
    """`wait_for_function` would evaluate it in the page, whose own rules forbid that."""
    for _ in range(PATIENCE_MS // LOOK_MS):
        if await page.evaluate(condition):
            return
        await asyncio.sleep(LOOK_MS / 1000)
    raise AssertionError(f"never so: {condition}")


async def ask(page: Page, text: str) -> None:
    """Type a question."""
    await page.get_by_label("Type instead of speaking").fill(text)
    await page.get_by_role("button", name="Send").click()


def test_a_spoken_question_is_answered_and_its_time_accounted_for(
    tmp_path: Path, sounds: Path, embedded: House
) -> None:
    async def story() -> None:
        async with open_page(tape(tmp_path / "mic.wav", sounds, 4.0, "product", 20.0)) as page:
            await page.goto(origin_of(embedded.url))
            await picture(page, "1-welcome")
            await connect(page, embedded)
            await picture(page, "2-connected")
            await until(page, LOUD)
            await expect(page.locator(".entry.user .said")).to_have_text(LINES["product"])
            await expect(page.locator(".entry.assistant .said")).to_have_text(PRODUCT)
            await expect(page.locator(".entry.tool summary")).to_contain_text("calculate")
            # Heard to its end: nothing is left to come. Of the question nothing may change any more.
            await expect(page.locator(".entry .coming")).to_have_count(0)
            await page.locator(".turn summary").click()
            await picture(page, "3-answered")
            assert (await check_turn(page))[0] > 400, "the wait for the end of the turn is most of its 500 ms"
            await expect(page.locator(".entry.tool summary")).to_have_text(DURATION)
            await page.evaluate("document.documentElement.dataset.theme = 'dark'")
            await picture(page, "4-dark")

    asyncio.run(story())


async def check_turn(page: Page) -> list[float]:
    """The stages of the bar add up to the time beside it, and end with the browser's own share. Returns their lengths
    in ms."""
    rows = await page.locator(".turn tr:not(:has([data-stage=tool]))").all_inner_texts()
    lengths = [float(row.rsplit("\t", 1)[1].removesuffix(" ms").replace(",", "")) for row in rows]
    total = float((await page.locator(".turn-total").inner_text()).removesuffix(" ms").replace(",", ""))
    assert sum(lengths) == pytest.approx(total, abs=len(lengths))
    assert min(lengths) >= 0
    assert "This browser" in rows[-1]
    return lengths


WEATHER = {
    "type": "function", "name": "get_weather", "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}  # fmt: skip


def test_a_function_of_the_person_and_a_voice_over_the_answer(tmp_path: Path, sounds: Path) -> None:
    async def story() -> None:
        microphone = tape(tmp_path / "mic.wav", sounds, 5.0, "weather", 9.0, "story", 4.0, "stop", 20.0)
        choices = json.dumps({"ownTools": [WEATHER]})
        async with (
            scripted_house(tmp_path) as house,
            open_page(microphone, choices=choices, alone=True) as page,
        ):
            await connect(page, house)
            result = page.get_by_label("Result of get_weather")
            await result.fill("sunny")
            await picture(page, "5-a-function-waits")
            await page.get_by_role("button", name="Answer").click()
            await expect(page.locator(".entry.assistant .said").first).to_have_text("It is sunny in Paris.")
            await expect(page.locator(".entry.tool summary")).to_contain_text("in this page")
            await expect(page.locator(".entry.assistant .note")).to_contain_text("interrupted")
            await expect(page.locator(".entry.user .said").last).to_have_text(LINES["stop"])
            await expect(page.locator(".entry.assistant .said").last).to_have_text("You said stop now please.")
            await picture(page, "6-interrupted")
            check_silence(await silence_ms(page, "response.output_audio.delta"))
            (trace,) = (tmp_path / "traces").glob("*.jsonl")
            text = await asyncio.to_thread(trace.read_text)
            assert '"audio_played"' in text
            assert '"truncate_item"' in text
            assert '"refused"' not in text

    asyncio.run(story())


async def silence_ms(page: Page, next_sound: str) -> float:
    """How long after the last `speech_started` the loudspeaker was still heard. `next_sound` announces the next
    answer's."""
    found: float = await page.evaluate(
        """(next_sound) => {
            const { messages } = window.heard
            const stop = messages.filter((one) => one.type === 'input_audio_buffer.speech_started').at(-1)
            const next = messages.find((one) => one.type === next_sound && one.atMs > stop.atMs)
            return next.lastLoudMs - stop.atMs
        }""",
        next_sound,
    )
    return found


def check_silence(after_ms: float) -> None:
    print(f"silent {after_ms:.0f} ms after speech_started")
    assert -300 < after_ms < 150, "it was speaking until then, and no longer"


def test_a_call_is_answered_and_interrupted(tmp_path: Path, sounds: Path) -> None:
    async def story() -> None:
        microphone = tape(tmp_path / "mic.wav", sounds, 5.0, "story", 4.0, "stop", 20.0)
        choices = json.dumps({"transport": "webrtc"})
        says = ("story", "stop")
        async with (
            scripted_house(tmp_path, says=says) as house,
            open_page(microphone, choices=choices, alone=True) as page,
        ):
            await connect(page, house)
            await expect(page.locator(".entry.assistant .note")).to_contain_text("interrupted")
            await expect(page.locator(".entry.user .said").last).to_have_text(LINES["stop"])
            await expect(page.locator(".entry.assistant .said").last).to_have_text("You said stop now please.")
            await page.get_by_role("tab", name="Connection").click()
            await expect(page.locator(".facts")).to_contain_text("host udp")
            await picture(page, "10-a-call")
            await expect(page.get_by_role("status")).to_have_text("Connected")
            check_silence(await silence_ms(page, "output_audio_buffer.started"))
            (trace,) = (tmp_path / "traces").glob("*.jsonl")
            assert '"refused"' not in await asyncio.to_thread(trace.read_text)

    asyncio.run(story())


@pytest.mark.parametrize("transport", ["websocket", "webrtc"])
def test_a_server_that_restarts_finds_the_conversation_again(tmp_path: Path, transport: str) -> None:
    async def story() -> None:
        async with open_page(choices=json.dumps({"transport": transport})) as page:
            with embedded(tmp_path, tls=False) as house:
                await connect(page, house)
                await ask(page, "What is two plus three?")
                await expect(page.locator(".entry.assistant .said")).to_have_text("That is 5.")
                await expect(page.get_by_role("button", name="Stop")).to_have_count(0)
            await expect(page.get_by_role("alert")).to_contain_text("What was said is kept.")
            await picture(page, f"7-the-server-is-away-{transport}")
            port = int(house.url.split(":")[2].partition("/")[0])
            with embedded(tmp_path, tls=False, port=port):
                await expect(page.get_by_role("status")).to_have_text("Connected")
                await ask(page, "What is two plus four?")
                await expect(page.locator(".entry.assistant .said").last).to_have_text("That is 6.")
                await expect(page.locator(".entry.user")).to_have_count(2)
                await page.get_by_role("button", name="Hang up").click()
            newest = max((tmp_path / "traces").glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
            given = [line for line in newest.read_text().splitlines() if '"create_item"' in line]
            assert any("two plus three" in line for line in given)
            assert any("That is 5." in line for line in given)

    asyncio.run(story())


def test_a_connection_that_breaks_in_mid_answer_is_taken_up_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            scripted_house(tmp_path) as house,
            Cable.to(origin_of(house.url)) as cable,
            open_page() as page,
        ):
            await connect(page, msgspec.structs.replace(house, url=cable.origin))
            await ask(page, "Tell me a story")
            await expect(page.locator(".entry.assistant .said")).to_contain_text("the fox went up the hill")
            cable.tear()
            await expect(page.get_by_role("alert")).to_contain_text("What was said is kept.")
            cable.mend()
            await expect(page.locator(".gap")).to_contain_text("Nothing was lost.")
            await picture(page, "14-taken-up-again")
            await expect(page.locator(".entry.assistant .said")).to_have_text(re.compile("^" + STORY[:140]))
            await expect(page.get_by_role("status")).to_have_text("Speaking")
            await page.get_by_role("button", name="Hang up").click()
            assert len(list((tmp_path / "traces").glob("*.jsonl"))) == 1, "it is one session"

    asyncio.run(story())


def test_a_call_whose_path_breaks_is_taken_up_again(tmp_path: Path) -> None:
    async def story() -> None:
        choices = json.dumps({"transport": "webrtc"})
        async with scripted_house(tmp_path) as house, open_page(choices=choices) as page:
            await page.add_init_script(KEEP_CALLS)
            await connect(page, house)
            await ask(page, "Tell me a story")
            await expect(page.locator(".entry.assistant .said")).to_contain_text("the fox went up the hill")
            await page.evaluate(BREAK_CALL)
            await expect(page.locator(".gap")).to_contain_text("Nothing was lost.")
            await expect(page.locator(".entry.assistant .said")).to_have_text(re.compile("^" + STORY[:140]))
            await expect(page.get_by_role("status")).to_have_text("Speaking")
            await page.get_by_role("button", name="Hang up").click()
            assert len(list((tmp_path / "traces").glob("*.jsonl"))) == 1, "it is one session"

    asyncio.run(story())


def test_what_destroys_is_asked_about_and_done_only_if_it_is_allowed(embedded: House) -> None:
    async def story() -> None:
        async with open_page() as page:
            await connect(page, embedded)
            await ask(page, "Add milk to my list")
            await expect(page.locator(".entry.assistant .said").last).to_contain_text("milk")
            for button, outcome in (("Don’t", "not allowed"), ("Allow", "on the server")):
                await ask(page, "Clear my list")
                question = page.get_by_role("group", name="Permission for list_clear")
                await expect(question).to_be_visible()
                await picture(page, "15-may-it")
                assert await faults_of_access(page) == []
                await question.get_by_role("button", name=button).press("Enter")
                await expect(page.locator(".entry.tool summary").last).to_contain_text(outcome)
                await expect(page.locator(".log")).to_be_focused()
            await expect(page.locator(".entry.assistant .said").last).to_contain_text("empty now")

    asyncio.run(story())


def test_a_refused_microphone_is_said_in_words_and_one_can_type(embedded: House) -> None:
    async def story() -> None:
        async with open_page(allowed=False) as page:
            await connect(page, embedded)
            await expect(page.get_by_role("alert")).to_contain_text("does not let this page hear you")
            await picture(page, "8-microphone-refused")
            await ask(page, "What is two plus three?")
            await expect(page.locator(".entry.assistant .said")).to_have_text("That is 5.")

    asyncio.run(story())


@pytest.mark.parametrize("transport", ["websocket", "webrtc"])
def test_a_microphone_that_is_unplugged_in_mid_sentence_ends_the_turn_and_is_replaced(
    tmp_path: Path, sounds: Path, transport: str
) -> None:
    async def story() -> None:
        microphone = tape(tmp_path / "mic.wav", sounds, 2.0, "long", 20.0)
        async with (
            scripted_house(tmp_path, says=("long",)) as house,
            open_page(microphone, choices=json.dumps({"transport": transport})) as page,
        ):
            await page.add_init_script(KEEP_MICROPHONE)
            await connect(page, house)
            await expect(page.get_by_role("status")).to_have_text("Listening")
            await page.evaluate(UNPLUG)
            await expect(page.get_by_role("alert")).to_contain_text("The microphone is gone")
            await expect(page.locator(".entry.assistant .said")).to_contain_text("You said")
            await picture(page, f"13-unplugged-{transport}")
            await page.get_by_role("button", name="Use Fake Audio Input 2").click()
            await expect(page.get_by_role("alert")).to_have_count(0)
            await expect(page.get_by_role("button", name="Mute")).to_be_enabled()
            assert await page.evaluate("microphones.map((track) => track.readyState)") == ["ended", "live"]
            await expect(page.get_by_role("status")).to_have_text(re.compile("Connected|Speaking"))

    asyncio.run(story())


def test_push_to_talk_is_heard_only_while_it_is_held_in_a_call(tmp_path: Path, sounds: Path, embedded: House) -> None:
    async def story() -> None:
        choices = json.dumps({"transport": "webrtc", "wishes": {"detection": {"kind": "none"}}})
        async with open_page(tape(tmp_path / "mic.wav", sounds, 10.0, "product", 20.0), choices=choices) as page:
            await connect_at_once(page, embedded)
            button = page.get_by_role("button", name="Hold to speak")
            await expect(button).to_be_enabled()
            await button.click()  # too short for anything to be said: nobody is asked
            await expect(page.get_by_role("status")).to_have_text("Connected")
            await page.locator(".log").focus()
            await page.keyboard.down(" ")
            await expect(page.get_by_role("status")).to_have_text("Listening")
            await until(page, LOUD)
            await page.wait_for_timeout(4000)
            await page.keyboard.up(" ")
            await expect(page.locator(".entry.user .said")).to_have_text(LINES["product"])
            await expect(page.locator(".entry.assistant .coming")).not_to_be_empty()
            await expect(page.locator(".entry.assistant .said")).to_have_text(PRODUCT)
            await expect(page.locator(".entry.assistant .coming")).to_have_count(0)
            await expect(page.locator(".entry")).to_have_count(3)  # what was asked, the tool, and the answer
            await expect(page.locator(".entry.tool summary")).to_have_text(DURATION)
            await page.locator(".turn summary").click()
            await check_turn(page)
            await picture(page, "16-push-to-talk-in-a-call")

    asyncio.run(story())


def test_a_call_for_which_there_is_no_path_says_so_and_is_not_tried_for_ever(embedded: House) -> None:
    async def story() -> None:
        async with open_page(choices=json.dumps({"transport": "webrtc"})) as page:
            await page.add_init_script(NO_PATH)
            await page.add_init_script(f"sessionStorage.setItem('antiphon.key', {KEY!r})")
            await page.goto(origin_of(embedded.url))
            await page.get_by_role("button", name="Connect", exact=True).click()
            await expect(page.get_by_role("alert")).to_contain_text("no way to the server was found. Choose WebSocket.")
            await picture(page, "17-no-path")
            await expect(page.get_by_role("status")).to_have_text("Not connected")
            await page.get_by_role("radio", name="WebSocket").check()
            await page.get_by_role("button", name="Try again").click()
            await expect(page.get_by_role("status")).to_have_text("Connected")

    asyncio.run(story())


def test_what_is_set_is_what_holds(embedded: House) -> None:
    async def story() -> None:
        async with open_page() as page:
            await connect_at_once(page, embedded)
            await page.get_by_role("tab", name="Settings").click()
            voice, instructions = page.get_by_role("combobox", name="Voice"), page.get_by_label("Instructions")
            own = await instructions.get_attribute("placeholder")
            await expect(page.locator("#voices option").first).to_be_attached()
            await voice.fill("onyx")
            await voice.press("Enter")
            await expect(page.get_by_text("now: onyx")).to_be_visible()
            await instructions.fill("Answer in rhyme.")
            await page.get_by_label("Hands-free, by sense").check()
            assert await session_of(page) == ("Answer in rhyme.", "onyx", "semantic_vad")
            await picture(page, "18-settings")
            await ask(page, "What is two plus three?")
            await expect(page.locator(".entry.assistant .said")).to_have_text("That is 5.")
            await expect(voice).to_be_disabled()
            await expect(page.get_by_text("another from the next conversation on")).to_be_visible()
            # The voice stays, and the rest is changed all the same.
            await page.get_by_role("button", name="Back to the usual settings").click()
            await expect(instructions).to_have_value("")
            await expect(instructions).to_have_attribute("placeholder", str(own))
            assert await session_of(page) == (own, "onyx", "server_vad")
            await expect(page.locator(".problem")).to_have_count(0)
            await page.get_by_role("button", name="Forget the conversation").click()
            await expect(voice).to_be_enabled()
            await expect(page.get_by_text("now: marin")).to_be_visible()

    asyncio.run(story())


async def session_of(page: Page) -> tuple[str, str, str]:
    """Instructions, voice and detection that hold, once the server has answered to the last change."""
    await until(page, "heard.session.answered === heard.session.asked")
    session = await page.evaluate("heard.session.now")
    audio = session["audio"]
    return session["instructions"], audio["output"]["voice"], audio["input"]["turn_detection"]["type"]


def test_a_phone_shows_it_all_without_scrolling_sideways(embedded: House) -> None:
    async def story() -> None:
        async with open_page(size=PHONE) as page:
            await connect(page, embedded)
            await ask(page, "What is two plus three?")
            await expect(page.locator(".entry.assistant .said")).to_have_text("That is 5.")
            await picture(page, "9-phone")
            for tab in ("Connection", "Captions", "Settings", "Timing", "Talk"):
                await page.get_by_role("tab", name=tab).click()
                await page.evaluate(SLOW)
                await picture(page, f"9-phone-{tab.lower()}")
                assert (await page.evaluate(SPILLS % ".panel"))[0] is False, tab
                assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), tab
                assert await page.evaluate(SPILLS % ".tabs") == [False, False], "all are in sight, and lie still"
                assert await faults_of_access(page) == []

    asyncio.run(story())


def test_everything_can_be_reached_by_keyboard_and_named_by_a_screen_reader(embedded: House) -> None:
    async def story() -> None:
        async with open_page() as page:
            await connect_at_once(page, embedded)
            await page.keyboard.press("m")
            await expect(page.get_by_role("button", name="Unmute")).to_have_attribute("aria-pressed", "true")
            await page.keyboard.press("Space")
            await expect(page.get_by_role("status")).to_have_text("Connected")
            await ask(page, "What is two plus three?")
            await expect(page.locator(".entry.assistant .said")).to_have_text("That is 5.")
            for look in ("light", "dark"):
                await page.evaluate("look => document.documentElement.dataset.theme = look", look)
                for tab in ("Timing", "Connection", "Captions", "Settings"):
                    await page.get_by_role("tab", name=tab).click()
                    assert await faults_of_access(page) == [], (look, tab)
            await page.get_by_role("tab", name="Settings").press("ArrowLeft")
            await expect(page.get_by_role("tab", name="Captions")).to_be_focused()
            await page.get_by_role("button", name="Hang up").focus()
            await page.keyboard.press("m")
            await expect(page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "false")
            await ask(page, "What is two plus four?")
            await page.keyboard.press("Escape")
            await expect(page.get_by_role("status")).to_have_text("Connected")

    asyncio.run(story())


async def faults_of_access(page: Page) -> list[str]:
    """What axe finds wrong: names, roles, contrast."""
    if not await page.evaluate("typeof axe !== 'undefined'"):
        await page.evaluate(await asyncio.to_thread(AXE.read_text))
    found = await page.evaluate("axe.run()")
    assert len(found["passes"]) > 10, "it has looked"
    return [
        f"{fault['id']}: {node['html'][:120]} {node['failureSummary'][:300]}"
        for fault in found["violations"]
        for node in fault["nodes"]
    ]
