"""The only door to VLMEvalKit: nothing outside this room imports ``vlmeval`` or ``torch``. The kit's import turns
certificate checks off for all of ``urllib``; whoever imports it turns them on again by :func:`check_certificates`."""

import ssl
import sys

_checked = ssl._create_default_https_context
if "vlmeval" in sys.modules and _checked is ssl._create_unverified_context:
    _checked = ssl.create_default_context


def check_certificates() -> None:
    """Let the process check certificates as it did before the kit was imported."""
    if ssl._create_default_https_context is ssl._create_unverified_context:
        ssl._create_default_https_context = _checked
