"""A real server on 127.0.0.1 with the routes of OpenAI's Batch API, and a runner of batch files like vLLM's."""

from __future__ import annotations

import email.parser
import email.policy
import itertools
import json
import random
import re
import threading
from collections.abc import Iterable
from typing import Any

from tests.servers import LocalServer, Replying, Request, Sent, completion, refusal, reply_to

EXPIRED = Sent(status=-1)
LOST = Sent(status=-2)


def answer_lines(
    calls: Iterable[dict[str, Any]], reply: Replying, seed: int = 0
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The lines of the output file and of the error file of a batch, each in an order of their own.

    ``reply`` may give EXPIRED for a call that the server did not get to, and LOST for one that it says nothing about.
    """
    output, errors = [], []
    for number, call in enumerate(calls):
        sent = reply_to(Request(call["url"], {}, call["body"]), reply)
        line = {"id": f"batch_req_{number}", "custom_id": call["custom_id"], "response": None, "error": None}
        if sent == LOST:
            continue
        if sent == EXPIRED:
            line["error"] = {"code": "batch_expired", "message": "The completion window was over before this call."}
            errors.append(line)
            continue
        body = json.loads(sent.body) if sent.body else completion(sent.content, sent.model or call["body"]["model"])
        line["response"] = {"status_code": sent.status, "request_id": f"req_{number}", "body": body}
        (output if sent.status == 200 else errors).append(line)
    shuffled = random.Random(seed)
    shuffled.shuffle(output)
    shuffled.shuffle(errors)
    return output, errors


def vllm_lines(calls: Iterable[dict[str, Any]], reply: Replying, seed: int = 0) -> list[dict[str, Any]]:
    """The one output file of ``vllm run-batch``: failures stand in it too, with a text as their error."""
    output, errors = answer_lines(calls, reply, seed)
    for line in errors:
        line["error"] = line["response"]["body"]["error"]["message"]
        line["response"]["body"] = None
    mixed = output + errors
    random.Random(seed).shuffle(mixed)
    return [{**line, "id": f"vllm-{line['id']}"} for line in mixed]


def jsonl(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


class BatchServer(LocalServer):
    """Files and batches.

    A batch is ``in_progress`` until :meth:`finish` is called (``held=True``), else it ends at once. A file that OpenAI
    would refuse (several models, an id twice, another URL) is an error. ``refusal`` is what all routes answer,
    where it is given. ``requests`` holds method, path and headers of all that came.
    """

    def __init__(self, reply: Replying = "Score: 2", *, held: bool = False, refusal: Sent | None = None) -> None:
        super().__init__()
        self._reply = reply
        self._held = held
        self.refusal = refusal
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []

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
        ids = [call["custom_id"] for call in calls]
        assert len(set(ids)) == len(ids)
        assert max(map(len, ids)) <= 64
        assert len({call["body"]["model"] for call in calls}) == 1
        assert {call["url"] for call in calls} == {asked["endpoint"]}
        batch = {"id": f"batch_{next(self._numbers)}", "object": "batch", "created_at": 0, "status": "in_progress"}
        batch |= dict.fromkeys(("output_file_id", "error_file_id", "errors"))
        batch |= {"request_counts": {"total": len(calls), "completed": 0, "failed": 0}, **asked}
        self.batches[batch["id"]] = batch
        if not self._held:
            self._run(batch, None)
        return batch

    def answer(self, method: str, path: str, headers: dict[str, str], data: bytes) -> Sent:
        path = path.partition("?")[0]
        with self._lock:
            self.requests.append((method, path, headers))
            if self.refusal is not None:
                return self.refusal
            if (method, path) == ("POST", "/v1/files"):
                fields = _multipart(headers["content-type"], data)
                assert fields["purpose"] == b"batch"
                return Sent(body=json.dumps({"id": self._keep(fields["file"]), "object": "file"}))
            if (method, path) == ("POST", "/v1/batches"):
                return Sent(body=json.dumps(self._made(json.loads(data))))
            batch = re.fullmatch(r"/v1/batches/([^/]+)", path)
            if method == "GET" and batch and batch[1] in self.batches:
                return Sent(body=json.dumps(self.batches[batch[1]]))
            content = re.fullmatch(r"/v1/files/([^/]+)/content", path)
            if method == "GET" and content and content[1] in self.files:
                return Sent(body=self.files[content[1]], headers={"Content-Type": "application/octet-stream"})
            return refusal(404, f"No such thing: {path}")


def _multipart(content_type: str, data: bytes) -> dict[str, bytes]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + data)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)  # type: ignore[misc]
        for part in message.iter_parts()  # type: ignore[attr-defined]
    }
