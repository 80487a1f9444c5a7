"""A real server on 127.0.0.1 with the routes of OpenAI's Batch API, and a runner of batch files like vLLM's."""

from __future__ import annotations

import email.parser
import email.policy
import itertools
import json
import random
import re
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from tests.servers import Request, Sent

Answering = str | Sent | Callable[[Request], str | Sent]

EXPIRED = Sent(status=-1)
LOST = Sent(status=-2)


def completion(content: str | None, model: str) -> dict[str, Any]:
    """A chat completion that cost 100 and 5 tokens."""
    message = {"role": "assistant", "content": content}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105},
    }


def refused(status: int, message: str) -> Sent:
    """What a scripted reader gives for a call that fails."""
    return Sent(status=status, body=json.dumps({"error": {"message": message, "type": "error", "code": None}}))


def answer_lines(
    calls: Iterable[dict[str, Any]], reply: Answering, seed: int = 0
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The lines of the output file and of the error file of a batch, each in an order of their own.

    ``reply`` may give EXPIRED for a call that the server did not get to, and LOST for one that it says nothing about.
    """
    output, errors = [], []
    for number, call in enumerate(calls):
        made = reply(Request(call["url"], {}, call["body"])) if callable(reply) else reply
        made = Sent(made) if isinstance(made, str) else made
        line = {"id": f"batch_req_{number}", "custom_id": call["custom_id"], "response": None, "error": None}
        if made == LOST:
            continue
        if made == EXPIRED:
            line["error"] = {"code": "batch_expired", "message": "The completion window was over before this call."}
            errors.append(line)
            continue
        body = json.loads(made.body) if made.body else completion(made.content, made.model or call["body"]["model"])
        line["response"] = {"status_code": made.status, "request_id": f"req_{number}", "body": body}
        (output if made.status == 200 else errors).append(line)
    shuffled = random.Random(seed)
    shuffled.shuffle(output)
    shuffled.shuffle(errors)
    return output, errors


def vllm_lines(calls: Iterable[dict[str, Any]], reply: Answering, seed: int = 0) -> list[dict[str, Any]]:
    """The one output file of ``vllm run-batch``: failures stand in it too, with a text as their error."""
    output, errors = answer_lines(calls, reply, seed)
    for line in errors:
        message = line["response"]["body"]["error"]["message"]
        status = line["response"]["status_code"]
        line["response"] = {"status_code": status, "request_id": line["response"]["request_id"], "body": None}
        line["error"] = message
    mixed = output + errors
    random.Random(seed).shuffle(mixed)
    return [{**line, "id": f"vllm-{line['id']}"} for line in mixed]


def jsonl(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


class _Server(ThreadingHTTPServer):
    daemon_threads = True


class BatchServer:
    """Files and batches.

    A batch is ``in_progress`` until :meth:`finish` is called (``held=True``), else it ends at once. A file that OpenAI
    would refuse (several models, an id twice, another URL) ends as ``failed``. ``refusal`` is what all routes answer,
    where it is given. ``requests`` holds method, path and headers of all that came.
    """

    def __init__(self, reply: Answering = "Score: 2", *, held: bool = False, refusal: Sent | None = None) -> None:
        self._reply = reply
        self._held = held
        self._refusal = refusal
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> BatchServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def finish(self, status: str | None = None) -> None:
        """Run what is in progress; ``status`` is how it ends ('cancelled'), told from the answers where it is None."""
        for batch in self.batches.values():
            if batch["status"] == "in_progress":
                self._run(batch, status)

    def _run(self, batch: dict[str, Any], status: str | None) -> None:
        calls = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        output, errors = answer_lines(calls, self._reply)
        expired = any(line["response"] is None for line in errors)
        batch["status"] = status or ("expired" if expired else "completed")
        batch["request_counts"] = {"total": len(calls), "completed": len(output), "failed": len(errors)}
        # A file that would be empty is not made.
        batch["output_file_id"] = self._keep(jsonl(output).encode()) if output else None
        batch["error_file_id"] = self._keep(jsonl(errors).encode()) if errors else None

    def _keep(self, data: bytes) -> str:
        name = f"file-{next(self._numbers)}"
        self.files[name] = data
        return name

    def _made(self, asked: dict[str, Any]) -> dict[str, Any]:
        calls = [json.loads(line) for line in self.files[asked["input_file_id"]].splitlines()]
        batch = {
            "id": f"batch_{next(self._numbers)}",
            "object": "batch",
            "created_at": 0,
            "status": "in_progress",
            "output_file_id": None,
            "error_file_id": None,
            "errors": None,
            "request_counts": {"total": len(calls), "completed": 0, "failed": 0},
            **asked,
        }
        self.batches[batch["id"]] = batch
        ids = [call["custom_id"] for call in calls]
        wrong = [
            text
            for text, found in (
                ("All requests must have the same model.", len({call["body"]["model"] for call in calls}) != 1),
                ("The custom_id is a duplicate.", len(set(ids)) != len(ids) or any(len(one) > 64 for one in ids)),
                ("The URL does not match.", {call["url"] for call in calls} != {asked["endpoint"]}),
            )
            if found
        ]
        if wrong:
            data = [{"code": "invalid", "message": text, "line": 1, "param": None} for text in wrong]
            batch |= {"status": "failed", "errors": {"object": "list", "data": data}}
        elif not self._held:
            self._run(batch, None)
        return batch

    def _answer(self, method: str, path: str, headers: dict[str, str], data: bytes) -> tuple[int, bytes]:
        with self._lock:
            self.requests.append((method, path, headers))
            if self._refusal is not None:
                return self._refusal.status, (self._refusal.body or "").encode()
            if (method, path) == ("POST", "/v1/files"):
                fields = _multipart(headers["content-type"], data)
                assert fields["purpose"] == b"batch"
                return 200, json.dumps({"id": self._keep(fields["file"]), "object": "file"}).encode()
            if (method, path) == ("POST", "/v1/batches"):
                return 200, json.dumps(self._made(json.loads(data))).encode()
            batch = re.fullmatch(r"/v1/batches/([^/]+)", path)
            if method == "GET" and batch and batch[1] in self.batches:
                return 200, json.dumps(self.batches[batch[1]]).encode()
            content = re.fullmatch(r"/v1/files/([^/]+)/content", path)
            if method == "GET" and content and content[1] in self.files:
                return 200, self.files[content[1]]
            return 404, json.dumps({"error": {"message": f"No such thing: {path}"}}).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._send(b"")

            def do_POST(self) -> None:
                self._send(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

            def _send(self, data: bytes) -> None:
                headers = {name.lower(): text for name, text in self.headers.items()}
                status, body = server._answer(self.command, self.path.partition("?")[0], headers, data)
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                kind = "application/octet-stream" if "/content" in self.path else "application/json"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent: pytest captures what matters."""

        return Handler


def _multipart(content_type: str, data: bytes) -> dict[str, bytes]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + data)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)  # type: ignore[misc]
        for part in message.iter_parts()  # type: ignore[attr-defined]
    }
