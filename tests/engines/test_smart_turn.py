"""smart-turn's ear is Whisper's to the fifth digit, and a file that is not smart-turn is refused at start."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from antiphon.audio.units import HEARING_RATE, Pcm
from antiphon.config import Config, Detector, Model, Recogniser, Turns, Voice
from antiphon.engines import registry
from antiphon.engines.turn.log_mel import log_mel
from antiphon.engines.turn.smart_turn import FRAMES, MOST_WAITING, SPAN, SmartTurn
from antiphon.errors import ConfigError, EngineError

EXPECTED = Path(__file__).parents[1] / "data" / "whisper_features.json"


def tiny_model(path: Path, shape: tuple[str | int, ...] = ("batch", 80, 800), last: str = "Sigmoid") -> Path:
    """smart-turn's inputs and outputs around one thought: a loud end, P(over) near 1."""
    inner = [
        helper.make_node("Slice", ["input_features", "start", "stop", "axis"], ["end"]),
        helper.make_node("ReduceMean", ["end"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node(last, ["mean"], ["scored"]),
        helper.make_node("Unsqueeze", ["scored", "one"], ["logits"]),
    ]
    numbers = {"start": 700, "stop": 800, "axis": 2, "one": 1}
    known = [helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in numbers.items()]
    takes = [helper.make_tensor_value_info("input_features", TensorProto.FLOAT, list(shape))]
    gives = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])]
    graph = helper.make_graph(inner, "tiny", takes, gives, known)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SmartTurn:
    return SmartTurn(tiny_model(tmp_path_factory.mktemp("turn") / "tiny.onnx"))


def voice(seconds: float) -> Pcm:
    """A gliding voice that stops 0.3 s before the end, and a whistle: the sound of the expected figures."""
    moment = np.arange(round(seconds * HEARING_RATE)) / HEARING_RATE
    glide = 2 * np.pi * (140 * moment - 20 * np.sin(2 * np.pi * 0.7 * moment))
    tone = sum(np.sin(number * glide) / number for number in range(1, 25))
    swell = (0.55 + 0.45 * np.sin(2 * np.pi * 2.3 * moment)) * (moment < seconds - 0.3)
    return np.asarray(0.1 * tone * swell + 0.01 * np.sin(2 * np.pi * 3100 * moment), np.float32)


@pytest.mark.parametrize("seconds", [3.0, 9.5])
def test_features_are_those_of_whisper(seconds: float) -> None:
    sound = voice(seconds)[-SPAN:]
    features = log_mel(np.pad(sound, (SPAN - sound.size, 0)))
    expected = json.loads(EXPECTED.read_text())["features"][str(seconds)]
    assert features.shape == (80, FRAMES)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[::8, 49::50], expected, atol=5e-5)


@pytest.mark.parametrize("sound", [np.zeros(SPAN, np.float32), np.full(SPAN, 0.5, np.float32)])
def test_what_does_not_move_is_silence(sound: Pcm) -> None:
    np.testing.assert_allclose(log_mel(sound), -1.5, atol=1e-6)


def test_the_last_eight_seconds_are_heard_and_a_short_turn_stands_at_their_end(model: SmartTurn) -> None:
    long = voice(11.0)
    assert model.scored(long) == model.scored(long[-SPAN:])
    short = voice(1.0)
    assert model.scored(short) == model.scored(np.pad(short, (SPAN - short.size, 0)))
    expected = 1 / (1 + np.exp(-log_mel(long[-SPAN:])[:, 700:].mean()))
    assert model.scored(long) == pytest.approx(expected, abs=1e-6)


def test_nothing_at_all_has_a_score_too(model: SmartTurn) -> None:
    assert 0 <= model.scored(np.zeros(0, np.float32)) <= 1


@pytest.mark.real
def test_scores_come_one_after_the_other_and_too_many_are_refused(model: SmartTurn) -> None:
    async def crowd() -> list[float | BaseException]:
        return await asyncio.gather(*(model.score(voice(1.0)) for _ in range(MOST_WAITING + 2)), return_exceptions=True)

    answers = asyncio.run(crowd())
    assert answers[:MOST_WAITING] == [model.scored(voice(1.0))] * MOST_WAITING
    refused = answers[MOST_WAITING:]
    assert [type(answer) for answer in refused] == [EngineError] * 2
    assert asyncio.run(model.score(voice(1.0))) == answers[0]


def test_a_file_that_is_not_there_is_refused_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file .*smart\.onnx") as caught:
        SmartTurn(tmp_path / "smart.onnx")
    assert "smart-turn-v3" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"<html>Not found</html>", b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "smart.onnx"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="no ONNX model"):
        SmartTurn(path)


def test_a_model_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"takes \[\['batch', 80, 3000\]\]"):
        SmartTurn(tiny_model(tmp_path / "whisper.onnx", ("batch", 80, 3000)))
    with pytest.raises(ConfigError, match="no probability"):
        SmartTurn(tiny_model(tmp_path / "bare.onnx", last="Identity"))


@pytest.mark.slow  # the first one to make all engines
def test_the_configuration_names_it(tmp_path: Path) -> None:
    def made(turns: Turns) -> registry.EngineSet:
        return registry.make(
            Config(
                turns=turns,
                vad=Detector(engine="energy"),
                stt=Recogniser(engine="fake"),
                llm=Model(engine="fake"),
                tts=Voice(engine="fake"),
            )
        )

    assert made(Turns()).turns is None
    engines = made(Turns(model=tiny_model(tmp_path / "tiny.onnx")))
    assert isinstance(engines.turns, SmartTurn)
    asyncio.run(engines.warm())
    asyncio.run(engines.close())
    with pytest.raises(ConfigError, match="there is no file"):
        made(Turns(model=tmp_path / "nothing.onnx"))
