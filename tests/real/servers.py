"""Real servers for the tests: HAPI FHIR in five versions, and Orthanc. They serve on the loopback alone, and they end
with the process that started them, however that ends.

`python tests/real/servers.py r4` starts one in the foreground and prints its address.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from asking import Client

TESTS = Path(__file__).parent.parent
VERSIONS = {"dstu2": "1.0.2", "stu3": "3.0.2", "r4": "4.0.1", "r4b": "4.3.0", "r5": "5.0.0"}
"""What HAPI serves: our names and FHIR's own."""
PATIENCE = 600.0
"""Seconds until a server must have answered. R5 wants a minute of a processor, and others may want it too."""
_JAVA = ("java", "-Xmx2g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar")  # short-lived: start fast
_ORTHANC = os.environ.get("ORTHANC", "/usr/sbin/Orthanc")
_DICOMWEB = os.environ.get("ORTHANC_DICOMWEB", "/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


class ServerFailed(Exception):
    """A server did not come up; with the end of what it said."""


class Server:
    """A server as a process: entering starts it and waits until it answers, leaving ends it.

    Raises:
        ServerFailed: on entering; it died, or did not answer within `PATIENCE` seconds.
    """

    base: str
    """The base address, such as `http://127.0.0.1:40161/baseR4`; without a slash at the end."""

    def __init__(self, name: str, installer: str, command: Sequence[str]) -> None:
        self.name = name
        self._installer = TESTS / installer
        self.command = command

    def __enter__(self) -> Self:
        subprocess.run([self._installer], check=True)
        with contextlib.ExitStack() as stack:
            self._output = stack.enter_context(tempfile.TemporaryFile())
            self._errors = stack.enter_context(tempfile.TemporaryFile())
            self.process = self._started()
            stack.callback(self._end)
            self._await_answer()
            self._open = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    def is_up(self) -> bool:
        """Whether it answers by now."""
        raise NotImplementedError

    def output(self) -> str:
        """What it has written to standard output."""
        return _text(self._output.fileno())

    def _started(self) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C reaches it through us alone. Standard input stays open as long as we live.
        return subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=self._output, stderr=self._errors, start_new_session=True
        )

    def _await_answer(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.is_up():
            if self.process.poll() is not None:
                raise self._failed(f"ended with exit code {self.process.returncode}")
            if time.monotonic() > deadline:
                raise self._failed(f"did not answer within {PATIENCE:.0f} s")
            time.sleep(0.1)

    def _failed(self, why: str) -> ServerFailed:
        return ServerFailed(f"{self.name} {why}: {_text(self._errors.fileno())[-3000:]}")

    def _end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()


def _text(file: int) -> str:
    """The whole of a file that another process writes: read in place, because both share one position in it."""
    return os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace")


class Timing(NamedTuple):
    """What a server's own work took: requests, the sum of their seconds, and the seconds with at least one of them."""

    requests: int
    seconds: float
    busy: float

    def since(self, earlier: Timing) -> Timing:
        """The work between two readings."""
        return Timing(self.requests - earlier.requests, self.seconds - earlier.seconds, self.busy - earlier.busy)


class Hapi(Server):
    """HAPI FHIR JPA of one version, empty at the start. tests/hapi/README.md names the flags."""

    def __init__(self, version: str, *flags: str, port: int = 0) -> None:
        self.version = version
        jar = TESTS / "hapi/target/hapi.jar"
        super().__init__(f"HAPI {version}", "hapi/build.sh", [*_JAVA, str(jar), version, str(port), *flags])

    def is_up(self) -> bool:
        """It prints its address when it is ready."""
        self.base, end, _ = self.output().partition("\n")
        return bool(end)

    @property
    def client(self) -> Client:
        """A client that speaks the version's media type."""
        return Client(self.base, "application/json+fhir" if self.version == "dstu2" else "application/fhir+json")

    def timing(self) -> Timing:
        """What its own work took since it started."""
        return Timing(**Client(self.base.rpartition("/")[0]).get("timing").json)


class Fleet:
    """One HAPI of each version that is asked for, started once; all end together."""

    def __init__(self) -> None:
        self._servers: dict[str, Hapi | ServerFailed] = {}
        self._stack = contextlib.ExitStack()

    def __call__(self, version: str) -> Hapi:
        """The version's server.

        Raises:
            ServerFailed: it does not start; the first time took its time, later ones are told at once.
        """
        if version not in self._servers:
            try:
                self._servers[version] = self._stack.enter_context(Hapi(version))
            except ServerFailed as failure:
                self._servers[version] = failure
        server = self._servers[version]
        if isinstance(server, ServerFailed):
            raise server
        return server

    def end(self) -> None:
        """Ends all."""
        self._stack.close()


class Orthanc(Server):
    """An Orthanc with DICOMweb that keeps what it gets below a folder."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.storage = folder / "storage"
        self.base = f"http://127.0.0.1:{port or _free_port()}"
        self.client = Client(self.base, "application/json")
        configuration = folder / "orthanc.json"
        configuration.write_text(json.dumps(self._settings()), encoding="utf-8")
        # It watches no standard input, so the kernel tells it that we are gone.
        command = ["setpriv", "--pdeathsig", "TERM", _ORTHANC, str(configuration)]
        super().__init__("Orthanc", "orthanc/install.sh", command)

    def is_up(self) -> bool:
        """It answers."""
        try:
            return self.client.get("system").status == 200
        except urllib.error.URLError:
            return False

    @property
    def dicom_web(self) -> str:
        """The address of QIDO-RS, WADO-RS and STOW-RS."""
        return f"{self.base}/dicom-web"

    def receive(self, file: Path) -> str:
        """Stores a DICOM file; its id in Orthanc comes back.

        Raises:
            AssertionError: Orthanc refused it.
        """
        answer = self.client.post("instances", file.read_bytes(), Content_Type="application/dicom")
        assert answer.status == 200, (answer.status, answer.body)
        identity: str = answer.json["ID"]
        return identity

    def _settings(self) -> dict[str, object]:
        return {
            "HttpPort": int(self.base.rpartition(":")[2]),
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "StorageDirectory": str(self.storage),
            "Plugins": [_DICOMWEB],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "Full", "SeriesMetadata": "Full"},
        }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _asked_for(arguments: argparse.Namespace) -> Iterator[Server]:
    if arguments.server != "orthanc":
        yield Hapi(arguments.server, *arguments.flag, port=arguments.port)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Orthanc(Path(folder), arguments.port)


def main() -> None:
    """Serves until it is interrupted."""
    parser = argparse.ArgumentParser(description="Start a real server on the loopback and print its address.")
    parser.add_argument("server", choices=[*VERSIONS, "orthanc"])
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--flag", action="append", default=[], help="e.g. --flag=--lenient; see tests/hapi/README.md")
    with _asked_for(parser.parse_args()) as server, contextlib.suppress(KeyboardInterrupt), server:
        print(server.base, flush=True)
        server.process.wait()


if __name__ == "__main__":
    main()
