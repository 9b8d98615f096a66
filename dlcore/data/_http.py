"""Append what a web server has to a file, going on from what is there; the server may misbehave as it likes."""

from __future__ import annotations

import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from io import FileIO
from typing import Any

_CHUNK = 1 << 18
_LEAST_BYTES = 1024  # that must come within a timeout: a byte now and then is a stall too
_CONTENT_RANGE = re.compile(r"bytes (\d+)-")
_FAULTS = (OSError, http.client.HTTPException, ValueError)


class Broken(Exception):
    """The connection broke; another try may go on from there."""


class Refused(Exception):
    """The server does not have the file, or cannot be reached."""


def length(file: FileIO) -> int:
    """Returns how many bytes an open file has."""
    return os.fstat(file.fileno()).st_size


def receive(url: str, part: FileIO, size: int, timeout: float, show: Callable[[int], None]) -> None:
    """Appends the missing bytes of a file of `size` bytes.

    Args:
        url: where they are.
        part: what has come so far; unbuffered, in append mode.
        size: the bytes of the whole.
        timeout: seconds without an answer, or with less than a kibibyte.
        show: is told how many bytes there are.

    Raises:
        Broken: the connection ended or stalled on the way.
        Refused: there is no such file, or it has another size.
        OSError: the bytes cannot be written.
    """
    done = length(part)
    if done > size:
        part.truncate(0)
        done = 0
    with _answer(url, done, part, timeout) as response:
        done = _start(response, done)
        part.truncate(done)
        declared = response.length  # None where the server does not say
        if declared is not None and declared != size - done:
            raise Refused(f"a file of {done + declared} bytes")
        window, recent = time.monotonic() + timeout, 0
        while chunk := _next(response, timeout):
            done, recent = done + len(chunk), recent + len(chunk)
            if done > size:
                part.truncate(0)
                raise Refused(f"more than {size} bytes")
            _write(part, chunk)
            show(done)
            if time.monotonic() > window:
                if recent < _LEAST_BYTES:
                    raise Broken(f"a stall, {recent} bytes in {timeout:g} s")
                window, recent = time.monotonic() + timeout, 0
    if done < size:
        raise Broken(f"a connection that dropped after {done} bytes")


def _answer(url: str, done: int, part: FileIO, timeout: float) -> Any:
    headers = {"User-Agent": "dlcore", "Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    try:
        return _opener().open(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and done:  # what is there does not belong to this file
            part.truncate(0)
            raise Broken("HTTP status 416") from None
        loop = 300 <= error.code < 400
        raise Refused("a redirect that leads nowhere" if loop else f"HTTP status {error.code}") from None
    except _FAULTS as error:
        raise Refused(_in_words(error, timeout)) from None


def _opener() -> urllib.request.OpenerDirector:
    """Without the handlers of `file:` and `ftp:`, which a redirect could lead to."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


def _start(response: Any, done: int) -> int:
    """Returns where in the file the answer begins."""
    if response.status == 200:  # a server that ignores ranges sends everything
        return 0
    first = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    if response.status != 206 or first is None or int(first[1]) != done:
        raise Refused(f"HTTP status {response.status} with {response.headers.get('Content-Range', 'no range')[:40]!r}")
    return done


def _next(response: Any, timeout: float) -> bytes:
    try:
        return response.read1(_CHUNK)
    except _FAULTS as error:
        raise Broken(_in_words(error, timeout)) from None


def _write(part: FileIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[part.write(rest) :]


def _in_words(error: BaseException, timeout: float) -> str:
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, TimeoutError):
        return f"no answer within {timeout:g} s"
    words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return " ".join(words.split())[:200]
