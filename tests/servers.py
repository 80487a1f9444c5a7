"""Real servers on 127.0.0.1 for tests."""

from __future__ import annotations

import contextlib
import json
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

_Self = TypeVar("_Self", bound="LocalServer")


@dataclass(frozen=True)
class Sent:
    """What the server sends: ``content`` in a chat completion, or ``body`` as it is, cut off after ``cut`` bytes,
    once ``hold`` is set. ``status`` 0 hangs up."""

    content: str | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str | bytes | None = None
    model: str | None = None
    cut: int | None = None
    hold: threading.Event | None = None


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


Replying = str | Sent | Callable[[Request], str | Sent]


def refusal(status: int, message: str, code: str | None = None, **headers: str) -> Sent:
    """An error in OpenAI's form."""
    body = json.dumps({"error": {"message": message, "type": "error", "code": code}})
    return Sent(status=status, body=body, headers={name.replace("_", "-"): text for name, text in headers.items()})


def completion(content: str | None, model: str) -> dict[str, Any]:
    """A chat completion that cost 100 and 5 tokens."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    usage = {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0}
    return {**head, "model": model, "choices": [choice], "usage": usage}


def reply_to(request: Request, reply: Replying) -> Sent:
    """What a script sends to a request."""
    sent = reply(request) if callable(reply) else reply
    return Sent(sent) if isinstance(sent, str) else sent


class _Server(ThreadingHTTPServer):
    # The default of 5 drops connections when many come at once.
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or does not trust this server, is no error of the server's."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)


class LocalServer:
    """A server in this process; :meth:`answer` says what it sends. It speaks TLS where it is given a ``tls``."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._scheme = "https" if tls else "http"
        if tls:
            # Each connection's own thread shakes hands, at its first read.
            wrapped = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
            self._server.socket = wrapped
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.003}, daemon=True)

    @property
    def base_url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self: _Self) -> _Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method: str, path: str, headers: dict[str, str], data: bytes) -> Sent:
        raise NotImplementedError

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body are two writes: without this the client's delayed ACK costs 40 ms a call.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): text for name, text in self.headers.items()}
                self._send(server.answer(self.command, self.path, headers, data))

            do_GET = do_HEAD = do_POST  # noqa: N815

            def _send(self, sent: Sent) -> None:
                if sent.status == 0:
                    self.close_connection = True
                    return
                data = sent.body if isinstance(sent.body, bytes) else (sent.body or "").encode()
                try:
                    self.send_response(sent.status)
                    for name, value in {"Content-Type": "application/json", **sent.headers}.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(b"" if self.command == "HEAD" else data[: sent.cut])
                    if sent.hold is not None:
                        sent.hold.wait(30)
                    self.close_connection = self.close_connection or sent.cut is not None
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent: pytest captures what matters."""

        return Handler


class JudgeServer(LocalServer):
    """An OpenAI-compatible server with scripted replies.

    ``reply`` is a text, a Sent, or a function of the Request that gives one of them. ``gather`` holds
    calls back until that many are in flight (or ten seconds are over). ``delay`` is in seconds
    a call. ``requests`` holds what came, ``max_in_flight`` the most calls that were open at once.
    """

    def __init__(
        self, reply: Replying = "Score: 2", delay: float = 0.0, gather: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(tls)
        self._reply = reply
        self._delay = delay
        self._barrier = threading.Barrier(gather) if gather else None
        self._lock = threading.Lock()
        self._in_flight = 0
        self.requests: list[Request] = []
        self.max_in_flight = 0
        self.entered = threading.Event()

    def __exit__(self, *_: object) -> None:
        if self._barrier:
            self._barrier.abort()
        super().__exit__()

    def answer(self, method: str, path: str, headers: dict[str, str], data: bytes) -> Sent:
        if not path.endswith("/chat/completions"):
            return refusal(404, f"no route {path}")
        request = Request(path, headers, json.loads(data))
        with self._lock:
            self.requests.append(request)
            self._in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self._in_flight)
        self.entered.set()
        try:
            if self._barrier is not None:
                with contextlib.suppress(threading.BrokenBarrierError):
                    self._barrier.wait(10.0)
            if self._delay:
                time.sleep(self._delay)
            sent = reply_to(request, self._reply)
        finally:
            with self._lock:
                self._in_flight -= 1
        whole = completion(sent.content, sent.model or f"{request.body['model']}-served")
        return sent if sent.body is not None else replace(sent, body=json.dumps(whole))
