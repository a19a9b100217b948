"""Makes the helpers beside the tests importable, fails a test in which our code blocks its event loop, and listens in
where a test has a real connection.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from blockbuster import BlockBuster

FOLDERS = (
    "session", "simulation", "conformance", "media", "engines", "tools", "models", "server", "desktop/machine",
    "protocol", "transport", "decoders", "store", "survival", "cluster",
)  # fmt: skip
for folder in FOLDERS:
    sys.path.insert(0, str(Path(__file__).parent / folder))
pytest.register_assert_rewrite("stage")
pytest_plugins = ["troupe", "virtual"]
if find_spec("ray"):  # in the environment of `make cluster` alone
    pytest_plugins.append("machines")

MAY_BLOCK = (
    ("antiphon/config.py", {"load"}),  # before a server starts, or on SIGHUP
    ("antiphon/desktop/keyboard.py", {"_read", "_read_all"}),  # what has come already, or a file given as input
    ("antiphon/server/run.py", {"running", "_uvicorn_config", "_history"}),  # while nobody is connected
    ("antiphon/engines/vad/silero.py", {"__init__"}),  # likewise
    ("antiphon/engines/stt/pocketsphinx.py", {"_running"}),  # starts a process, as rarely as one is lost
    ("antiphon/engines/tts/espeak.py", {"stop"}),  # twenty bytes into a pipe that holds thousands of such
    ("antiphon/tools/loading.py", {"workroom"}),  # while nobody is connected
    ("antiphon/tools/amplifier.py", {"_start", "_mounted", "_execute"}),  # on a loop of its own, made for that
    ("antiphon/server/sessions.py", {"_open_trace"}),  # a trace has to survive a crash, and is off by default
    ("antiphon/observe/tracefile.py", {"record", "close"}),
    ("simulation/world.py", {"_read"}),  # under a clock that waits for it
)
"""Functions of ours that touch files or processes on the loop's thread, and why they may."""


REAL = "mark.real"
ALL_REAL = re.compile(rf"^pytestmark = .*{re.escape(REAL)}\b", re.MULTILINE)


def pytest_configure(config: pytest.Config) -> None:
    """An example of Hypothesis' may take as long as it likes: a machine that stood still for a moment is no mistake of
    ours. What has a real process uses none, and does without the quarter of a second that importing it takes."""
    if config.option.markexpr != "real":
        from hypothesis import settings

        settings.register_profile("patient", deadline=None)
        settings.load_profile("patient")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What holds no test of this pass is not even imported: every process of a pass would do so for itself, and that
    was a fifth of the work."""
    wanted: str = config.option.markexpr
    if not (collection_path.name.startswith("test_") and collection_path.suffix == ".py"):
        return None
    if wanted == "real":
        return REAL not in collection_path.read_text() or None
    if wanted.startswith("not real"):
        return ALL_REAL.search(collection_path.read_text()) is not None or None
    return None


def pytest_collection_finish() -> None:
    """What was imported stays: nobody who collects garbage, or looks for what was left, has to go through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _conversations_are_kept_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Servers of the tests, in processes of their own too, leave nothing in the data of whoever runs them."""
    os.environ["XDG_DATA_HOME"] = str(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def _nothing_blocks_the_event_loop() -> Iterator[None]:
    """A read, a wait or a query that our code makes on the thread of a running loop raises there."""
    guard = BlockBuster(["antiphon"], excluded_modules=["antiphon.testing"])
    for function in guard.functions.values():
        for file, names in MAY_BLOCK:
            function.can_block_in(file, names)
    guard.activate()
    try:
        yield
    finally:
        guard.deactivate()


CONNECTED = {"server", "conformance"}  # folders of tests in which a server of this process talks to clients


@pytest.fixture(autouse=True)
def _everything_said_is_legal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The protocol's rules hold on every connection of such a test."""
    if request.path.parent.name not in CONNECTED:
        yield
        return
    from wiretap import Wiretap

    wiretap = Wiretap(monkeypatch)
    yield
    assert wiretap.faults() == []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What failed at first and then did not is not kept quiet."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"went wrong, and was tried again: {report.nodeid}", sep="_", yellow=True)
        terminalreporter.write_line(report.longreprtext[-4000:])
        terminalreporter.write_line(report.capstderr[-4000:])
