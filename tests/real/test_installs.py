"""The scripts that install what the tests need: what is missing and cannot be had is a failure with a sentence."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
AVAILABLE = ("bash", "dirname", "sed", "find", "env")
JAVA = ("referee/build.sh", "hapi/build.sh")


def run(script: str, tools: dict[str, str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """What a script does on a machine that has nothing but some tools, each a line of bash."""
    for name in AVAILABLE:
        (folder / name).symlink_to(subprocess.check_output(["which", name], text=True).strip())
    for name, body in ({"id": "echo 0"} | tools).items():
        (folder / name).write_text(f"#!{folder}/bash\n{body}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    environment = os.environ | {"PATH": str(folder)} | variables
    command = [str(folder / "bash"), str(TESTS / script)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("script", JAVA)
@pytest.mark.parametrize(
    ("tools", "reason"),
    [
        ({}, "there is no apt-get"),
        ({"apt-get": "exit 100"}, "apt-get could not install"),
        ({"apt-get": "exit 0"}, "is not the one on the PATH"),
        ({"java": "", "mvn": "", "javac": "echo javac 11.0.2", "apt-get": "exit 100"}, "apt-get could not install"),
        ({"id": "echo 1000", "apt-get": "exit 0"}, "needs root or sudo"),
        ({"id": "echo 1000", "apt-get": "exit 0", "sudo": "exit 1"}, "apt-get could not install"),
    ],
)
def test_a_missing_jdk_that_cannot_be_installed_is_a_failure(
    script: str, tools: dict[str, str], reason: str, tmp_path: Path
) -> None:
    done = run(script, tools, tmp_path)
    assert done.returncode == 1
    assert "cannot be built: " in done.stderr
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("tools", "reason"),
    [
        ({}, "there is no apt-get"),
        ({"apt-get": "exit 100"}, "apt-get could not install orthanc orthanc-dicomweb"),
        ({"apt-get": "exit 0"}, "what was installed lies elsewhere"),
    ],
)
def test_a_missing_orthanc_that_cannot_be_installed_is_a_failure(
    tools: dict[str, str], reason: str, tmp_path: Path
) -> None:
    done = run("orthanc/install.sh", tools, tmp_path, ORTHANC=str(tmp_path / "Orthanc"))
    assert done.returncode == 1
    assert "Orthanc cannot be installed: " in done.stderr
    assert reason in done.stderr


def test_an_orthanc_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "plugin.so").touch()
    places = {"ORTHANC": str(tmp_path / "bash"), "ORTHANC_DICOMWEB": str(tmp_path / "plugin.so")}
    done = run("orthanc/install.sh", {}, tmp_path, **places)
    assert (done.returncode, done.stderr) == (0, "")
