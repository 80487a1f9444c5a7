"""How a judge's server is reached: whose certificates are trusted, through which proxy, and why a connection failed.

The variables are those that other clients know: ``SSL_CERT_FILE``, ``SSL_CERT_DIR``, ``HTTP_PROXY``, ``HTTPS_PROXY``,
``ALL_PROXY`` and ``NO_PROXY``.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from medqbench_vlmeval.errors import BadInput, JudgeError
from medqbench_vlmeval.judge.options import JudgeOptions
from medqbench_vlmeval.judge.secrets import shown_url


def tls_context() -> ssl.SSLContext:
    """What certificates are checked against: the authorities of the system and of certifi, or those that
    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name.

    Raises:
        BadInput: one of these variables names nothing that can be read.
    """
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
            what = (
                "no file of certificates in PEM form" if isinstance(error, ssl.SSLError) else "nothing that can be read"
            )
            raise BadInput(f"{name} names {value}, which is {what}: correct the variable, or unset it.") from None
    if not named:
        context.load_verify_locations(certifi.where())
    return context


def proxy_for(url: str) -> tuple[str, str] | None:
    """The proxy that the environment names for a URL, and the variable that names it; None for a direct connection.

    Raises:
        BadInput: what is named is no address.
    """
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
    if not good or not re.fullmatch(r"https?|socks(?:4a?|5h?)", address.scheme.lower()):
        raise BadInput(
            f"{name} names no proxy of the form http://host:port: correct it, or put the host into NO_PROXY."
        )
    return proxy, name


@dataclass(frozen=True)
class Lost:
    """Why nothing came from a server: in a few words for one call, and as the error that stops a run.

    ``hopeless`` says that asking again cannot help.
    """

    short: str
    error: JudgeError
    hopeless: bool = False


def connection_words(
    error: BaseException, options: JudgeOptions, url: str, proxy: tuple[str, str] | None = None
) -> Lost:
    """What an error of a connection was caused by, whatever library raised it."""
    role, shown = options.role, shown_url(url)
    causes = list(_causes(error))
    kinds = " ".join(type(cause).__name__ for cause in causes)

    def because(words: str, advice: str, *, hopeless: bool = False) -> Lost:
        return Lost(
            f"the connection failed: {words}", JudgeError(f"No {role} answers at {shown}: {words}. {advice}"), hopeless
        )

    # An error of aiohttp's own is one too, without the message.
    if certificate := next((said for cause in causes if (said := getattr(cause, "verify_message", ""))), ""):
        words = f"its certificate is not trusted ({certificate.rstrip('.')})"
        known = {
            "mismatch": "Name the host that the certificate is for with --judge-base-url.",
            "expired": "Have the certificate renewed, or set this machine's clock.",
        }
        otherwise = "Name the file of its certificate authority with SSL_CERT_FILE."
        fitting = next((advice for word, advice in known.items() if word in words), otherwise)
        return because(words, fitting, hopeless=True)
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        reasons = (str(said) for cause in causes if (said := getattr(cause, "reason", "")))
        reason = next(reasons, "no reason given").replace("_", " ").lower()
        if re.search("wrong version|record layer|http request|unknown protocol|packet length", reason):
            return because(
                "it speaks no TLS there", "Begin --judge-base-url with http:// in the place of https://.", hopeless=True
            )
        return because(f"TLS failed ({reason})", "Look at --judge-base-url and at the proxy.", hopeless=True)
    if proxy and "Proxy" in kinds:
        status = next((cause.status for cause in causes if hasattr(cause, "status")), None)
        words = f"the proxy of {proxy[1]} " + (f"refused with status {status}" if status else "cannot be reached")
        return because(words, "Correct the variable, or put the host into NO_PROXY.", hopeless=status == 407)
    host = urlsplit(url).hostname
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return because(f"there is no host '{host}' (DNS)", "Correct --judge-base-url, or look at the network.")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return because("the connection was refused", "Start the server or correct --judge-base-url.")
    if "Payload" in kinds or "IncompleteRead" in kinds:
        return because("the connection broke in the middle of a reply", "Look at the server's log.")
    if re.search("BadHttp|BadStatus|Encoding|LineTooLong", kinds):
        return because("its answer is no HTTP that can be read", "Look at the port in --judge-base-url.")
    if re.search("Disconnected|RemoteProtocol|Reset|BrokenPipe|ClientResponseError|ReadError", kinds):
        advice = "Look at the server's log." + (
            " If it speaks TLS, begin --judge-base-url with https://." if url.lower().startswith("http:") else ""
        )
        return because("the server closed the connection without a reply", advice)
    number = next((cause for cause in causes if isinstance(cause, OSError) and cause.strerror), None)
    words = f"the connection failed ({str(number.strerror).lower()})" if number else "the connection failed"
    return because(words, "Start the server or correct --judge-base-url.")


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
