"""Files of hub datasets on this machine: whole however often the line is cut, at a recorded commit, of recorded bytes.
The hub's client (2.4) forgets what has come of a file when its process ends, and asks a hub that is not there for 20
seconds. Here its plain download fills a file that is kept until it is whole. Its other way (xet) forgets too."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from medqbench_vlmeval.data.image_paths import COMMIT
from medqbench_vlmeval.data.image_store import data_folder
from medqbench_vlmeval.errors import BadInput, MedQBenchError, RunFailed
from medqbench_vlmeval.files import MissingFile, held, read_bytes, read_json, sha256_of, write_json, write_text, writing
from medqbench_vlmeval.steps import in_thread, step

LOCK_NAME = "medqbench-data.lock.json"
REVISION_VARIABLE = "MEDQBENCH_REVISION"
# By repository. Empty: the hub could not be reached where this was written, and the first commit met is recorded.
DEFAULT_COMMITS: dict[str, str] = {}
_ANSWER_SECONDS = 3.5


@dataclass(frozen=True)
class HubFile:
    """A file of a hub dataset, by its name in the repository."""

    repository: str
    name: str


@dataclass(frozen=True)
class LockedFile(HubFile):
    """A file as it was when it was fetched; ``size`` is in bytes."""

    commit: str
    size: int
    sha256: str

    def check(self, path: Path, sha256: str) -> None:
        """BadInput where the file that lies at ``path`` now has another ``sha256``."""
        if sha256 != self.sha256:
            raise BadInput(
                f"{path} has the sha256 {sha256}, and {LOCK_NAME} says {self.sha256}: it was damaged or changed since. "
                "Delete it and run 'medqbench data download' again, or keep a file of your own in another folder."
            )


def read_lock(folder: Path | None) -> tuple[LockedFile, ...]:
    """What was fetched into a folder, or for None into the hub client's cache (in LMUData's lock file). The last one of
    a repository has the commit that later fetches use. BadInput where the lock file is damaged."""
    path = (folder or data_folder(make=False)) / LOCK_NAME
    try:
        files = tuple(LockedFile(**file) for file in read_json(path)["files"])
        if all(isinstance(file.repository, str) and COMMIT.fullmatch(file.commit) for file in files):
            return files
    except MissingFile:
        return ()
    except (KeyError, TypeError, ValueError):
        pass
    raise BadInput(f"{path} is damaged: delete it, and 'medqbench data download' writes another.")


def locked_file(folder: Path | None, name: str, commit: str | None = None) -> LockedFile | None:
    """A file of :func:`read_lock`, of one commit where that is given."""
    return next((file for file in read_lock(folder) if file.name == name and commit in (None, file.commit)), None)


def record(folder: Path | None, new: LockedFile) -> None:
    """Add a file; its commit is what later fetches use, unless ``MEDQBENCH_REVISION`` named it."""
    place = folder or data_folder()
    with writing(place / LOCK_NAME), held(place / ".medqbench-data.record"):
        # The cache has files of several commits under one name.
        kept = [of for of in read_lock(folder) if of.name != new.name or not (folder or of.commit == new.commit)]
        files = [new, *kept] if os.environ.get(REVISION_VARIABLE) else [*kept, new]
        write_json(place / LOCK_NAME, {"files": [asdict(file) for file in files]})
        if folder:
            write_text(folder / "SHA256SUMS", "".join(f"{file.sha256}  {file.name}\n" for file in files))


def alone(folder: Path | None) -> Any:
    """A lock that is held, against others that fetch into the same place and then find what this process did."""
    from filelock import FileLock

    with writing(place := folder or data_folder(), "choose another folder (--to, MEDQBENCH_DATA or LMUData)"):
        place.mkdir(parents=True, exist_ok=True)
        return FileLock(place / ".medqbench-data.lock").acquire()


def revision_for(repository: str, folder: Path | None = None) -> str:
    """What is fetched where nobody names a revision: of ``MEDQBENCH_REVISION``, else the commit in the folder's lock
    file, in the cache's, in this package; else the main branch."""
    recorded = {file.repository: file.commit for file in (*read_lock(None), *read_lock(folder))}
    return os.environ.get(REVISION_VARIABLE) or {**DEFAULT_COMMITS, **recorded}.get(repository, "main")


