"""The images of a file's rows: found, checked and stored while the file is being read.

Base64 leaves memory as soon as its image is stored: at most a few rows are in work at a time, however large the
file is.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from medqbench_vlmeval.data.build import shown
from medqbench_vlmeval.data.imagecells import ALIAS_LENGTH, decode_base64, path_inside, plain_path, split_list
from medqbench_vlmeval.data.images import ImageStore
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.tasks import Task

_MAX_WORKERS = 8
_IMAGES_OF = {Task.NO_REFERENCE: 1, Task.COMPARATIVE: 2}


class RowImages:
    """Collects the images of one file's rows.

    Args:
        task: decides how many images a row must have (one, a pair, or any number from one).
        store: where decoded base64 goes.
        root: the folder that image paths are relative to.
        trusted: whether links under ``root`` may lead outside of it.
        fetch: brings a path of the repository to this machine; None where paths are local files.

    Use it as a context manager: :meth:`add` every row, then ask for :meth:`paths`.
    """

    def __init__(
        self,
        task: Task,
        store: ImageStore,
        root: Path,
        trusted: bool = False,
        fetch: Callable[[str], Path] | None = None,
    ) -> None:
        self._task = task
        self._store = store
        self._root = root
        self._trusted = trusted
        self._fetch = fetch
        # Two more than there are cores: a worker decodes while another waits for the disk (measured: 1.5 times as fast
        # as one worker on two cores).
        workers = min(_MAX_WORKERS, (os.cpu_count() or 1) + 2)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="medqbench-images")
        self._limit = 2 * workers
        self._waiting: deque[tuple[str, Future[tuple[Path, ...]]]] = deque()
        self._done: dict[str, tuple[Path, ...]] = {}
        self._aliases: dict[str, tuple[str, str, Mapping[str, bytes]]] = {}

    def __enter__(self) -> RowImages:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(self, index: str, cells: Mapping[str, bytes], where: str) -> None:
        """Take a row's image cells, by meaning.

        Raises:
            BadInput: this row's or an earlier row's images cannot be used.
        """
        alias = cells.get("image", b"").strip()
        if 0 < len(alias) <= ALIAS_LENGTH:
            # The row that the cell names may come later in the file.
            self._aliases[index] = (alias.decode("utf-8", errors="replace"), where, cells)
            return
        self._waiting.append((index, self._pool.submit(self._store_row, dict(cells), where)))
        while len(self._waiting) >= self._limit:
            self._collect()

    def paths(self) -> Mapping[str, tuple[Path, ...]]:
        """The absolute paths of every row's images, by index.

        Raises:
            BadInput: some row's images cannot be used.
        """
        while self._waiting:
            self._collect()
        borrowed = {}
        for index, (alias, where, cells) in self._aliases.items():
            if alias in self._done:
                borrowed[index] = self._done[alias]
                continue
            if alias in self._aliases:
                raise BadInput(
                    f"{where}: the image cell names the row {shown(alias)}, which has no image of its own either."
                )
            try:
                borrowed[index] = self._store_row(cells, where)
            except BadInput as error:
                raise BadInput(
                    f"{error} The short image cell {shown(alias)} is not another row's index either."
                ) from None
        return {**self._done, **borrowed}

    def _collect(self) -> None:
        index, future = self._waiting.popleft()
        self._done[index] = future.result()

    def _store_row(self, cells: Mapping[str, bytes], where: str) -> tuple[Path, ...]:
        paths = self._paths_of(cells, where)
        wanted = _IMAGES_OF.get(self._task)
        if not paths:
            raise BadInput(f"{where}: no image; the row has neither base64 nor an image path.")
        if wanted is not None and len(paths) != wanted:
            raise BadInput(f"{where}: {len(paths)} images, but the {self._task.value} task needs {wanted}.")
        return paths

    def _paths_of(self, cells: Mapping[str, bytes], where: str) -> tuple[Path, ...]:
        for first, second in (("image_a", "image_b"), ("image_path_a", "image_path_b")):
            pair = [cells.get(first, b"").strip(), cells.get(second, b"").strip()]
            if all(pair):
                return self._stored(pair, where) if first == "image_a" else self._local(pair, where)
            if any(pair):
                empty = second if pair[0] else first
                raise BadInput(f"{where}: one image of the pair is missing ({empty} is empty).")
        encoded = split_list(cells.get("image", b""), where)
        if encoded:
            return self._stored(encoded, where)
        return self._local(split_list(cells.get("image_path", b""), where), where)

    def _stored(self, encoded: Sequence[bytes], where: str) -> tuple[Path, ...]:
        return tuple(self._store.put(decode_base64(cell, where), where) for cell in encoded)

    def _local(self, cells: Sequence[bytes], where: str) -> tuple[Path, ...]:
        return tuple(self._store.check_file(self._locate(cell, where), where) for cell in cells)

    def _locate(self, cell: bytes, where: str) -> Path:
        try:
            text = cell.decode("utf-8")
        except UnicodeDecodeError:
            raise BadInput(f"{where}: the image path is not UTF-8 text.") from None
        if self._fetch is None:
            return path_inside(self._root, text, where, self._trusted)
        return self._fetch(plain_path(text, where).as_posix())
