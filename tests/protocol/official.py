"""What openai's own types say of a message: whether it is valid, which of its fields they do not know or never saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel


def models(value: Any) -> Iterator[BaseModel]:
    """The model and all models inside it."""
    if isinstance(value, BaseModel):
        yield value
        for name in value.model_fields_set:
            yield from models(getattr(value, name))
    elif isinstance(value, list):
        for part in value:
            yield from models(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from models(part)


def unknown_keys(event: BaseModel) -> set[str]:
    """Keys that the official types do not have, as "Model.key"."""
    return {f"{type(model).__name__}.{key}" for model in models(event) for key in model.model_extra or {}}


def unused_fields(events: Iterable[BaseModel]) -> set[str]:
    """Fields that the official types have and none of the events uses, as "module.Model.field"."""
    used: defaultdict[type[BaseModel], set[str]] = defaultdict(set)
    for event in events:
        for model in models(event):
            used[type(model)] |= {name for name in model.model_fields_set if getattr(model, name) is not None}
    return {
        f"{kind.__module__.removeprefix('openai.types.')}.{kind.__name__}.{name}"
        for kind, names in used.items()
        for name in kind.model_fields.keys() - names
    }