def cached(file: HubFile, revision: str) -> Path | None:
    """The file in the hub client's cache; the network is not asked."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(file.repository, file.name, repo_type="dataset", revision=revision)
    return Path(path) if isinstance(path, str) and Path(path).is_file() else None


def refusal(file: HubFile, kind: str) -> str | None:
    """Why the hub would not give a file of a repository of some kind ('model'); None where it would or has no such."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        _within(lambda: get_hf_file_metadata(hf_hub_url(file.repository, file.name, repo_type=kind)))
    except _hub_errors() as error:
        answer = getattr(error, "response", None)
        if answer is not None and answer.status_code == 404 and answer.headers.get("X-Error-Code") != "RepoNotFound":
            return None
        return str(_told(error, file, "main"))
    return None


def fetch(file: HubFile, revision: str, folder: Path | None = None) -> tuple[Path, str]:
    """Bring a file of a commit, branch or tag into a folder, or for None into the hub client's cache, and say of which
    commit it is. What an earlier call has of it is not asked for again; what is there of that commit is taken as it is.
    BadInput where the hub has no such file or not for this user, or the folder has another one of its name; RunFailed
    where the hub cannot be reached or refuses, the line was cut, or what came is not what the hub has."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    known = locked_file(folder, file.name)
    here = folder / file.name if folder else cached(file, revision)
    if here and here.is_file() and (known and known.commit == revision if folder else COMMIT.fullmatch(revision)):
        return here, revision
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells each of its retries at length
    url = partial(hf_hub_url, file.repository, file.name, repo_type="dataset")
    try:
        told = _within(lambda: get_hf_file_metadata(url(revision=revision)))
        commit, etag = told.commit_hash or "", told.etag or ""
        if not COMMIT.fullmatch(commit) or told.size is None or not re.fullmatch(r"[\w-]{8,128}", etag):
            raise ConnectionError("the answer is not a hub's: a login page, a proxy, or a wrong HF_ENDPOINT")
        cache = Path(constants.HF_HUB_CACHE, f"datasets--{file.repository.replace('/', '--')}", "snapshots", commit)
        target = (folder or cache) / file.name
        same = target.exists() and (not folder or _etag_of(target, etag) == etag)
        if folder and any(part.startswith(".") for part in Path(file.name).parts):
            raise BadInput(f"{file.name} would be a hidden file or folder of {folder}; it is not fetched.")
        if target.exists() and not same and not (known and known.sha256 == sha256_of(target)):
            raise BadInput(f"{target} is neither the hub's nor fetched before: move it away or change --to.")
        if not same:
            _receive(url(revision=commit), told.location, target, told.size, etag)
    except _hub_errors() as error:
        if here and not folder:  # the branch as it was when the hub was reached last
            return here, next(filter(COMMIT.fullmatch, here.parts))
        named = "name the folder in the environment variable MEDQBENCH_DATA, or give it as data_path (score: --data)"
        put = f"put it into {folder}" if folder else f"put the file into a folder and {named}"
        told = _told(error, file, revision)
        again = "; the same command goes on where it stopped." if isinstance(told, RunFailed) else "."
        raise type(told)(f"{told}, or {put}{again}") from None
    return target, commit


def _etag_of(path: Path, like: str) -> str:
    """A file's etag on the hub: of large ones the sha256, of small ones git's hash of a blob, which has 40 digits."""
    if len(like) != 40:
        return sha256_of(path)
    data = read_bytes(path)
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()


def _receive(url: str, location: str, target: Path, size: int | None, etag: str) -> None:
    """Fill a file beside ``target`` that survives the process, and rename it once it is whole."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers, get_session  # type: ignore[attr-defined]

    part = target.with_name(f".{target.name[:100]}.{etag[:16]}.part")
    with writing(part):
        part.parent.mkdir(parents=True, exist_ok=True)
        out = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "rb+")

    def update(n: int) -> None:
        if size is not None and out.tell() + n > size:
            out.truncate(0)  # the client before 1.4 adds to what it had what a server without ranges sends anew
            raise ConnectionError("more comes than the file has")
        step(f"downloading {target.name}, MiB", (out.tell() + n) >> 20, size and size >> 20)

    bar: Any = SimpleNamespace(update=update)
    if urlsplit(location).netloc != urlsplit(url).netloc:
        _within(lambda: get_session().head(location))  # the store to which the hub leads may be out of reach
    # What has come of a piece is lost where the line is cut, and the client's are of 10 MiB.
    constants.DOWNLOAD_CHUNK_SIZE = 1 << 14
    get = partial(http_get, url, out, headers=build_hf_headers(), expected_size=size, _tqdm_bar=bar, _nb_retries=0)
    have, anew = out.seek(0, os.SEEK_END), False
    with out:
        while True:
            try:
                get(resume_size=have)
                break
            except _hub_errors():  # the client tries again by itself once something comes, but after a reset
                if (now := out.seek(0, os.SEEK_END)) == have or (anew and now < have):
                    raise
                have, anew = now, anew or now < have
    try:
        if len(etag) == 64 and (sha256 := sha256_of(part)) != etag:
            part.unlink()
            raise RunFailed(
                f"{target.name} came with the sha256 {sha256}, and the hub's is {etag}: it was damaged on its way. "
                "What came is deleted; try again, by another mirror or proxy if it stays so."
            )
        part.replace(target)
    except FileNotFoundError:
        if not target.exists():  # two rows have one image, and another thread has fetched it meanwhile
            raise


