"""How fast a judge may be asked: requests and tokens a minute, and pauses that the server asks for."""

from __future__ import annotations

import asyncio
import time

_MINUTE = 60.0
# Of an unknown model's tokens no more than an estimate is needed: 4 bytes a token is usual for English, and not far
# off where a character takes three of them.
_BYTES_A_TOKEN = 4
_REPLY_TOKENS = 150
# A start that the loop's clock makes late is made up for within this time (seconds), and the rate is lower by as much.
_LATE = 0.02


class Pace:
    """Evenly spread starts, and one pause for all calls.

    In no minute do more than ``rpm`` calls start. Tokens are estimated before a call from its length; in no minute
    does more than ``tpm`` start, as long as no call holds more than a second's share. Calls start one by one in the
    order in which they came, so that calls that waited together, in a pause too, do not start together. To be used
    inside one event loop.
    """

    def __init__(self, rpm: float | None, tpm: float | None) -> None:
        self._seconds_a_call = (_MINUTE + _LATE) / rpm if rpm else 0.0
        # The burst of a second that a call may be is taken off what flows in over the rest of the minute.
        self._seconds_a_token = (_MINUTE + _LATE) / (tpm * (1 - 1 / _MINUTE)) if tpm else 0.0
        self._next_call = self._next_token = self._resume = 0.0
        self._turn = asyncio.Lock()

    def pause(self, seconds: float) -> None:
        """Let no call start for so long."""
        self._resume = max(self._resume, time.monotonic() + seconds)

    async def start(self, length: int) -> None:
        """Wait until a call with a prompt of so many bytes may start."""
        async with self._turn:
            # A pause may come, or become longer, while this call waits.
            while (wait := max(self._resume, self._next_call, self._next_token) - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            earliest = time.monotonic() - _LATE
            tokens = length / _BYTES_A_TOKEN + _REPLY_TOKENS
            self._next_call = max(self._next_call, earliest) + self._seconds_a_call
            self._next_token = max(self._next_token, earliest) + tokens * self._seconds_a_token
