"""How fast a judge may be asked: requests and tokens a minute, and pauses that the server asks for."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

_MINUTE = 60.0
# Of an unknown model's tokens no more than an estimate is needed: 4 characters a token is usual for English.
_CHARACTERS_A_TOKEN = 4
_REPLY_TOKENS = 150


class Pace:
    """Leaky buckets for requests and tokens, and one pause for all calls.

    Requests are spread evenly: in no minute do more than ``rpm`` start. Tokens are estimated before a call from its
    length; those of one second may start at once, and in no minute more than ``tpm``. To be made inside the event
    loop that uses it.
    """

    def __init__(self, rpm: float | None, tpm: float | None) -> None:
        self._requests = _bucket(1.0, rpm) if rpm else None
        # The burst is taken off what flows in over the rest of the minute.
        self._tokens = _bucket(tpm / _MINUTE, tpm * (1 - 1 / _MINUTE)) if tpm else None
        self._resume = 0.0

    def pause(self, seconds: float) -> None:
        """Let no call start for so long."""
        self._resume = max(self._resume, time.monotonic() + seconds)

    async def start(self, characters: int) -> None:
        """Wait until a call of this length may start."""
        if self._requests is not None:
            await self._requests.acquire()
        if self._tokens is not None:
            left = characters / _CHARACTERS_A_TOKEN + _REPLY_TOKENS
            # A call may hold more tokens than the bucket: it fills it several times over.
            while left > 0:
                part = min(left, self._tokens.max_rate)
                await self._tokens.acquire(part)
                left -= part
        while (wait := self._resume - time.monotonic()) > 0:
            await asyncio.sleep(wait)


def _bucket(burst: float, a_minute: float) -> AsyncLimiter:
    from aiolimiter import AsyncLimiter

    return AsyncLimiter(burst, burst * _MINUTE / a_minute)