def _within(call: Callable[[], Any]) -> Any:
    """What ``call`` gives, or TimeoutError after some seconds: the client's limit is for each of a hub's addresses."""
    from huggingface_hub import constants

    # The client's default, 10 s, is long where the hub is not there.
    seconds = constants.HF_HUB_ETAG_TIMEOUT if "HF_HUB_ETAG_TIMEOUT" in os.environ else _ANSWER_SECONDS
    if not wait([answer := in_thread(call)], seconds).done:
        raise TimeoutError(f"no answer in {seconds:g} s; HF_HUB_ETAG_TIMEOUT allows more")
    return answer.result()


def _hub_errors() -> tuple[type[Exception], ...]:
    from huggingface_hub.errors import HfHubHTTPError

    # The transport's base class: requests, httpx and its successors each have their own.
    return (OSError, ValueError, HfHubHTTPError.__mro__[1])


def _told(error: Exception, file: HubFile, revision: str) -> MedQBenchError:
    """What the hub's client raised in one sentence without its end, to which further ways out can be added."""
    from huggingface_hub.constants import ENDPOINT

    name, log_in = f"{file.name} of {file.repository}", "log in with 'hf auth login' or set HF_TOKEN"
    host = urlsplit(ENDPOINT).hostname
    if "OfflineMode" in type(error).__name__:
        return RunFailed(f"{name} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it: unset it")
    if (response := getattr(error, "response", None)) is None:
        ways = {"CERTIFICATE_VERIFY": "name your site's certificates in SSL_CERT_FILE", "No space left": "make room"}
        mend = next((way for what, way in ways.items() if what in str(error)), "set HF_ENDPOINT to a mirror")
        # Addresses may hold signatures or a proxy's password.
        cause = re.sub(r"(\w+://)\S+", r"\1...", f"{type(error).__name__}: {' '.join(str(error).split())}")[:200]
        return RunFailed(f"{name} could not be fetched from the hub ({host}; {cause.rstrip('.: ')}): {mend}")
    status, after = response.status_code, response.headers.get("Retry-After", "")
    refusals = {
        "GatedRepo": f"is open to those whom its owners let in: ask on its page, then {log_in}",
        "RepoNotFound": f"is not there or not open to you: {log_in}",
        "RevisionNotFound": f"has no revision '{revision}': correct {REVISION_VARIABLE} or --revision",
        "EntryNotFound": f"has no such file at revision '{revision}': look at its page",
    }
    if text := refusals.get(response.headers.get("X-Error-Code", "GatedRepo" if status in (401, 403) else "")):
        return BadInput(f"the hub's repository {file.repository}, asked for {file.name}, {text}")
    when = f"in {after} s" if after.isdecimal() else "later"
    often = f" (asked too often; {log_in} to ask more)" if status == 429 else ""
    return RunFailed(f"the hub ({host}) answers HTTP {status} for {name}{often}: try again {when}")
