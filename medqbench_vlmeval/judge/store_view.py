"""The cache for those who only look: nothing is made, written or set aside."""

from __future__ import annotations

import logging
import sqlite3

from medqbench_vlmeval.judge import store_file
from medqbench_vlmeval.judge.store import VerdictStore

logger = logging.getLogger(__name__)


class VerdictStoreView(VerdictStore):
    """A store that is read and never written. Where there is no cache, or none that can be read, it is empty."""

    def _opened(self, patience: float) -> sqlite3.Connection | None:  # noqa: ARG002  # nothing is waited for
        if not self.path.is_file():
            return None
        journal = self.path.with_name(f"{self.path.name}-wal")
        # Another run's answers may still stand in its journal; without one the file does not change and SQLite need
        # not make a journal of its own to read it.
        in_use = journal.exists() and journal.stat().st_size > 0
        try:
            return store_file.open_to_read(self.path, immutable=not in_use)
        except sqlite3.Error as error:
            logger.warning("%s cannot be read (%s); it is taken to be empty.", self.path, error)
            return None
