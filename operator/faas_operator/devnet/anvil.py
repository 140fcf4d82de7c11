"""Anvil as a child process that cannot outlive us."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from faas_blueprint.errors import FatalError, MissingPrerequisite

_LISTENING = re.compile(rb"Listening on 127\.0\.0\.1:(\d+)")


def find_anvil() -> Path:
    """The pinned anvil of the checkout, else one on the PATH. Raises MissingPrerequisite."""
    checkout = Path(__file__).resolve().parents[3]
    pinned = checkout / "tools/chain/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
    if pinned.exists():
        return pinned
    found = shutil.which("anvil")
    if found is None:
        raise MissingPrerequisite("anvil is missing: run scripts/setup-chain")
    return Path(found)


def anvil_version(binary: Path) -> str:
    """What the binary says of itself. Raises MissingPrerequisite when it does not run."""
    try:
        return subprocess.run([binary, "--version"], capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise MissingPrerequisite(f"{binary} does not run: {error}") from error


class Anvil:
    """A running anvil. It is killed when this process dies, however it dies, and not by its Ctrl-C."""

    def __init__(
        self,
        binary: Path,
        *,
        chain_id: int,
        port: int = 0,
        state: Path | None = None,
        timeout: float = 20.0,
    ) -> None:
        self._log = tempfile.TemporaryFile(prefix="anvil")  # noqa: SIM115 (closed in stop)
        self._command = [
            *("setpriv", "--pdeathsig", "KILL", "--", str(binary)),
            *("--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id)),
            *("--disable-code-size-limit", "--no-request-size-limit"),
            *(() if state is None else ("--load-state", str(state))),
        ]
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self.port = self._await_port(timeout)
            self._quieten()
        except BaseException:
            self.stop()
            raise
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def running(self) -> bool:
        """Whether it has not exited."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Terminate it, and kill it if it does not follow. Can be called again."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()

    def _await_port(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while True:
            exited = self._process.poll()
            text = self._text()
            if found := _LISTENING.search(text):
                return int(found[1])
            if exited is not None or time.monotonic() > deadline:
                said = text.decode(errors="replace")[-2000:].strip()
                ended = "did not start in time" if exited is None else f"exited with {exited}"
                raise FatalError(f"anvil {ended}: {' '.join(self._command)}\n{said}")
            time.sleep(0.01)

    def _quieten(self) -> None:
        """From here on it would log every request, into a file without end."""
        request = {"jsonrpc": "2.0", "id": 1, "method": "anvil_setLoggingEnabled", "params": [False]}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", "/", json.dumps(request), {"Content-Type": "application/json"})
            connection.getresponse().read()
        except OSError as error:
            raise FatalError(f"anvil does not answer: {error}") from error
        finally:
            connection.close()

    def _text(self) -> bytes:
        self._log.flush()
        with open(f"/proc/self/fd/{self._log.fileno()}", "rb") as log:
            return log.read()
