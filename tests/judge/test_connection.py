"""Servers that cannot be reached, over real TLS, through proxies and with what variables may hold: one sentence, with
the cause."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import trustme

from medqbench_vlmeval.errors import BadInput, JudgeError, MedQBenchError
from medqbench_vlmeval.judge import JudgeOptions
from medqbench_vlmeval.judge.batch_api import submit
from medqbench_vlmeval.judge.batch_files import read_call_file
from medqbench_vlmeval.judge.client import OpenAIClient, Unanswered
from medqbench_vlmeval.judge.connection import proxy_for
from tests.servers import JudgeServer, LocalServer, Sent

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, *map(str.upper, PROXIES), "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(tls)
    return tls


def asked(url: str, times: int = 1, **options: object) -> str | None:
    async def one_run() -> str | None:
        async with OpenAIClient(JudgeOptions("m", url, key="canary-0123456789", **options)) as client:
            for _ in range(times - 1):
                await client.ask([{"role": "user", "content": "?"}])
            return (await client.ask([{"role": "user", "content": "?"}])).texts[0]

    return asyncio.run(one_run())


def why(url: str) -> str:
    """The sentence that stops a run whose server cannot be reached."""
    with pytest.raises((MedQBenchError, Unanswered)) as caught:
        asked(url)
    error = caught.value
    return str(error.no_connection if isinstance(error, Unanswered) else error)


class Talker:
    """A server that answers every connection with these bytes, after it has read something, and hangs up."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(self._said)

    def __enter__(self) -> Talker:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def test_a_certificate_that_ssl_cert_file_vouches_for_is_trusted(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with JudgeServer("Score: 2", tls=context(authority.issue_cert("127.0.0.1"))) as server:
        assert asked(server.base_url) == "Score: 2"


@pytest.mark.parametrize(
    ("trusted", "name", "expires", "words"),
    [
        (
            False,
            "127.0.0.1",
            None,
            r"is not trusted \(.*\)\. Name the file of its certificate authority with SSL_CERT_FILE",
        ),
        (True, "judge.example", None, r"mismatch.*\)\. Name the host that the certificate is for"),
        (True, "127.0.0.1", LONG_AGO, r"certificate has expired\)\. Have the certificate renewed"),
    ],
)
def test_a_certificate_that_is_not_trusted_is_told_apart(
    authority: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool, name: str, expires: Any, words: str
) -> None:
    if trusted:
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    before = datetime(2019, 1, 1, tzinfo=timezone.utc) if expires else None
    certificate = authority.issue_cert(name, not_before=before, not_after=expires)
    with JudgeServer(tls=context(certificate)) as server, pytest.raises(JudgeError, match=words):
        asked(server.base_url)


def test_tls_where_there_is_none_and_none_where_there_is(authority: trustme.CA) -> None:
    with JudgeServer() as server:
        words = why(server.base_url.replace("http://", "https://"))
        assert "it speaks no TLS there. Begin --judge-base-url with http://" in words
    with JudgeServer(tls=context(authority.issue_cert("127.0.0.1"))) as server:
        words = why(server.base_url.replace("https://", "http://"))
        assert "closed the connection without a reply" in words and "begin --judge-base-url with https://" in words
    # What Go's and nginx's servers say.
    refusal = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
    with Talker(refusal) as server:
        assert "Begin --judge-base-url with https://" in why(f"http://127.0.0.1:{server.port}/v1")


def test_a_port_without_a_server_a_host_without_an_address_and_a_server_that_hangs_up() -> None:
    with JudgeServer() as server:
        url = server.base_url
    assert f"No judge answers at {url}: the connection was refused. Start the server" in why(url)
    assert "there is no host 'judge.invalid' (DNS). Correct --judge-base-url" in why("http://judge.invalid/v1")
    with Talker(b"") as talker:
        assert "closed the connection without a reply. Look at the server's log" in why(
            f"http://127.0.0.1:{talker.port}/v1"
        )
    with Talker(b"SSH-2.0-OpenSSH_9.6\r\n") as talker:
        assert "no HTTP that can be read. Look at the URL's port" in why(f"http://127.0.0.1:{talker.port}/v1")
    with Talker(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{") as talker:
        assert "broke in the middle of a reply" in why(f"http://127.0.0.1:{talker.port}/v1")


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nnonsense\n", b"\x00\xff"])
def test_variables_of_certificates_that_name_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | None
) -> None:
    path = tmp_path / "certificates"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv(name, str(path))
    with pytest.raises(
        BadInput, match=rf"^{name} names .*certificates, which is .*: correct the variable, or unset it\.$"
    ):
        asked("https://127.0.0.1:9/v1")
    with JudgeServer("Score: 1") as server:
        assert asked(server.base_url) == "Score: 1", "no TLS, no certificates"


@pytest.mark.parametrize(
    "proxy",
    ["http://", "http:///x", "http://h:port", "http://[h", "foo://h:1", "h o s t:1", "http://h:99999", "socks5://h:1"],
)
def test_a_proxy_that_is_none_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(BadInput, match=r"^HTTP_PROXY names no proxy of the form http://host:port"):
        asked("http://judge.invalid/v1")


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({"https_proxy": "h:3128"}, "https://a/v1", ("http://h:3128", "https_proxy")),
        ({"HTTPS_PROXY": "http://u:p@h:3128"}, "https://a/v1", ("http://u:p@h:3128", "HTTPS_PROXY")),
        ({"HTTPS_PROXY": "http://h:3128"}, "http://a/v1", None),
        ({"ALL_PROXY": "http://h:1080"}, "http://a/v1", ("http://h:1080", "ALL_PROXY")),
        ({"ALL_PROXY": "http://h:1", "NO_PROXY": "127.0.0.1,a"}, "http://a:8000/v1", None),
        ({}, "https://a/v1", None),
    ],
)
def test_the_proxy_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, proxy: object
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


