"""A hub on 127.0.0.1 that takes what its own client sends: repositories, single files and commits."""

from __future__ import annotations

import base64
import json
import re
import threading
from urllib.parse import urlsplit

from huggingface_hub import ModelCard

from tests.servers import LocalServer, Sent

HEAD = "1" * 40


class Hub(LocalServer):
    """``repositories`` maps 'datasets/USER/NAME' to its files; only calls with ``token`` are let in.

    Imitated from the client's requests, not the hub itself: every file is sent inside the commit, none to its store
    of large files.
    """

    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.made: list[dict[str, object]] = []
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return self.base_url.removesuffix("/v1")

    def answer(self, method: str, path: str, headers: dict[str, str], data: bytes) -> Sent:
        route = urlsplit(path).path
        if headers.get("authorization") != f"Bearer {self.token}":
            return Sent(status=401, body='{"error": "Invalid username or password."}')
        with self._lock:
            if route == "/api/repos/create":
                return self._create(json.loads(data))
            if route == "/api/validate-yaml":
                front = ModelCard(json.loads(data)["content"]).data.to_dict()
                return Sent(body=json.dumps({"errors": [] if front else [{"message": "empty"}], "warnings": []}))
            if found := re.fullmatch(r"/api/(\w+/[^/]+/[^/]+)/preupload/main", route):
                asked = json.loads(data)["files"]
                modes = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in asked]
                return Sent(body=json.dumps({"files": modes}))
            if found := re.fullmatch(r"/api/(\w+/[^/]+/[^/]+)/commit/main", route):
                return self._commit(found[1], data)
            if found := re.fullmatch(r"/(\w+/[^/]+/[^/]+)/resolve/[^/]+/(.+)", route):
                return self._file(found[1], found[2])
        return Sent(status=404, body=json.dumps({"error": f"no route {route}"}))

    def _create(self, wanted: dict[str, str]) -> Sent:
        name = f"{wanted['type']}s/{wanted['organization']}/{wanted['name']}"
        self.made.append(wanted)
        if name in self.repositories:
            return Sent(status=409, body=json.dumps({"error": "exists", "url": f"{self.address}/{name}"}))
        self.repositories[name] = {}
        return Sent(body=json.dumps({"url": f"{self.address}/{name}", "name": name}))

    def _commit(self, name: str, data: bytes) -> Sent:
        for line in map(json.loads, data.decode().splitlines()):
            if line["key"] == "file":
                self.repositories[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        url = f"{self.address}/{name}/commit/{HEAD}"
        return Sent(body=json.dumps({"success": True, "commitOid": HEAD, "commitUrl": url}))

    def _file(self, name: str, path: str) -> Sent:
        content = self.repositories.get(name, {}).get(path)
        if content is None:
            return Sent(status=404, headers={"X-Error-Code": "EntryNotFound"}, body="{}")
        return Sent(body=content, headers={"X-Repo-Commit": HEAD, "ETag": '"1"', "Content-Type": "text/plain"})
