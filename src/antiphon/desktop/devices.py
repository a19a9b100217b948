"""Which microphone and which speaker: what the machine has, and which one a person means.

Choosing is pure; only `installed` and `sources` look at the machine. On PulseAudio and PipeWire the sound server's own
microphones and speakers have names beside those of the cards, and are chosen by them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from msgspec import Struct

from antiphon.desktop.packages import install
from antiphon.errors import ConfigError, NotInstalled, did_you_mean

Kind = Literal["microphone", "speaker"]

BRIDGES = ("pulse", "pipewire", "default")  # PortAudio's names for the way to a sound server


class Device(Struct, frozen=True):
    """Something that records or plays."""

    name: str
    kind: Kind
    index: int
    """PortAudio's number for it, or for the way to the sound server that has it."""
    rate_hz: int
    """The rate that it runs at by itself."""
    channels: int
    is_default: bool = False
    is_monitor: bool = False
    """It records what a speaker plays, not what a person says."""
    served_as: str | None = None
    """Its name at the sound server, if it is chosen there."""


def chosen(devices: Sequence[Device], kind: Kind, wanted: str | None) -> Device:
    """The one that is meant: by number, by its whole name, or by a part that only one has. None is the default.

    Raises `ConfigError` with what there is. What only records a speaker is never chosen by itself.
    """
    own = [device for device in devices if device.kind == kind]
    if not own:
        raise ConfigError(
            f"there is no {kind} here",
            "Plug one in, or look at it with: antiphon doctor.",
        )
    if wanted is None:
        return _default(own, kind)
    exact = [device for device in own if wanted in (device.name, device.served_as)]
    if not exact and wanted.isdecimal():
        exact = [device for device in own if device.index == int(wanted) and device.served_as is None]
    near = exact or [device for device in own if wanted.casefold() in device.name.casefold()]
    if len(near) > 1 and not exact:
        raise ConfigError(
            f"{wanted!r} is a part of {len(near)} {kind}s' names",
            f"Say which: {', '.join(repr(device.name) for device in near)}.",
        )
    if not near:
        raise ConfigError(f"no {kind} is called {wanted!r}", did_you_mean(wanted, [device.name for device in own]))
    return near[0]


def _default(own: Sequence[Device], kind: Kind) -> Device:
    heard = [device for device in own if not device.is_monitor]
    if not heard:
        raise ConfigError(
            "the only microphones here record what the speakers play",
            f"Plug a microphone in. If it is meant, choose it by name: --{kind} {own[0].name!r}.",
        )
    return next((device for device in heard if device.is_default), heard[0])


def installed() -> list[Device]:
    """Everything that records or plays here. Blocks for some 100 ms; raises `ConfigError` without PortAudio."""
    portaudio = load_portaudio()
    default_in, default_out = portaudio.default.device
    found: list[Device] = []
    for index, entry in enumerate(portaudio.query_devices()):
        for kind, channels, default in (
            ("microphone", entry["max_input_channels"], default_in),
            ("speaker", entry["max_output_channels"], default_out),
        ):
            if channels:
                found.append(_of_card(kind, index, entry, is_default=index == default))
    bridge = next((device for name in BRIDGES[:2] for device in found if device.name == name), None)
    return found + (served(sources(), bridge.index) if bridge is not None else [])


def _of_card(kind: Any, index: int, entry: Any, *, is_default: bool) -> Device:
    channels = entry[f"max_{'input' if kind == 'microphone' else 'output'}_channels"]
    return Device(
        name=entry["name"],
        kind=kind,
        index=index,
        rate_hz=round(entry["default_samplerate"]),
        channels=min(channels, 2),
        is_default=is_default,
        is_monitor=kind == "microphone" and "monitor" in entry["name"].casefold(),
    )


def sources() -> Any:
    """What the sound server says of its sources and sinks, as JSON; empty without one."""
    if shutil.which("pactl") is None:
        return {}
    try:
        answers = {
            what: subprocess.run(
                ["pactl", "--format=json", "list", what], capture_output=True, timeout=2, check=True
            ).stdout
            for what in ("sources", "sinks")
        }
        info = subprocess.run(["pactl", "--format=json", "info"], capture_output=True, timeout=2, check=True).stdout
        return {what: json.loads(answer) for what, answer in answers.items()} | {"info": json.loads(info)}
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}


def served(document: Any, bridge: int) -> list[Device]:
    """The sound server's microphones and speakers, from what `pactl` says; `bridge` is PortAudio's way to them."""
    info = document.get("info", {})
    kinds: Iterable[tuple[str, Kind, str]] = (
        ("sources", "microphone", "default_source_name"),
        ("sinks", "speaker", "default_sink_name"),
    )
    return [
        Device(
            name=entry.get("description") or entry["name"],
            kind=kind,
            index=bridge,
            rate_hz=_rate_of(entry.get("sample_specification", "")),
            channels=1 if kind == "microphone" else 2,
            is_default=entry["name"] == info.get(default),
            is_monitor=kind == "microphone" and _is_monitor(entry),
            served_as=entry["name"],
        )
        for what, kind, default in kinds
        for entry in document.get(what, ())
    ]


def _is_monitor(entry: Any) -> bool:
    properties = entry.get("properties", {})
    return properties.get("device.class") == "monitor" or str(entry["name"]).endswith(".monitor")


def _rate_of(specification: str) -> int:
    """48000 of "s16le 2ch 48000Hz"; what cards have most where it does not say."""
    last = specification.split()[-1] if specification else ""
    digits = last.removesuffix("Hz")
    return int(digits) if digits.isdecimal() else 48_000


def load_portaudio() -> Any:
    """The module `sounddevice`. Raises `ConfigError` that says what to install."""
    try:
        import sounddevice
    except ImportError:
        raise NotInstalled("sounddevice", "desktop") from None
    except OSError:
        raise ConfigError("the library PortAudio is not installed", install(["libportaudio2"])) from None
    return sounddevice
