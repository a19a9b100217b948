"""The audit tells packages without holes from services that were not asked, or know nothing."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.real  # pip-audit and npm are processes

ROOT = Path(__file__).parents[2]
SOUND, HOLED = "sound==1 --hash=sha256:00\n", "holed==1 --hash=sha256:00\n"
SOUND_NODE, HOLED_NODE = '{"name": "sound"}', '{"name": "holed"}'
FAKE = f"""#!{sys.executable}
import json, sys
from pathlib import Path
answers = json.loads(Path(__file__).with_suffix(".json").read_text())
lock = Path(sys.argv[-1] if "-r" in sys.argv else "package-lock.json").read_text()
print(json.dumps(next(answer for word, answer in answers.items() if word in lock)))
"""


def of_python(*packages: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": list(packages), "fixes": []}


def package(name: str, *holes: str) -> dict[str, Any]:
    vulns = [{"id": hole, "fix_versions": ["2"], "aliases": [], "description": ""} for hole in holes]
    return {"name": name, "version": "1", "vulns": vulns}


def of_node(**holes: str) -> dict[str, Any]:
    via = {
        name: {"range": "<2", "via": ["another", {"title": title, "url": "https://example.com"}]}
        for name, title in holes.items()
    }
    return {"auditReportVersion": 2, "vulnerabilities": via, "metadata": {"dependencies": {"total": 7}}}


UNKNOWN_TO_IT = {"name": "sound", "skip_reason": "not found"}
PIP_AUDIT = {
    "urllib3": of_python(package("urllib3", "PYSEC-1")),
    "sound": of_python(package("sound")),
    "holed": of_python(package("sound"), package("holed", "PYSEC-2")),
}
NPM = {"lodash": of_node(lodash="famous"), "sound": of_node(), "holed": of_node(holed="it leaks")}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Auditing:
    """The audit, with services that give these answers to files that hold these words."""

    def __init__(self, audit: ModuleType, folder: Path) -> None:
        self._main = audit.main
        self._folder = folder

    def asks(self, pip_audit: dict[str, Any], npm: dict[str, Any], *locks: str) -> int:
        files = []
        for number, text in enumerate(locks):
            file = self._folder / str(number) / ("package-lock.json" if text.startswith("{") else "some.lock")
            file.parent.mkdir()
            file.write_text(text)
            files.append(str(file))
        status: int = self._main(self._fake("pip-audit", pip_audit), self._fake("npm", npm), *files)
        return status

    def _fake(self, name: str, answers: dict[str, Any]) -> str:
        program = self._folder / name
        program.write_text(FAKE)
        program.chmod(0o755)
        program.with_suffix(".json").write_text(json.dumps(answers))
        return str(program)


@pytest.fixture
def auditing(audit: ModuleType, tmp_path: Path) -> Auditing:
    return Auditing(audit, tmp_path)


def test_files_without_holes_pass(auditing: Auditing, capsys: pytest.CaptureFixture[str]) -> None:
    assert auditing.asks(PIP_AUDIT, NPM, SOUND, SOUND_NODE) == 0
    assert "7 packages of" in capsys.readouterr().out


def test_holes_are_named_with_their_file(auditing: Auditing, capsys: pytest.CaptureFixture[str]) -> None:
    assert auditing.asks(PIP_AUDIT, NPM, SOUND, HOLED, HOLED_NODE) == 1
    holes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("KNOWN HOLE")]
    assert ["1/some.lock: holed 1: PYSEC-2, mended in 2" in holes[0], "it leaks" in holes[1]] == [True, True]


@pytest.mark.parametrize(
    "mirror",
    [
        {**PIP_AUDIT, "urllib3": of_python(package("urllib3"))},  # knows of no holes at all
        {**PIP_AUDIT, "urllib3": of_python(UNKNOWN_TO_IT)},
        {**PIP_AUDIT, "sound": of_python(UNKNOWN_TO_IT)},
        {"nothing": {}},  # ends without a word
    ],
)
def test_a_service_that_knows_nothing_was_not_asked(
    auditing: Auditing, capsys: pytest.CaptureFixture[str], mirror: dict[str, Any]
) -> None:
    assert auditing.asks(mirror, NPM, SOUND, SOUND_NODE) == 3
    assert capsys.readouterr().out.count("COULD NOT ASK") == 1, "the other service was asked"


def test_a_refusal_of_the_registry_is_no_answer(auditing: Auditing, capsys: pytest.CaptureFixture[str]) -> None:
    refusal = {"message": "405 Method Not Allowed", "error": {"summary": "", "detail": ""}}
    assert auditing.asks(PIP_AUDIT, {"": refusal}, SOUND, SOUND_NODE) == 3
    assert "405 Method Not Allowed" in capsys.readouterr().out


def test_a_hole_is_worse_than_not_to_have_asked(auditing: Auditing) -> None:
    assert auditing.asks(PIP_AUDIT, {"": {"error": {}}}, SOUND_NODE, HOLED) == 1


def test_a_program_that_is_not_there_was_not_asked(audit: ModuleType, tmp_path: Path) -> None:
    lock = tmp_path / "some.lock"
    lock.write_text(SOUND)
    assert audit.main(str(tmp_path / "none"), str(tmp_path / "none"), str(lock)) == 3


def test_every_lock_file_of_the_repository_is_asked_about(audit: ModuleType) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not tracked:
        pytest.skip("this is no checkout")
    locks = {ROOT / name for name in tracked.split() if name.endswith((".lock", "package-lock.json"))}
    assert set(audit.all_locks(ROOT)) == locks
