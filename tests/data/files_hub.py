"""The hub's file protocol on 127.0.0.1: commits, large files on another host, ranges, and lines that are cut."""

from __future__ import annotations

import hashlib
import re
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import constants, file_download

from tests.servers import LocalServer, Sent

try:
    from huggingface_hub import close_session
except ImportError:  # before 1.0, whose client is another
    from huggingface_hub.utils import reset_sessions as close_session

FIRST, SECOND = "0123456789abcdef0123456789abcdef01234567", "89abcdef0123456789abcdef0123456789abcdef"


def point_at(address: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the hub's client, which reads its settings when it is imported, ask another address."""
    close_session()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    for module in (constants, file_download):  # before 1.0 the second has a copy of its own
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)


@dataclass(frozen=True)
class Asked:
    """A request: ``token`` is the Authorization header, ``start`` where the asked range begins."""

    method: str
    path: str
    token: str | None
    start: int


class Store(LocalServer):
    """The other host, to which a hub leads those who ask for large files.

    ``cuts`` holds after how many bytes each of the next answers breaks off, once ``hold`` is set; unless it
    ``takes_ranges`` every answer begins with the file's first byte.
    """

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.cuts: list[int] = []
        self.takes_ranges = True
        self.hold: threading.Event | None = None

    def answer(self, method: str, path: str, headers: dict[str, str], data: bytes) -> Sent:
        span = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
        start = int(span[1]) if span else 0
        self.asked.append(Asked(method, path, headers.get("authorization"), start))
        body, begin = self.files[path.rpartition("/")[2]], start if self.takes_ranges else 0
        more = {"Content-Range": f"bytes {begin}-{len(body) - 1}/{len(body)}"} if begin else {}
        cut = self.cuts.pop(0) if self.cuts and method == "GET" else None
        return Sent(
            status=206 if begin else 200, headers=more, body=body[begin:], cut=cut, hold=self.hold if cut else None
        )


@dataclass
class Repository:
    """A dataset: what each commit holds, and what its main branch is; ``refusal`` is the answer to everybody."""

    commits: dict[str, dict[str, bytes]]
    main: str = FIRST
    refusal: Sent | None = None


class FilesHub(LocalServer):
    """A hub as its client sees it (imitated from the client's requests and the hub's documented headers).

    Files of ``large`` bytes or more are led to ``store``, as the hub leads to its own; smaller ones it sends itself.
    """

    def __init__(self, store: Store, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.store = store
        self.repositories: dict[str, Repository] = {}
        self.asked: list[Asked] = []
        self.large = 0

    @property
    def address(self) -> str:
        return self.base_url.removesuffix("/v1")

    def answer(self, method: str, path: str, headers: dict[str, str], data: bytes) -> Sent:
        self.asked.append(Asked(method, path, headers.get("authorization"), 0))
        found = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if found is None or found[1] not in self.repositories:
            return Sent(status=401, headers={"X-Error-Code": "RepoNotFound"})
        repository = self.repositories[found[1]]
        if repository.refusal is not None:
            return repository.refusal
        commit = repository.main if found[2] == "main" else found[2]
        if commit not in repository.commits:
            return Sent(status=404, headers={"X-Error-Code": "RevisionNotFound"})
        known = {"X-Repo-Commit": commit}
        if found[3] not in repository.commits[commit]:
            return Sent(status=404, headers={**known, "X-Error-Code": "EntryNotFound"})
        body = repository.commits[commit][found[3]]
        if len(body) < self.large:
            git = hashlib.sha1(b"blob %d\0%b" % (len(body), body), usedforsecurity=False).hexdigest()
            return Sent(headers={**known, "ETag": f'"{git}"'}, body=body)
        sha256 = hashlib.sha256(body).hexdigest()
        self.store.files.setdefault(sha256, body)
        linked = {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(body)), "X-Xet-Hash": "0" * 64}
        linked["Link"] = f'<{self.address}/xet>; rel="xet-auth"'
        return Sent(status=302, headers={**known, **linked, "Location": f"{self.store.base_url}/{sha256}"})
