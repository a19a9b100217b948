"""What a client remembers for its way back."""

from __future__ import annotations

from antiphon.desktop.returning import Back, Return


def test_the_way_back_names_the_last_message_that_came() -> None:
    back = Return()
    assert (back.is_possible, back.parameters()) == (False, "antiphon=1&resumable=1")
    back.hear({"type": "session.created", "event_id": "e1"})
    assert not back.is_possible
    back.hear({"type": "antiphon.session.resumable", "event_id": "e2", "token": "resume_1_x"})
    back.hear({"type": "response.created", "event_id": "e3"})
    assert back.parameters() == "antiphon=1&resume=resume_1_x&after=e3"
    told = {"type": "antiphon.session.resumed", "event_id": "e4", "missed": 2, "is_complete": True, "heard_ms": 500}
    assert back.hear(told) == Back(2, is_complete=True, heard_ms=500)
    back.forget()
    assert back.parameters() == "antiphon=1&resumable=1"
