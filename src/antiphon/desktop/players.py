"""Other programs that play (MPRIS): paused while somebody speaks, and set going again afterwards.

It does not know why they are to be quiet.
"""

from __future__ import annotations

from antiphon.desktop.bus import Bus, Place
from antiphon.errors import ConfigError

BUS = Place("org.freedesktop.DBus", "/org/freedesktop/DBus")
PLAYER, PATH = "org.mpris.MediaPlayer2.Player", "/org/mpris/MediaPlayer2"
STATUS = (PLAYER, "PlaybackStatus")
PREFIX = "org.mpris.MediaPlayer2."


async def pause(bus: Bus) -> list[Place]:
    """Pause all that play now; those that were."""
    (names,) = await bus.call(BUS, BUS.name, "ListNames")
    paused = []
    for name in sorted(names):
        if not name.startswith(PREFIX):
            continue
        place = Place(name, PATH)
        try:
            ((_, status),) = await bus.call(place, "org.freedesktop.DBus.Properties", "Get", ("ss", STATUS))
            if status == "Playing":
                await bus.call(place, PLAYER, "Pause")
                paused.append(place)
        except ConfigError:
            continue  # it has gone, or does not do what it promises: the others are no worse for it
    return paused


async def resume(bus: Bus, paused: list[Place]) -> None:
    """Set these going again, as far as they are still there."""
    for place in paused:
        try:
            await bus.call(place, PLAYER, "Play")
        except ConfigError:
            continue
