"""Downloads from servers that misbehave: the file is whole under its name or not there, and the error says why."""

from __future__ import annotations

import hashlib
import http.server
import os
import resource
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from dlcore import files
from dlcore.data import _download, data_dir, fetch
from dlcore.errors import DataError

CONTENT = np.random.default_rng(0).bytes(1_000_000)
SHA256, SIZE = hashlib.sha256(CONTENT).hexdigest(), len(CONTENT)
WRONG = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])


class Handler(http.server.BaseHTTPRequestHandler):
    """The path says what to do."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str | None]] = []

    def log_message(self, *_):
        pass

    def do_GET(self):
        what, wanted = self.path.strip("/"), self.headers.get("Range")
        self.seen.append((what, wanted))
        self.close_connection = True
        try:
            getattr(self, what)(int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in ({"Content_Length": len(body)} | headers).items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def good(self, start):
        part = CONTENT[start:]
        span = {"Content_Range": f"bytes {start}-{SIZE - 1}/{SIZE}"} if start else {}
        self.answer(206 if start else 200, part, **span)

    def without_ranges(self, _):
        self.answer(200, CONTENT)

    def without_length(self, _):
        self.answer(200, CONTENT, Content_Length=None)

    def wrong(self, _):
        self.answer(200, WRONG)

    def missing(self, _):
        self.answer(404, b"<html>not here</html>")

    def failing(self, _):
        self.answer(500)

    def empty_answer(self, _):
        self.answer(204)

    def loop(self, _):
        self.answer(302, Location="/loop")

    def to_file(self, _):
        self.answer(302, Location=f"file://{__file__}")

    def to_ftp(self, _):
        self.answer(302, Location="ftp://127.0.0.1/x")

    def to_good(self, _):
        self.answer(302, Location="/good")

    def dropping(self, start):
        """A third of a megabyte, then the connection ends."""
        part = CONTENT[start:][:333_334]
        span = {"Content_Range": f"bytes {start}-{SIZE - 1}/{SIZE}"} if start else {}
        self.answer(206 if start else 200, part, Content_Length=SIZE - start, **span)

    def dropping_without_ranges(self, _):
        self.answer(200, CONTENT[:500_000], Content_Length=SIZE)

    def dropping_chunks(self, _):
        self.answer(200, b"%x\r\n%s" % (SIZE, CONTENT[:5000]), Content_Length=None, Transfer_Encoding="chunked")

    def declares_more(self, _):
        self.answer(200, CONTENT, Content_Length=SIZE + 10**15)

    def declares_less(self, _):
        self.answer(200, CONTENT, Content_Length=10)

    def declares_nonsense(self, _):
        self.answer(200, CONTENT, Content_Length="-5")

    def sends_more(self, _):
        self.answer(200, Content_Length=None)
        for _ in range(200):
            self.wfile.write(bytes(1_000_000))
            self.server.sent += 1_000_000  # pyright: ignore[reportAttributeAccessIssue]

    def other_range(self, start):
        if not start:
            return self.dropping(0)
        self.answer(206, CONTENT[start - 1 :], Content_Range=f"bytes {start - 1}-{SIZE - 1}/{SIZE}")

    def no_such_range(self, start):
        return self.answer(416) if start else self.good(0)

    def silent(self, _):
        time.sleep(1.5)

    def stalling(self, start):
        if start > SIZE // 2:
            return self.good(start)
        self.answer(200, CONTENT[:600_000], Content_Length=SIZE)
        self.wfile.flush()
        time.sleep(1.5)

    def dripping(self, _):
        self.answer(200, b"", Content_Length=SIZE)
        for _ in range(100):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.05)

    def no_http(self, _):
        self.wfile.write(b"SSH-2.0-OpenSSH_9\r\n")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads, block_on_close, request_queue_size, sent = True, False, 64, 0


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server(("127.0.0.1", 0), Handler) as running:
        Handler.seen = []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def get(server, tmp_path):
    def call(*paths, **options):
        urls = [f"http://127.0.0.1:{server.server_port}/{path}" for path in paths]
        timeout = 0.3 if {"silent", "stalling", "dripping"} & set(paths) else 20
        given = {"sha256": SHA256, "size": SIZE, "folder": tmp_path / "data", "timeout": timeout} | options
        return fetch("file.bin", urls, **given)

    return call


def listing(tmp_path):
    return sorted(os.listdir(tmp_path / "data"))


def refused(get, tmp_path, *paths, **options):
    with pytest.raises(DataError) as caught:
        get(*paths, **options)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(str(tmp_path / "data" / "file.bin"))
    assert "file.bin" not in listing(tmp_path)
    return message


@pytest.mark.parametrize("how", ["good", "without_ranges", "without_length", "to_good"])
def test_a_file_is_downloaded_once_and_then_found(get, tmp_path, how):
    path = get(how)
    assert path.read_bytes() == CONTENT and listing(tmp_path) == ["file.bin"]
    requests = len(Handler.seen)
    assert get("failing") == path and len(Handler.seen) == requests


MIRRORS = {
    "missing": "HTTP status 404",
    "failing": "HTTP status 500",
    "empty_answer": "HTTP status 204",
    "loop": "a redirect that leads nowhere",
    "to_file": "",
    "to_ftp": "unknown url type: ftp",
    "wrong": f"SHA-256 {hashlib.sha256(WRONG).hexdigest()}",
    "declares_more": f"a file of {SIZE + 10**15} bytes",
    "declares_less": "a file of 10 bytes",
    "sends_more": f"more than {SIZE} bytes",
    "silent": "no answer within 0.3 s",
    "dripping": "a stall",
    "no_http": "SSH-2.0",
    "dropping_without_ranges": "a connection that dropped after 500000 bytes",
    "dropping_chunks": "",
}


@pytest.mark.few(4)
@pytest.mark.parametrize("fault", MIRRORS)
def test_a_faulty_mirror_is_named_with_its_fault_and_the_next_one_asked(get, tmp_path, fault):
    message = refused(get, tmp_path, fault)
    assert f"/{fault}: {MIRRORS[fault]}" in message and SHA256 in message and str(SIZE) in message
    assert get(fault, "good").read_bytes() == CONTENT
    assert listing(tmp_path) == ["file.bin"]


def test_a_nonsensical_length_harms_nothing(get):
    assert get("declares_nonsense", "good").read_bytes() == CONTENT


def test_every_failure_is_told_in_one_line_with_what_to_put_where(get, tmp_path):
    message = refused(get, tmp_path, "missing", "wrong")
    assert "/missing: HTTP status 404; http" in message and "/wrong: SHA-256" in message
    assert message.startswith(f"{tmp_path}/data/file.bin: expected {SIZE} bytes with SHA-256 {SHA256}, found http")
    assert message.endswith("/missing by other means and put it there")


def test_no_network_at_all_says_which_file_to_put_where(tmp_path):
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/file"
        with pytest.raises(DataError, match="refused.*get http://127.0.0.1:.*put it there"):
            fetch("file.bin", [url], sha256=SHA256, size=SIZE, folder=tmp_path)
    (tmp_path / "file.bin").write_bytes(CONTENT)
    assert fetch("file.bin", [url], sha256=SHA256, size=SIZE, folder=tmp_path) == tmp_path / "file.bin"


def test_a_name_that_no_server_has_is_an_error_of_the_mirror(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: (_ for _ in ()).throw(socket.gaierror(-2, "unknown")))
    with pytest.raises(DataError, match="https://example.invalid/f: unknown"):
        fetch("f", ["https://example.invalid/f"], sha256=SHA256, size=SIZE, folder=tmp_path)


def test_a_wrong_file_under_the_name_is_replaced(get, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file.bin").write_bytes(WRONG)
    assert get("good").read_bytes() == CONTENT


def test_what_is_wrong_is_not_kept_for_later_either(get, tmp_path):
    refused(get, tmp_path, "wrong")
    assert (tmp_path / "data/file.bin.part").stat().st_size == 0


def test_more_bytes_than_declared_are_not_awaited(get, tmp_path, server):
    tracemalloc.start()
    refused(get, tmp_path, "sends_more")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert server.sent < 50_000_000 and peak < 30_000_000
    assert (tmp_path / "data/file.bin.part").stat().st_size == 0


def test_a_dropped_connection_goes_on_where_it_broke(get):
    assert get("dropping").read_bytes() == CONTENT
    assert Handler.seen == [("dropping", None), ("dropping", "bytes=333334-"), ("dropping", "bytes=666668-")]


def test_a_stalled_connection_goes_on_where_it_broke(get):
    assert get("stalling").read_bytes() == CONTENT
    assert Handler.seen == [("stalling", None), ("stalling", "bytes=600000-")]


def test_a_later_call_goes_on_from_what_there_is(get, tmp_path):
    refused(get, tmp_path, "dropping_without_ranges")
    assert (tmp_path / "data/file.bin.part").read_bytes() == CONTENT[:500_000]
    assert get("good").read_bytes() == CONTENT
    assert Handler.seen[-1] == ("good", "bytes=500000-")
    assert listing(tmp_path) == ["file.bin"]


def test_a_server_that_ignores_ranges_is_asked_once(get, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file.bin.part").write_bytes(CONTENT[:500_000])
    assert get("without_ranges").read_bytes() == CONTENT
    assert Handler.seen == [("without_ranges", "bytes=500000-")]


def test_a_whole_part_asks_no_server(get, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file.bin.part").write_bytes(CONTENT)
    assert get("failing").read_bytes() == CONTENT and not Handler.seen


@pytest.mark.parametrize("part", [bytes(400_000), bytes(SIZE), bytes(SIZE + 5)])
@pytest.mark.parametrize("how", ["good", "without_ranges", "no_such_range"])
def test_a_part_with_other_content_costs_only_time(get, tmp_path, part, how):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file.bin.part").write_bytes(part)
    assert get(how).read_bytes() == CONTENT


def test_another_range_than_asked_for_is_not_appended(get, tmp_path):
    assert "HTTP status 206 with 'bytes 333333-" in refused(get, tmp_path, "other_range")


def test_a_full_disk_leaves_nothing(get, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_001, limits[1]))
    try:
        message = refused(get, tmp_path, "good")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"expected to write {SIZE} bytes, found File too large" in message
    assert listing(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_named(get, tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(DataError, match="expected to write 1000000 bytes, found File exists"):
        get("good")


def test_a_folder_under_the_name_is_no_file(get, tmp_path):
    (tmp_path / "data/file.bin").mkdir(parents=True)
    with pytest.raises(DataError, match="expected an ordinary file, found a folder"):
        get("good")


PROCESS = """
import sys
from dlcore.data._download import fetch
url, sha256, size, folder = sys.argv[1:]
print(fetch("file.bin", [url], sha256=sha256, size=int(size), folder=folder).stat().st_size)
"""


@pytest.mark.slow
def test_two_processes_at_once_both_get_a_good_file(server, tmp_path):
    url = f"http://127.0.0.1:{server.server_port}/dropping"
    command = [sys.executable, "-c", PROCESS, url, SHA256, str(SIZE), str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0].strip() for process in both] == [str(SIZE)] * 2
    assert (tmp_path / "file.bin").read_bytes() == CONTENT and os.listdir(tmp_path) == ["file.bin"]


def test_many_threads_at_once_all_get_a_good_file(get, tmp_path):
    results = []
    threads = [threading.Thread(target=lambda: results.append(get("dropping").read_bytes())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all(result == CONTENT for result in results)
    assert listing(tmp_path) == ["file.bin"]


def test_a_part_that_another_has_is_left_alone(get, tmp_path):
    (tmp_path / "data").mkdir()
    with _download._part_file(tmp_path / "data/file.bin") as held:
        held.write(b"another process is here")
        assert get("dropping").read_bytes() == CONTENT
        assert Path(held.name).read_bytes() == b"another process is here"
    assert listing(tmp_path) == ["file.bin", "file.bin.part"]


def test_nobody_else_gets_the_part_while_it_is_given_its_name(get, tmp_path, monkeypatch):
    replace, held = os.replace, []

    def watched(part, target):
        held.append(_download._locked(Path(part)) is None)
        replace(part, target)

    monkeypatch.setattr(os, "replace", watched)
    get("good")
    assert held == [True]


def test_a_part_that_was_given_its_name_meanwhile_is_not_written_to(tmp_path, monkeypatch):
    part, opened = tmp_path / "file.bin.part", open
    part.write_bytes(CONTENT)

    def renamed_behind(*arguments, **options):
        file = opened(*arguments, **options)
        part.rename(tmp_path / "file.bin")
        return file

    monkeypatch.setattr(_download, "open", renamed_behind, raising=False)
    assert _download._locked(part) is None


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../b", "a\\b", "c:b", "a\0", "/etc/passwd", 3])
def test_a_name_is_a_plain_file_name(tmp_path, name):
    with pytest.raises(ValueError, match="fetch name"):
        fetch(name, ["http://127.0.0.1/x"], sha256=SHA256, size=SIZE, folder=tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "x", "http://", "//host/x"])
def test_only_the_web_is_asked(tmp_path, url):
    with pytest.raises(ValueError, match="expected http or https"):
        fetch("file", [url], sha256=SHA256, size=SIZE, folder=tmp_path)


def test_the_other_arguments_are_checked(tmp_path):
    good = {"urls": ["http://127.0.0.1/x"], "sha256": SHA256, "size": SIZE}
    for name, values in {
        "urls": ["http://127.0.0.1/x", []],
        "sha256": ["", SHA256[1:], SHA256.upper(), None],
        "size": [0, -1, 2.0, True, None],
    }.items():
        for value in values:
            with pytest.raises(ValueError, match=f"fetch {name}: "):
                fetch("file", folder=tmp_path, **(good | {name: value}))


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_drawn_on_a_terminal_only(get, monkeypatch, capsys, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    get("good")
    out, err = capsys.readouterr()
    assert not out and bool(err) == terminal and ("file.bin" in err) == terminal


def test_a_bar_can_be_left_out(get, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    get("good", progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def no_places(monkeypatch):
    for name in ("DLCORE_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, "home/.cache/dlcore/data"),
        ("linux", {"XDG_CACHE_HOME": "{}/xdg"}, "xdg/dlcore/data"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "home/.cache/dlcore/data"),
        ("darwin", {}, "home/Library/Caches/dlcore/data"),
        ("win32", {"LOCALAPPDATA": "{}/local"}, "local/dlcore/data"),
        ("win32", {}, "home/AppData/Local/dlcore/data"),
        ("linux", {"DLCORE_DATA": "{}/mine", "XDG_CACHE_HOME": "{}/xdg"}, "mine"),
        ("linux", {"DLCORE_DATA": "~/mine"}, "home/mine"),
        ("linux", {"DLCORE_DATA": ""}, "home/.cache/dlcore/data"),
    ],
)
def test_data_live_in_the_cache_folder_of_the_platform(
    no_places, tmp_path, monkeypatch, platform, environment, expected
):
    monkeypatch.setattr(files.sys, "platform", platform)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    assert data_dir() == tmp_path / expected and (tmp_path / expected).is_dir()


def test_without_a_home_the_error_says_what_to_set(no_places, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("Could not determine home")))
    with pytest.raises(DataError, match="expected a home folder for downloaded data, found none; set DLCORE_DATA"):
        data_dir()


def test_a_home_that_cannot_be_written_is_named(no_places, tmp_path, monkeypatch):
    (tmp_path / "home").write_text("not a folder")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(DataError, match="home/.cache/dlcore/data: expected .* found .*cannot be made.*set DLCORE_DATA"):
        data_dir()
