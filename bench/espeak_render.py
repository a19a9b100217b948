"""Says sentences with espeak-ng, for benches: a process of its own, because the library is GPL-3 and keeps global
state.

Standard input: JSON, a list of [voice, words per minute, pitch, text]. Standard output: the rate in Hz as uint32, then
for each sentence the number of bytes as uint32 and int16 samples, all little-endian.
"""

import ctypes
import json
import os
import struct
import sys

import espeakng_loader

SYNCHRONOUS, UTF8, RATE, PITCH = 2, 1, 1, 3


def main() -> None:
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate_hz = library.espeak_Initialize(SYNCHRONOUS, 0, os.fsencode(espeakng_loader.get_data_path()), 0)
    sound = bytearray()

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)  # type: ignore[untyped-decorator]
    def take(samples: object, count: int, _events: object) -> int:
        if samples and count > 0:
            sound.extend(ctypes.string_at(samples, 2 * count))  # type: ignore[arg-type]
        return 0

    library.espeak_SetSynthCallback(take)
    sys.stdout.buffer.write(struct.pack("<I", rate_hz))
    for voice, words_per_minute, pitch, text in json.load(sys.stdin):
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise SystemExit(f"espeak-ng has no voice {voice!r}")
        library.espeak_SetParameter(RATE, words_per_minute, 0)
        library.espeak_SetParameter(PITCH, pitch, 0)
        sound.clear()
        library.espeak_Synth(text.encode(), len(text.encode()) + 1, 0, 1, 0, UTF8, None, None)
        sys.stdout.buffer.write(struct.pack("<I", len(sound)) + sound)


if __name__ == "__main__":
    main()
