"""What the doctor says of servers that stand beside ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner

from antiphon.cli import doctor
from antiphon.cli.doctor import Neighbour, _echo_neighbours
from antiphon.engines import registry
from antiphon.engines.fake import FakeStt
from antiphon.errors import EngineError

pytestmark = pytest.mark.real


@contextmanager
def listening(body: bytes) -> Iterator[int]:
    """A server that answers every question with this; its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_that_lists_models_is_named_with_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    with listening(b'{"object":"list","data":[]}') as port:
        _echo_neighbours([Neighbour(port, "Ollama", "llm")])
    assert f'port {port}: perhaps Ollama. To use it: llm.base_url = "http://127.0.0.1:{port}/v1"' in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"data":"no"}'])
def test_what_is_something_else_is_not(body: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with listening(body) as port:
        _echo_neighbours([Neighbour(port, "Ollama", "llm"), Neighbour(1, "nobody", "llm")])
    assert "none on the ports" in capsys.readouterr().out


def test_a_model_that_cannot_be_loaded_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(FakeStt):
        async def warm(self) -> None:
            raise EngineError("the model cannot be loaded", "Pull it again.", code="model_broken")

    monkeypatch.setitem(registry.FACTORIES["stt"], "fake", lambda settings, workshop: Broken())
    monkeypatch.setattr(doctor, "NEIGHBOURS", ())
    found = CliRunner().invoke(doctor.command, ["--stt", "fake", "--llm", "fake", "--tts", "fake"])
    assert "stt: fake (stt.engine says so): BROKEN: the model cannot be loaded" in found.stdout
    assert "tts: fake (tts.engine says so): ok" in found.stdout
    assert found.exit_code == 1


def test_a_turn_model_is_tried_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        async def warm(self) -> None:
            raise EngineError("the model cannot be loaded", "Take another one.", code="model_broken")

    monkeypatch.setattr(registry, "turn_model", lambda config, workshop: Broken())
    monkeypatch.setattr(doctor, "NEIGHBOURS", ())
    monkeypatch.setenv("ANTIPHON_TURNS__MODEL", "smart-turn.onnx")
    found = CliRunner().invoke(doctor.command, ["--stt", "fake", "--llm", "fake", "--tts", "fake"])
    assert "smart-turn (turns.model is set): BROKEN: the model cannot be loaded" in found.stdout
    assert found.exit_code == 1
