"""What lies in deploy/ fits the server: flags, keys, ports and how long it may take to end."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from antiphon.cli.serve import command
from antiphon.config import load
from antiphon.server.workers import FAREWELL_S

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FLAGS = {flag for parameter in command.params for flag in parameter.opts}
PRESTOP_S = 5
WRITTEN = {".md", ".py", ".yaml", ".service", ""}


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def drain_s(environment: dict[str, str]) -> float:
    """As the server would read it; a variable that it does not know raises."""
    return load(None, environment, {}).server.drain_s


def flags_in(words: list[str]) -> set[str]:
    return {word for word in words if word.startswith("--")}


def test_compose() -> None:
    service = documents("compose.yaml")[0]["services"]["antiphon"]
    environment = dict.fromkeys(service["environment"], "a key")
    assert float(service["stop_grace_period"].rstrip("s")) > drain_s(environment) + FAREWELL_S - 1
    assert service["network_mode"] == "host", "calls come by UDP on any port"
    assert "ports" not in service
    assert (DEPLOY / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_dockerfile() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for word in line.split()]
    admitted = (ROOT / ".dockerignore").read_text().split()
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in admitted
    assert flags_in(re.findall(r'"([^"]+)"', text)) <= FLAGS
    assert f"EXPOSE {load(None, {}, {}).server.port}" in text
    user, made, kept = (text.index(word) for word in ("USER antiphon", "RUN mkdir -p /home/antiphon/", "VOLUME"))
    assert user < made < kept, "or the volume would be root's"


def test_kubernetes() -> None:
    deployment, service, *_ = documents("kubernetes.yaml")
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    secrets = {"keys": "a key", "ice-servers": '[{"urls": ["turn:turn.example.com:3478"]}]'}
    environment = {
        entry["name"]: entry.get("value") or secrets[entry["valueFrom"]["secretKeyRef"]["key"]]
        for entry in container["env"]
    }
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", str(PRESTOP_S)]
    assert pod["terminationGracePeriodSeconds"] > drain_s(environment) + PRESTOP_S + FAREWELL_S
    assert flags_in(container["args"]) <= FLAGS
    assert container["image"].startswith("registry.example.com/"), "a bare name is somebody else's"
    port = load(None, {}, {}).server.port
    assert container["ports"] == [{"containerPort": port}]
    assert {container[probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe")} == {
        "/ready", "/health",
    }  # fmt: skip
    assert service["spec"]["ports"][0]["targetPort"] == port
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_kubernetes_keeps_conversations_when_pods_go() -> None:
    deployment, _, redis, service, policy = documents("kubernetes.yaml")
    environment = {
        entry["name"]: entry.get("value") for entry in deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    kept = load(None, {"ANTIPHON_HISTORY__REDIS_URL": environment["ANTIPHON_HISTORY__REDIS_URL"]}, {}).history.redis_url
    name = redis["metadata"]["name"]
    assert kept == f"redis://{name}:{service['spec']['ports'][0]['port']}/0"
    assert service["metadata"]["name"] == name
    labels = redis["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == policy["spec"]["podSelector"]["matchLabels"] == labels
    (volume,) = redis["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert volume["name"] == redis["spec"]["volumeClaimTemplates"][0]["metadata"]["name"]


def test_the_image_has_what_the_manifests_ask_for() -> None:
    locked = (DEPLOY / "image.lock").read_text()
    assert "deploy/image.lock" in (DEPLOY / "Dockerfile").read_text()
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for wish in (
        *wanted["dependencies"],
        *wanted["optional-dependencies"]["redis"],
        *wanted["optional-dependencies"]["s3"],
    ):
        name = re.match(r"[\w-]+", wish)
        assert name is not None
        assert f"\n{name[0].lower()}==" in f"\n{locked}", wish


def unit() -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / "antiphon.service").read_text(), re.MULTILINE))


def test_systemd() -> None:
    assert flags_in(unit()["ExecStart"].split()) <= FLAGS
    assert float(unit()["TimeoutStopSec"]) > drain_s({}) + FAREWELL_S


def test_nobody_is_told_to_install_whoever_has_our_name_on_a_package_index() -> None:
    below = (path for folder in ("docs", "deploy", "src/antiphon") for path in (ROOT / folder).rglob("*"))
    written = [path for path in below if path.suffix in WRITTEN and path.is_file()]
    ours = re.compile(r"(install|pipx run|uvx) [\"']?antiphon(?!-\d|\.)")
    files = (ROOT / "README.md", ROOT / "antiphon.toml.example", *written)
    by_name = [path for path in files if ours.search(path.read_text())]
    assert by_name == []


def test_every_extra_that_an_error_names_is_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    named = set(re.findall(r"""NotInstalled\("[^"]+", "(\w+)"\)""", sources))
    assert {"redis", "whisper"} <= named
    assert named <= set(extras)


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_understands_it(tmp_path: Path) -> None:
    program = shutil.which("true")
    text = (DEPLOY / "antiphon.service").read_text().replace("/opt/antiphon/bin/antiphon", str(program))
    path = tmp_path / "antiphon.service"
    path.write_text(text)
    result = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, timeout=50, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
