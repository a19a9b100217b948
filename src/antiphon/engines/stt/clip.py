"""A second of speech, for recognisers to warm up with: silence would leave out much of what they do with words.

"What time is it?", said by our embedded voice; nobody's recording.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from antiphon.audio.units import Pcm
from antiphon.audio.wav import read_wav


@cache
def spoken_clip() -> Pcm:
    """The sound at 16 kHz, shape (n,); not to be written to. Reads a file of the package."""
    sound = read_wav(Path(__file__).with_name("clip.wav").read_bytes()).pcm
    sound.flags.writeable = False
    return sound
