"""Inner rings never import outer ones, and the core imports nothing that waits, listens, guesses or reads a clock."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import antiphon

ROOT = Path(antiphon.__file__).parent

RINGS = [
    {"errors"},
    {"audio"},
    {"session"},
    {"protocol"},
    {"relay"},
    {"engines", "hearing", "tools", "store", "media", "models", "observe", "config"},
    {"runtime"},
    {"transport"},
    {"server"},
    {"testing", "bench", "cluster", "desktop", "cli", "__main__"},
]
"""From the inside out. A package may import its own ring and those before it."""

CORE = ("errors", "audio", "session", "protocol", "relay")
WAITS_OR_GUESSES = {
    "anyio", "asyncio", "concurrent", "contextvars", "httpx", "logging", "multiprocessing", "os", "queue", "secrets",
    "select", "signal", "socket", "subprocess", "sys", "threading", "time", "trio", "uuid", "websockets",
    "starlette", "uvicorn",
}  # fmt: skip


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def modules() -> list[Path]:
    return [path for path in ROOT.rglob("*.py") if path.name != "__init__.py" or path.stat().st_size]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write the whole name"
            found.add(node.module or "")
    return found


def ring(package: str) -> int:
    return next(number for number, packages in enumerate(RINGS) if package in packages)


def package_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def test_inner_rings_do_not_import_outer_ones() -> None:
    for path in modules():
        package = package_of(path)
        if package == "__init__":
            continue
        for name in imports(path):
            if not name.startswith("antiphon."):
                continue
            target = name.split(".")[1]
            assert ring(target) <= ring(package), (
                f"{path.relative_to(ROOT)} imports {name}: {package} lies further in. "
                "Hand it in as an argument, or move what both need inwards."
            )


def test_the_session_does_not_know_the_wire() -> None:
    for path in (ROOT / "session").rglob("*.py"):
        assert not [name for name in imports(path) if name.startswith("antiphon.protocol")], (
            f"{path.name} imports the protocol: say it in the session's words, and let protocol translate"
        )


def test_the_core_neither_waits_nor_looks_at_a_clock() -> None:
    for path in modules():
        if package_of(path) not in CORE:
            continue
        tree = parsed(path)
        used = {name.partition(".")[0] for name in imports(path)} & WAITS_OR_GUESSES
        assert not used, f"{path.relative_to(ROOT)} imports {used}: take the time, the id or the result as an argument"
        waits = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Await | ast.AsyncFunctionDef)]
        assert not waits, f"{path.relative_to(ROOT)}:{waits[0]} awaits: the result comes as an input"


def test_chance_comes_from_a_seed() -> None:
    for path in modules():
        if package_of(path) in CORE and "random" in imports(path):
            assert path.name == "ids.py", f"{path} draws lots: take the result as an argument"


TASK_STARTERS = {
    "server/broker.py", "runtime/relay.py", "runtime/upstream.py", "runtime/warm.py",
    "runtime/workers.py", "transport/websocket.py", "transport/webrtc/call.py", "transport/webrtc/peer.py",
    "server/calls.py", "server/wyoming.py",
    "testing/caller.py", "server/run.py", "cli/demo.py", "testing/contract.py", "testing/upstream.py",
    "testing/loopback.py", "testing/wire.py", "tools/runner.py", "runtime/live.py", "tools/mcp_client.py",
    "runtime/whole.py", "server/leaving.py", "server/workers.py", "server/handing_on.py", "bench/call.py",
    "runtime/following.py", "desktop/talk.py", "desktop/dictation/dictation.py", "desktop/dictation/running.py",
    "desktop/dictation/hotkeys/evdev.py", "tools/mcp_program.py", "cluster/neighbours.py",
    "cluster/replicas.py", "server/transcribe.py",
}  # fmt: skip


def test_tasks_are_started_in_few_known_places() -> None:
    for path in modules():
        name = path.relative_to(ROOT).as_posix()
        starts = [
            node
            for node in ast.walk(parsed(path))
            if isinstance(node, ast.Attribute) and node.attr in ("create_task", "ensure_future")
        ]
        if name.startswith("engines/"):
            continue  # an engine may keep its own helper process company; its contract test sees that nothing is left
        assert not starts or name in TASK_STARTERS, f"{name} starts a task: whose is it, and who waits for it?"
