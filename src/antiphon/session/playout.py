"""When the audio of a response goes out, and how much of it has been played by then.

A WebSocket gives no word on playback, so a clock stands in: what was sent plays from the moment it was sent, without
a pause as long as more comes in time. Whoever knows better reports it, and the clock goes on from there. Audio is sent
at most a bounded lead ahead of that clock: a lead covers the network's jitter, and whatever has been sent can no longer
be taken back when the person interrupts.
"""

from __future__ import annotations

from antiphon.audio.units import WIRE_RATE, Samples, Seconds, samples_from_ms, seconds_from_samples

GRAIN = WIRE_RATE // 1000  # samples in 1 ms: a deadline may fire this early, for floats do not add up exactly


class Playout:
    """The clock of one response's audio, over all its items."""

    def __init__(self, lead_ms: int, delta_ms: int, *, awaits_report: bool = False) -> None:
        """With `awaits_report` nothing counts as played before the player has said that it began."""
        self._awaits_report = awaits_report
        self._lead = samples_from_ms(lead_ms)
        self.delta = samples_from_ms(delta_ms)
        """The longest piece that is sent at once."""
        self._anchor: tuple[Seconds, Samples] | None = None
        """A moment, and how much had been played at it."""
        self.sent: Samples = 0
        self.reported: Samples | None = None
        """What the player itself has said last."""
        self.is_held = False
        """Nothing goes out: somebody may be interrupting. What was sent plays on."""
        self.is_cut_off = False
        """Nothing goes out: nobody is there to hear it. What was sent plays on, for it may have got there."""

    def report(self, played: Samples, now: Seconds) -> None:
        """The player has played so much by now: the clock goes on from there."""
        self.reported = min(played, self.sent)
        self._anchor = (now, self.reported)

    def played(self, now: Seconds) -> Samples:
        """How much of what was sent has been played, as far as a clock can tell."""
        if self._anchor is None:
            return 0
        since, before = self._anchor
        return min(self.sent, before + int((now - since) * WIRE_RATE))

    def ends_at(self) -> Seconds | None:
        """When everything that was sent will have been played; None if nothing was."""
        if self._anchor is None:
            return None
        since, before = self._anchor
        return since + seconds_from_samples(self.sent - before)

    def may_send(self, piece: Samples, settled: bool, now: Seconds) -> bool:
        """Whether this piece goes out now. An unsettled piece may still grow to a whole delta: it goes only if the
        player is about to run dry."""
        if piece == 0 or self.is_held or self.is_cut_off:
            return False
        ahead = self.sent - self.played(now)
        return ahead <= self._room(piece, settled) + GRAIN

    def due(self, piece: Samples, settled: bool) -> Seconds | None:
        """When `may_send` becomes true by the mere passing of time; None if there is nothing to wait for."""
        if piece == 0 or self.is_held or self.is_cut_off or self._anchor is None:
            return None
        since, before = self._anchor
        return since + seconds_from_samples(self.sent - self._room(piece, settled) - before)

    def _room(self, piece: Samples, settled: bool) -> Samples:
        """How much may lie unplayed at the player when this piece goes out."""
        return max(0, self._lead - piece) if settled else min(self._lead, self.delta) // 2

    def send(self, samples: Samples, now: Seconds) -> None:
        """Count a piece as sent now. After a gap the clock starts again: the player was dry."""
        waits = self._awaits_report and self._anchor is None
        if not waits and self.played(now) >= self.sent:
            self._anchor = (now, self.sent)
        self.sent += samples
