"""What a model reads of a call that a person has to allow, before they have answered and when they said no.

It does not know who is asked, nor how: see `allowances`.
"""

from __future__ import annotations

import msgspec

from antiphon.session.settings import FunctionTool

NOBODY_TO_ASK = "This call needs a person's approval, and out of band nobody can be asked."


def question_about(tool: FunctionTool) -> str:
    """In place of a result: the model has to ask the person, and nothing was done yet."""
    about = tool.description.partition("\n")[0].strip() or tool.name.replace("_", " ")
    told = {
        "status": "not done yet: the person has to say yes or no",
        "question": f"{about.rstrip('.')}: shall I do that?",
        "note": "Ask them now, in one short sentence that says what will happen. It runs by itself when they say yes; "
        "do not call it again.",
    }
    return msgspec.json.encode(told).decode()


def not_done(why: str) -> str:
    """As the outcome of a call that nobody allowed."""
    return msgspec.json.encode({"status": "not done", "why": why}).decode()
