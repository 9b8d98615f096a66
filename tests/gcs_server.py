"""A bucket in memory: the part of Google Cloud Storage's JSON API that gcsfs, google-cloud-storage and tensorstore use.

Source: https://cloud.google.com/storage/docs/json_api/v1
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Objects = dict[str, tuple[bytes, int]]  # content and generation, by "bucket/name"
PAGE = 5  # objects a page of a listing: few, so that every listing has several


class Bucket(ThreadingHTTPServer):
    """Serves on loopback. `objects` is what it holds; `log` what it was asked; `broken`, `writes_left` what fails."""

    daemon_threads = True
    request_queue_size = 128  # the clients open many connections at once; one that is dropped is tried again after 1 s

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: Objects = {}
        self.uploads: dict[str, tuple[str, bytes, dict[str, str]]] = {}
        self.log: list[tuple[str, str]] = []
        self.broken = ""  # a regular expression of "METHOD path"; what matches is forbidden
        self.writes_left: int | None = None  # after so many, every further one is forbidden
        self.lock = threading.RLock()
        self.clock = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client may leave."""

    def put(self, name: str, content: bytes) -> int:
        """Puts an object there by another hand than a client's."""
        with self.lock:
            self.clock += 1
            self.objects[name] = (bytes(content), self.clock)
            return self.clock

    def names(self, folder: str) -> set[str]:
        """Returns what lies in a folder ("bucket/run"), one level deep."""
        with self.lock:
            return {name[len(folder) + 1 :].split("/")[0] for name in self.objects if name.startswith(f"{folder}/")}


