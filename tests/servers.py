"""Real servers on 127.0.0.1 for tests."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Sent:
    """What the server sends: ``content`` in a chat completion, or ``body`` as it is. ``status`` 0 hangs up."""

    content: str | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Request:
    """What a client sent, and when (monotonic seconds); header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float = field(default_factory=time.monotonic)

    @property
    def messages(self) -> list[dict[str, str]]:
        return self.body["messages"]

    @property
    def prompt(self) -> str:
        return self.messages[0]["content"]


def refusal(status: int, message: str, code: str | None = None, **headers: str) -> Sent:
    """An error in OpenAI's form."""
    body = json.dumps({"error": {"message": message, "type": "error", "code": code}})
    return Sent(status=status, body=body, headers={name.replace("_", "-"): text for name, text in headers.items()})


class _Server(ThreadingHTTPServer):
    # The default of 5 drops connections when many come at once.
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of the server's."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class JudgeServer:
    """An OpenAI-compatible server with scripted replies.

    ``reply`` is a text, a Sent, or a function of the Request that gives one of them. ``gather`` holds
    calls back until that many are in flight (or ``gather_timeout`` seconds are over). ``delay`` is in seconds
    a call. ``requests`` holds what came, ``max_in_flight`` the most calls that were open at once.
    """

    def __init__(
        self,
        reply: str | Sent | Callable[[Request], str | Sent] = "Score: 2",
        delay: float = 0.0,
        gather: int = 0,
        gather_timeout: float = 10.0,
    ) -> None:
        self._reply = reply
        self._delay = delay
        self._barrier = threading.Barrier(gather) if gather else None
        self._gather_timeout = gather_timeout
        self._lock = threading.Lock()
        self._in_flight = 0
        self.requests: list[Request] = []
        self.max_in_flight = 0
        self.entered = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def base_url(self) -> str:
        return f"{self.root}/v1"

    def __enter__(self) -> JudgeServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._barrier:
            self._barrier.abort()
        self._server.shutdown()
        self._thread.join()
        self.close()

    def close(self) -> None:
        """Free the port; connections to it are then refused."""
        self._server.server_close()

    def _answer(self, request: Request) -> Sent:
        with self._lock:
            self.requests.append(request)
            self._in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self._in_flight)
        self.entered.set()
        try:
            if self._barrier is not None:
                with contextlib.suppress(threading.BrokenBarrierError):
                    self._barrier.wait(self._gather_timeout)
            if self._delay:
                time.sleep(self._delay)
            made = self._reply(request) if callable(self._reply) else self._reply
            return Sent(made) if isinstance(made, str) else made
        finally:
            with self._lock:
                self._in_flight -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body are two writes: without this the client's delayed ACK costs 40 ms a call.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                request = Request(
                    self.path, {name.lower(): text for name, text in self.headers.items()}, json.loads(data)
                )
                if not self.path.endswith("/chat/completions"):
                    self._send(refusal(404, f"no route {self.path}"), request)
                    return
                self._send(server._answer(request), request)

            def _send(self, reply: Sent, request: Request) -> None:
                if reply.status == 0:
                    self.close_connection = True
                    return
                text = reply.body if reply.body is not None else _completion(reply, request)
                data = text.encode()
                try:
                    self.send_response(reply.status)
                    for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent: pytest captures what matters."""

        return Handler


def _completion(reply: Sent, request: Request) -> str:
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": reply.model or f"{request.body['model']}-served",
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply.content}}
            ],
            "usage": {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105},
        }
    )
