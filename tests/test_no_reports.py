"""No library that we use reports to its maker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DETECTOR = "from antiphon.engines.vad.silero import SileroVad; SileroVad()"
RUNTIME = "import onnxruntime; onnxruntime.SessionOptions()"


def left_behind(home: Path, program: str) -> list[str]:
    """What a process writes that begins without any settings and in a home of its own."""
    home.mkdir()
    path = [str(Path(__file__).parents[1] / "src")]
    run = f"import sys; sys.path[:0] = {path!r}; {program}"
    subprocess.run([sys.executable, "-B", "-c", run], check=True, env={"HOME": str(home)})
    return [str(file.relative_to(home)) for file in home.rglob("*") if file.is_file()]


@pytest.mark.real
@pytest.mark.slow
def test_the_voice_detector_leaves_no_id_of_the_machine_and_uploads_nothing(tmp_path: Path) -> None:
    assert left_behind(tmp_path / "ours", DETECTOR) == []
    # The library itself does, or this would prove nothing. Older ones do not.
    if not left_behind(tmp_path / "theirs", RUNTIME):
        pytest.skip("this onnxruntime reports nothing")
