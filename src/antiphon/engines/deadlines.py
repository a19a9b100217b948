"""How long to wait for a server that does work for us, as plain numbers.

It stands alone, so that reading a configuration does not import an HTTP client. What happens when one of them
runs out is said in `engines.http`.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

PositiveSeconds = Annotated[float, Meta(gt=0, le=3600)]


class Deadlines(Struct, frozen=True):
    """Four limits, because one alone is wrong: a long answer is healthy, a long silence in it is not."""

    connect_s: PositiveSeconds = 3.0
    """For the connection, TLS included. A server that is there accepts in milliseconds."""
    first_byte_s: PositiveSeconds = 15.0
    """From the start of the request to the first byte of the answer's body."""
    idle_s: PositiveSeconds = 10.0
    """Between two pieces of the body."""
    total_s: PositiveSeconds = 120.0
    """Waiting altogether. The time that our own side takes between two pieces does not count: a voice that is
    played in real time reads slowly, and that is no fault of the server's."""