def test_a_proxy_that_is_not_there_or_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with JudgeServer() as server:
        gone = server.base_url.removesuffix("/v1")
    monkeypatch.setenv("HTTP_PROXY", gone)
    monkeypatch.setenv("HTTPS_PROXY", gone)
    for scheme in ("http", "https"):
        words = why(f"{scheme}://judge.invalid/v1")
        assert f"the proxy of {scheme.upper()}_PROXY cannot be reached. Correct the variable" in words
    with Talker(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert "the proxy of HTTPS_PROXY refused with status 407" in why("https://judge.invalid/v1")
        assert "status 407" in why("http://judge.invalid/v1")


@pytest.mark.parametrize("broken", ["proxy", "scheme", "port"])
def test_a_batch_s_server_that_cannot_be_reached_is_told_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    row = {"custom_id": f"mq1.{'a' * 40}.c3.r", "body": {"model": "m"}}
    (tmp_path / "calls.jsonl").write_text(f"{row}\n".replace("'", '"'))
    with LocalServer() as server:
        url = server.base_url.replace("http", "https" if broken == "scheme" else "http", 1)
        if broken == "port":
            server.__exit__()
        if broken == "proxy":
            monkeypatch.setenv("HTTP_PROXY", "http://[h")
        words = {"proxy": "HTTP_PROXY names no proxy", "scheme": "it speaks no TLS there", "port": "was refused"}[
            broken
        ]
        with pytest.raises(MedQBenchError, match=words):
            submit(read_call_file(tmp_path / "calls.jsonl"), JudgeOptions("m", url, key="canary-0123456789", retry=0))


class EndlessServer(JudgeServer):
    """Sends 300 MB of a reply, or whatever is read of it."""

    def _handler(self) -> type:
        class Handler(super()._handler()):  # type: ignore[misc]
            def _send(self, sent: Sent) -> None:
                self.send_response(200)
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True
                piece = b'{"choices": [' + b"x" * 2**20
                try:
                    for _ in range(300):
                        self.wfile.write(piece)
                except ConnectionError:
                    return

        return Handler


def test_a_reply_of_300_mb_takes_no_memory() -> None:
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    with EndlessServer() as server, pytest.raises(Unanswered, match="longer than 8 MB and was not read on"):
        asked(server.base_url)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before < 100 * 2**20
