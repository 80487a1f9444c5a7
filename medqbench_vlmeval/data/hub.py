"""Single files of the benchmark's repository on the Hugging Face hub."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from medqbench_vlmeval.errors import BadInput, RunFailed

REPOSITORY = "jiyaoliufd/MedQ-Bench"
REVISION_VARIABLE = "MEDQBENCH_REVISION"

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubFile:
    """A downloaded file in the hub client's cache; ``revision`` is the commit that it belongs to."""

    path: Path
    revision: str | None


def download(filename: str, revision: str | None = None) -> HubFile:
    """Fetch one file of the repository, or find it in the cache.

    Args:
        filename: its path in the repository.
        revision: a commit, branch or tag; by default what ``MEDQBENCH_REVISION`` names, else the main branch.

    Raises:
        BadInput: the repository, the revision or the file does not exist.
        RunFailed: the hub cannot be reached.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    wanted = revision or os.environ.get(REVISION_VARIABLE) or None
    at = f" at revision '{wanted}'" if wanted else ""
    ways_out = (
        "put the file into a folder and name the folder in the environment variable MEDQBENCH_DATA, or give the file "
        "itself as data_path (score: --data)"
    )
    # The transport's base class: requests, httpx and its successors each have their own.
    transport = HfHubHTTPError.__mro__[1]
    # The client tells each of its retries at length; what matters is said once, below.
    client = logging.getLogger("huggingface_hub")
    level = client.level
    client.setLevel(logging.ERROR)
    try:
        path = hf_hub_download(repo_id=REPOSITORY, repo_type="dataset", filename=filename, revision=wanted)
    except LocalEntryNotFoundError as error:
        raise RunFailed(
            f"{filename} is not in the local cache and the hub cannot be reached ({_cause(error)}): {ways_out}."
        ) from None
    except RevisionNotFoundError:
        raise BadInput(
            f"the hub's repository {REPOSITORY} has no revision '{wanted}' for {filename}: correct "
            f"{REVISION_VARIABLE}, or {ways_out}."
        ) from None
    except RepositoryNotFoundError:
        raise BadInput(
            f"the hub's repository {REPOSITORY}, which holds {filename}, does not exist or is not "
            f"open to you: {ways_out}."
        ) from None
    except EntryNotFoundError:
        raise BadInput(f"the hub's repository {REPOSITORY}{at} has no file {filename}: {ways_out}.") from None
    except (OSError, ValueError, transport) as error:  # type: ignore[misc]
        raise RunFailed(f"{filename} could not be fetched from the hub ({_cause(error)}): {ways_out}.") from None
    finally:
        client.setLevel(level)
    return HubFile(Path(path), _revision_of(Path(path)))


def cached(filename: str) -> Path | None:
    """The file in the hub client's cache, at the wanted revision, without asking the hub."""
    from huggingface_hub import try_to_load_from_cache

    wanted = os.environ.get(REVISION_VARIABLE) or None
    found = try_to_load_from_cache(REPOSITORY, filename, repo_type="dataset", revision=wanted)
    return Path(found) if isinstance(found, str) else None


def _revision_of(path: Path) -> str | None:
    parts = path.parts
    for before, name in pairwise(parts):
        if before == "snapshots" and _COMMIT.fullmatch(name):
            return name
    return None


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}".rstrip(".: ")
