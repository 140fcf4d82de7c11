"""A local HTTP server that answers as it is told, request by request, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import pytest


@dataclass
class FlakyServer:
    """Answers with the next of `answers` (status, body, headers), or breaks the connection, or hangs."""

    url: str
    answers: list[tuple[int, object, dict[str, str]] | Literal["break", "hang"]] = field(default_factory=list)
    requests: list[dict[str, object]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def will_answer(self, status: int, body: object, **headers: str) -> None:
        """Queue an answer."""
        self.answers.append((status, body, {name.replace("_", "-"): text for name, text in headers.items()}))

    def will_break(self) -> None:
        """Queue a broken connection."""
        self.answers.append("break")

    def will_hang(self) -> None:
        """Never answer the next request, until the test is over."""
        self.answers.append("hang")


def _handler(server: FlakyServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.requests.append(
                {"method": self.command, "path": self.path, "headers": headers, "body": body}
            )
            answer = server.answers.pop(0)
            if answer == "hang":
                server.over.wait(30)
                answer = "break"
            if answer == "break":
                self.connection.close()
                return
            status, content, extra = answer
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {**extra, "Content-Length": str(len(raw))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = _answer

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def flaky_server() -> Iterator[FlakyServer]:
    server = FlakyServer("")
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.over.set()
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def quote_cases(compiled: Path) -> Callable[[dict[str, object]], Awaitable[object]]:
    """What the TypeScript client says to cases, see sdk/typescript/tests/quote-cases.ts."""

    async def answers(cases: dict[str, object]) -> object:
        node = await asyncio.create_subprocess_exec(
            *("node", str(compiled / "quote-cases.js"), json.dumps(cases)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(node.communicate(), 120)
        assert node.returncode == 0, errors.decode()
        return json.loads(output)

    return answers
