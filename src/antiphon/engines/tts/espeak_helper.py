"""espeak-ng in a process of its own: requests on standard input, sound on standard output.

The library blocks while it speaks and keeps global state, and its licence (GPL-3) is not ours; so it is loaded here,
and nothing else of Antiphon is. Every utterance is said by a forked child of the process that has just loaded it: the
same words sound the same whatever was said before, and an utterance that is no longer wanted is told by a signal. The
process ends when its standard input does.

A request is a line of JSON: {"id", "voice", "words_per_minute", "pitch", "text"}, or {"abort": id}. An answer is a
frame: id (uint32), kind (1 sound, 2 end, 3 error), length (uint32), all little-endian, and the payload: int16 samples,
nothing, or words. The first frame has id 0 and tells the rate.
"""

import ctypes
import json
import os
import select
import signal
import struct
import sys
from collections import deque

import espeakng_loader

SYNCHRONOUS, BUFFER_MS = 2, 60
UTF8 = 1
RATE, PITCH = 1, 3
HEADER = struct.Struct("<IBI")
SOUND, END, ERROR = 1, 2, 3
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

Request = dict[str, object]


class Speaker:
    """The library, freshly loaded; `say` is for a child."""

    def __init__(self) -> None:
        self._number = 0
        self._is_wanted = True
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        path = os.fsencode(espeakng_loader.get_data_path())
        self.rate = self._library.espeak_Initialize(SYNCHRONOUS, BUFFER_MS, path, 0)
        self._callback = CALLBACK(self._take)  # kept, or it would be collected while the library calls it
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, request: Request) -> None:
        signal.signal(signal.SIGUSR1, self._stop)
        self._number = int(str(request["id"]))
        if self._library.espeak_SetVoiceByName(str(request["voice"]).encode()) != 0:
            send(self._number, ERROR, f"espeak-ng has no voice {request['voice']!r}".encode())
            return
        self._library.espeak_SetParameter(RATE, int(str(request["words_per_minute"])), 0)
        self._library.espeak_SetParameter(PITCH, int(str(request["pitch"])), 0)
        text = str(request["text"]).encode()
        self._library.espeak_Synth(text, len(text) + 1, 0, 1, 0, UTF8, None, None)

    def _stop(self, *_: object) -> None:
        self._is_wanted = False

    def _take(self, samples: object, count: int, events: object) -> int:
        if not self._is_wanted:
            return 1
        if samples and count > 0:
            send(self._number, SOUND, ctypes.string_at(samples, 2 * count))  # type: ignore[arg-type]
        return 0


class Helper:
    """Reads requests, and has one child at a time speak."""

    def __init__(self) -> None:
        self._speaker = Speaker()
        self._waiting: deque[Request] = deque()
        self._input = b""
        self._child = 0
        self._number = 0
        self._child_lives = -1
        """Read end of a pipe that the child holds open: it ends when the child does."""

    def run(self) -> None:
        send(0, SOUND, struct.pack("<I", self._speaker.rate))
        while True:
            if not self._child and self._waiting:
                self._begin(self._waiting.popleft())
            watched = [0, self._child_lives] if self._child else [0]
            ready, _, _ = select.select(watched, [], [])
            if self._child_lives in ready:
                self._finish()
            if 0 in ready and not self._read():
                return

    def _read(self) -> bool:
        """Take in what came; False at the end of input."""
        data = os.read(0, 65_536)
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            if "abort" not in request:
                self._waiting.append(request)
            elif request["abort"] == self._number and self._child:
                os.kill(self._child, signal.SIGUSR1)
        return bool(data)

    def _begin(self, request: Request) -> None:
        self._child_lives, held = os.pipe()
        self._number = int(str(request["id"]))
        self._child = os.fork()
        if self._child == 0:
            self._speaker.say(request)
            os._exit(0)
        os.close(held)

    def _finish(self) -> None:
        os.waitpid(self._child, 0)
        os.close(self._child_lives)
        self._child = 0
        send(self._number, END)


def send(number: int, kind: int, payload: bytes = b"") -> None:
    frame = memoryview(HEADER.pack(number, kind, len(payload)) + payload)
    while frame:
        frame = frame[os.write(1, frame) :]


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until a child listens for it
    try:
        Helper().run()
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(0)
