"""Choosing a microphone and a speaker by what people call them."""

from __future__ import annotations

import pytest

from antiphon.desktop.devices import Device, chosen, served
from antiphon.errors import ConfigError

MONITOR = Device("Monitor of Speakers", "microphone", 0, 48_000, 2, is_default=True, is_monitor=True)
BUILT_IN = Device("Built-in Audio", "microphone", 1, 48_000, 2)
HEADSET = Device("Jabra Headset", "microphone", 2, 16_000, 1)
SPEAKERS = Device("Built-in Audio", "speaker", 1, 44_100, 2, is_default=True)
ALL = [MONITOR, BUILT_IN, HEADSET, SPEAKERS]


@pytest.mark.parametrize(
    ("wanted", "found"), [(None, BUILT_IN), ("jabra", HEADSET), ("2", HEADSET), ("Monitor of Speakers", MONITOR)]
)
def test_by_name_part_or_number(wanted: str | None, found: Device) -> None:
    """A monitor is never chosen by itself, even where the system calls it its default."""
    assert chosen(ALL, "microphone", wanted) is found


def test_what_cannot_be_meant() -> None:
    with pytest.raises(ConfigError, match="part of 2 microphones' names"):
        chosen([BUILT_IN, HEADSET], "microphone", "a")
    with pytest.raises(ConfigError, match=r"(?s)no microphone is called 'jabro headset'.*Did you mean 'Jabra Headset'"):
        chosen(ALL, "microphone", "jabro headset")
    with pytest.raises(ConfigError, match="there is no microphone here"):
        chosen([SPEAKERS], "microphone", None)
    with pytest.raises(ConfigError, match="record what the speakers play"):
        chosen([MONITOR, SPEAKERS], "microphone", None)


def test_the_sound_servers_own() -> None:
    document = {
        "info": {"default_source_name": "mic", "default_sink_name": "out"},
        "sources": [
            {"name": "out.monitor", "description": "Monitor", "sample_specification": "s16le 2ch 44100Hz"},
            {"name": "mic", "description": "Microphone", "sample_specification": "float32le 1ch 16000Hz"},
        ],
        "sinks": [{"name": "out", "description": "Speakers", "sample_specification": ""}],
    }
    monitor, microphone, speaker = served(document, 5)
    assert monitor.is_monitor
    assert (microphone.rate_hz, microphone.is_default, microphone.index) == (16_000, True, 5)
    assert (speaker.kind, speaker.served_as, speaker.rate_hz) == ("speaker", "out", 48_000)
    assert served({}, 0) == []