@contextlib.contextmanager
def serving() -> Iterator[Bucket]:
    """Gives a bucket that answers until the end."""
    with Bucket() as bucket:
        thread = threading.Thread(target=bucket.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield bucket
        finally:
            bucket.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two packets, and the second would wait 40 ms
    server: Bucket  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what is asked is in `Bucket.log`."""

    def _handle(self) -> None:
        address = urlsplit(self.path)
        self.query = dict(parse_qsl(address.query))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            self.server.log.append((self.command, unquote(self.path)))
            is_broken = self.server.broken and re.search(self.server.broken, f"{self.command} {unquote(self.path)}")
            if self.command != "GET" and self.server.writes_left is not None:
                self.server.writes_left -= 1
                is_broken = is_broken or self.server.writes_left < 0
            if is_broken:
                return self._fail(403, "forbidden by the test")
            for method, pattern, answer in _ROUTES:
                found = re.fullmatch(pattern, address.path)
                if found and self.command == method:
                    return answer(self, *map(unquote, found.groups()), body=body)
            self._fail(501, f"{self.command} {self.path} is not served")

    do_GET = do_POST = do_PUT = do_DELETE = _handle

    def _bucket(self, bucket: str, body: bytes) -> None:
        self._answer({"kind": "storage#bucket", "name": bucket, "id": bucket})

    def _list(self, bucket: str, body: bytes) -> None:
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter")
        items, prefixes = {}, {}
        for full in sorted(self.server.objects):
            name = full[len(bucket) + 1 :]
            bounds = self.query.get("startOffset", "") <= name < self.query.get("endOffset", "\U0010ffff")
            if not full.startswith(f"{bucket}/") or not name.startswith(prefix) or not bounds:
                continue
            if delimiter and delimiter in name[len(prefix) :]:
                prefixes[prefix + name[len(prefix) :].split(delimiter)[0] + delimiter] = None
            else:
                items[name] = self._metadata(full)
        after = self.query.get("pageToken", "")
        left = sorted(name for name in {**items, **prefixes} if name > after)
        size = min(PAGE, int(self.query.get("maxResults", PAGE)))
        page: dict[str, Any] = {"kind": "storage#objects", "items": [items[n] for n in left[:size] if n in items]}
        page |= {"prefixes": [n for n in left[:size] if n in prefixes]}
        self._answer(page | ({"nextPageToken": left[size - 1]} if len(left) > size else {}))

    def _get(self, bucket: str, name: str, body: bytes) -> None:
        full = f"{bucket}/{name}"
        content, generation = self.server.objects.get(full, (b"", 0))
        if not generation:
            return self._fail(404, f"No such object: {full}")
        if self.query.get("ifGenerationNotMatch") == str(generation):
            return self._fail(304, "not modified")
        if self.query.get("ifGenerationMatch", str(generation)) != str(generation):
            return self._fail(412, "conditionNotMet")
        if self.query.get("alt") != "media":
            return self._answer(self._metadata(full))
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers = {"x-goog-generation": str(generation), "Content-Type": "application/octet-stream"}
        if asked is None:
            return self._send(200, content, headers)
        start, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        if start >= len(content):
            return self._fail(416, "requested range not satisfiable")
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        self._send(206, content[start : end + 1], headers)

    def _delete(self, bucket: str, name: str, body: bytes) -> None:
        if self.server.objects.pop(f"{bucket}/{name}", None) is None:
            return self._fail(404, f"No such object: {bucket}/{name}")
        self._send(204, b"", {})

    def _rewrite(self, bucket: str, name: str, to_bucket: str, to_name: str, body: bytes) -> None:
        content, generation = self.server.objects.get(f"{bucket}/{name}", (b"", 0))
        if not generation:
            return self._fail(404, f"No such object: {bucket}/{name}")
        self.server.put(f"{to_bucket}/{to_name}", content)
        self._answer(
            {"kind": "storage#rewriteResponse", "done": True, "resource": self._metadata(f"{to_bucket}/{to_name}")}
        )

    def _upload(self, bucket: str, body: bytes) -> None:
        kind, name = self.query["uploadType"], self.query.get("name")
        if kind == "media":
            self._store(f"{bucket}/{name}", body, self.query)
        elif kind == "multipart":  # a part of JSON, and the content; each ends with one line end
            boundary = re.search('boundary="?([^";]+)', self.headers["Content-Type"])
            assert boundary is not None
            parts = body.split(f"--{boundary[1]}".encode())[1:3]
            told, content = (re.sub(rb"\r?\n\Z", b"", re.split(rb"\r?\n\r?\n", part, maxsplit=1)[1]) for part in parts)
            self._store(f"{bucket}/{name or json.loads(told)['name']}", content, self.query)
        else:
            session = str(len(self.server.uploads))
            name = name or json.loads(body)["name"]
            self.server.uploads[session] = (f"{bucket}/{name}", b"", self.query)
            self._send(200, b"", {"Location": f"{self.server.url}/session/{session}"})

    def _continue(self, session: str, body: bytes) -> None:
        full, before, query = self.server.uploads[session]
        content = before + body
        told = self.headers.get("Content-Range", "bytes */*")
        if told.endswith("/*"):  # there is more to come
            self.server.uploads[session] = (full, content, query)
            return self._send(308, b"", {"Range": f"bytes=0-{len(content) - 1}"} if content else {})
        self._store(full, content, query)

    def _store(self, full: str, content: bytes, query: dict[str, str]) -> None:
        before = self.server.objects.get(full, (b"", 0))[1]
        if query.get("ifGenerationMatch", str(before)) != str(before):
            return self._fail(412, "conditionNotMet")
        self.server.put(full, content)
        self._answer(self._metadata(full))

    def _metadata(self, full: str) -> dict[str, Any]:
        (bucket, name), (content, generation) = full.split("/", 1), self.server.objects[full]
        when = "2024-01-01T00:00:00.000Z"
        about = {"kind": "storage#object", "bucket": bucket, "name": name, "size": str(len(content))}
        about |= {"generation": str(generation), "metageneration": "1", "timeCreated": when, "updated": when}
        md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
        return about | {"md5Hash": md5, "storageClass": "STANDARD", "contentType": "application/octet-stream"}

    def _answer(self, content: Any) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json; charset=UTF-8"})

    def _fail(self, code: int, message: str) -> None:
        error = {"error": {"code": code, "message": message, "errors": [{"message": message, "reason": message}]}}
        self._send(code, b"" if code == 304 else json.dumps(error).encode(), {"Content-Type": "application/json"})

    def _send(self, code: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        try:
            self.end_headers()
            self.wfile.write(content)
        except OSError:  # the client wants it no more
            self.close_connection = True


_OBJECTS = "/storage/v1/b/([^/]+)/o"
_ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/storage/v1/b/([^/]+)", _Handler._bucket),
    ("GET", _OBJECTS, _Handler._list),
    ("GET", f"(?:/download)?{_OBJECTS}/(.+)", _Handler._get),
    ("POST", f"{_OBJECTS}/([^/]+)/rewriteTo/b/([^/]+)/o/([^/]+)", _Handler._rewrite),
    ("DELETE", f"{_OBJECTS}/(.+)", _Handler._delete),
    ("POST", f"/upload{_OBJECTS}", _Handler._upload),
    ("POST", "/session/([0-9]+)", _Handler._continue),
    ("PUT", "/session/([0-9]+)", _Handler._continue),
]
