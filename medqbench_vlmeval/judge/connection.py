"""How a judge's server is reached: whose certificates are trusted, through which proxy, and why a connection failed.
The variables are those that other clients know: ``SSL_CERT_FILE``, ``SSL_CERT_DIR``, ``HTTP_PROXY``, ``HTTPS_PROXY``,
``ALL_PROXY`` and ``NO_PROXY``."""

from __future__ import annotations

import json
import os
import re
import ssl
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from medqbench_vlmeval.errors import BadInput, JudgeError
from medqbench_vlmeval.judge.options import JudgeOptions
from medqbench_vlmeval.judge.secrets import shown_url

# Advice by words of a certificate's fault, and words and advice by the names of the errors' classes in aiohttp, httpx,
# requests and the standard library.
_FAULTS: Mapping[str, Sequence[Sequence[str]]] = json.loads(
    Path(__file__).with_name("connection.json").read_text(encoding="utf-8")
)


def tls_context() -> ssl.SSLContext:
    """Trust in the authorities of the system and of certifi, or in those that ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``
    name; BadInput where one of these names nothing that can be read."""
    import certifi

    context = ssl.create_default_context()
    named = {name: value for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if (value := os.environ.get(name))}
    for name, value in named.items():
        try:
            if name == "SSL_CERT_DIR":
                if not any(Path(part).is_dir() for part in value.split(os.pathsep)):
                    raise FileNotFoundError
            else:
                context.load_verify_locations(value)
        except OSError as error:
            read = isinstance(error, ssl.SSLError)
            what = "no file of certificates in PEM form" if read else "nothing that can be read"
            raise BadInput(f"{name} names {value}, which is {what}: correct the variable, or unset it.") from None
    if not named:
        context.load_verify_locations(certifi.where())
    return context


def proxy_for(url: str) -> tuple[str, str] | None:
    """The proxy that the environment names for a URL, and the variable that names it; None for a direct connection.
    BadInput where what is named is no address."""
    parts = urlsplit(url)
    if not parts.hostname or urllib.request.proxy_bypass(parts.hostname):
        return None
    proxies = urllib.request.getproxies()
    kind = next((kind for kind in (parts.scheme, "all") if proxies.get(kind)), None)
    if kind is None:
        return None
    names = (f"{kind}_proxy", f"{kind}_proxy".upper())
    name = next((name for name in names if os.environ.get(name)), "the system's settings")
    proxy = proxies[kind] if "://" in proxies[kind] else f"http://{proxies[kind]}"
    try:
        address = urlsplit(proxy)
        good = bool(address.hostname) and (address.port is None or address.port > 0) and " " not in proxy
    except ValueError:
        good = False
    if not good or not re.fullmatch("https?", address.scheme.lower()):
        raise BadInput(
            f"{name} names no proxy of the form http://host:port: correct it, or put the host into NO_PROXY."
        )
    return proxy, name


class Lost(NamedTuple):
    """Why nothing came, in few words for one call and as a run's last error; ``hopeless``: asking again is no use."""

    short: str
    error: JudgeError
    hopeless: bool


def connection_words(
    error: BaseException, options: JudgeOptions, url: str, proxy: tuple[str, str] | None = None
) -> Lost:
    """What an error of a connection was caused by, whatever library raised it."""
    causes = list(_causes(error))
    kinds = " ".join(type(cause).__name__ for cause in causes)
    # An error of aiohttp's own is one of ssl's too, without message and reason.
    certificate = next((said for cause in causes if (said := getattr(cause, "verify_message", ""))), "")
    reason = next((said for cause in causes if isinstance(said := getattr(cause, "reason", None), str)), "")
    status = next((cause.status for cause in causes if hasattr(cause, "status")), None)
    hopeless = True
    if certificate:
        words = f"its certificate is not trusted ({certificate.rstrip('.')})"
        advice = next(advice for word, advice in _FAULTS["certificate"] if word in words)
    elif any(isinstance(cause, ssl.SSLError) for cause in causes):
        plain = re.search("WRONG_VERSION|RECORD_LAYER|HTTP_REQUEST|UNKNOWN_PROTOCOL|PACKET_LENGTH", reason)
        words = "it speaks no TLS there" if plain else f"TLS failed ({reason or error})"
        begin = "Begin --judge-base-url with http:// in the place of https://."
        advice = begin if plain else "Look at its TLS settings."
    elif proxy and "Proxy" in kinds:
        words = f"the proxy of {proxy[1]} " + (f"refused with status {status}" if status else "cannot be reached")
        advice, hopeless = "Correct the variable, or put the host into NO_PROXY.", status == 407
    else:
        words, advice = next((words, advice) for kind, words, advice in _FAULTS["other"] if re.search(kind, kinds))
        hopeless = False
        if "without a reply" in words and url.lower().startswith("http:"):
            advice += " If it speaks TLS, begin --judge-base-url with https://."
        number = next((f" ({said})" for cause in causes if (said := getattr(cause, "strerror", None))), "")
        words = words.format(host=urlsplit(url).hostname, number=number)
    stop = JudgeError(f"No {options.role} answers at {shown_url(url)}: {words}. {advice}")
    return Lost(f"the connection failed: {words}", stop, hopeless)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it was caused by; some libraries keep that in an attribute or argument."""
    todo: list[object] = [error]
    seen: set[int] = set()
    while todo:
        cause = todo.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            todo += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
            todo += getattr(cause, "exceptions", ())
