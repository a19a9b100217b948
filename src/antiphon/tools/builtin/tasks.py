"""Asking after the calls that are still at work beside the conversation, and ending one: for "how far is it?" and
"never mind".
"""

from __future__ import annotations

from typing import Any

from antiphon.tools.api import Conduct, ServerTool, ToolContext, ToolError
from antiphon.tools.function import FunctionTool


async def list_tasks(context: ToolContext) -> dict[str, Any]:
    """What is still at work in this conversation, since when, and how far it is."""
    return {"tasks": [] if context.desk is None else list(context.desk.tasks())}


async def cancel_task(task: int, context: ToolContext) -> dict[str, Any]:
    """End something that is still at work.

    Args:
        task: Its number, as list_tasks shows it.
    """
    if context.desk is None or not context.desk.cancel_task(task):
        raise ToolError(f"there is no task {task} at work.")
    return {"cancelled": task}


def task_tools() -> list[ServerTool]:
    return [
        FunctionTool(list_tasks, "list_tasks", Conduct(reads_only=True)),
        FunctionTool(cancel_task, "cancel_task", Conduct(resource="tasks")),
    ]
