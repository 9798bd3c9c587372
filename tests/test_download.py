"""The downloader against a server on 127.0.0.1 that can misbehave in every way we know."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
import time

import pytest

import rnn_data as rd

CONTENT = bytes(range(256)) * 1200  # 300 kB: several chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT at any path, in the manner the server was told."""

    def do_GET(self):
        server = self.server
        server.requests.append("GET")
        if server.mode == "says nothing":
            server.release.wait(10)
        if self.path.endswith("missing.bin"):
            return self.send_error(404)
        self.send_response(200)
        body = server.content
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.mode in ("truncated", "stalls"):
            body = body[: len(body) // 2]
        self.wfile.write(body)
        if server.mode == "stalls":
            self.wfile.flush()
            server.release.wait(10)
        return None

    def log_message(self, *_):
        pass


@pytest.fixture()
def server(monkeypatch):
    monkeypatch.delenv("RNN_OFFLINE", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http_server.mode, http_server.content, http_server.requests = "good", CONTENT, []
    http_server.release = threading.Event()
    http_server.url = f"http://127.0.0.1:{http_server.server_port}"
    thread = threading.Thread(target=http_server.serve_forever, daemon=True)
    thread.start()
    yield http_server
    http_server.release.set()
    http_server.shutdown()
    http_server.server_close()
    thread.join()


def test_good_file_arrives_whole_and_alone(server, tmp_path):
    path = tmp_path / "new folder" / "file.bin"
    rd.download(f"{server.url}/file.bin", path, SHA256)
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("leftover", [b"x" * 1000, CONTENT + b"more", CONTENT])
def test_leftover_of_any_kind_does_no_harm(server, tmp_path, leftover):
    (tmp_path / "file.bin.part").write_bytes(leftover)
    rd.download(f"{server.url}/file.bin", tmp_path / "file.bin", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_transfer_cut_short_is_refused_and_leaves_nothing(server, tmp_path):
    server.mode = "truncated"
    with pytest.raises(rd.DataUnavailable, match=r"not all of it.*try later.*by hand"):
        rd.download(f"{server.url}/file.bin", tmp_path / "file.bin", SHA256)
    assert server.requests == ["GET"] and list(tmp_path.iterdir()) == []


def test_wrong_checksum_is_refused_and_not_kept(server, tmp_path):
    server.content = b"<html>log in to the campus network</html>" * 10
    path = tmp_path / "file.bin"
    with pytest.raises(rd.DataUnavailable, match="not the expected file"):
        rd.download(f"{server.url}/file.bin", path, SHA256)
    assert list(tmp_path.iterdir()) == []


def test_404_is_final(server, tmp_path):
    path = tmp_path / "missing.bin"
    with pytest.raises(rd.DataUnavailable, match="404"):
        rd.download(f"{server.url}/missing.bin", path, SHA256)
    assert list(tmp_path.iterdir()) == [] and server.requests == ["GET"]


def assert_given_up_at_once(url, folder, monkeypatch):
    monkeypatch.setattr(rd, "TIME_OUT_SECONDS", 0.3)
    started = time.perf_counter()
    with pytest.raises(rd.DataUnavailable, match=r"timed out.*try later"):
        rd.download(url, folder / "file.bin", SHA256)
    assert time.perf_counter() - started < 3 * 0.3 + 5
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("mode", ["stalls", "says nothing"])
def test_server_that_stops_in_the_middle_or_says_nothing_is_given_up(
    mode, server, tmp_path, monkeypatch
):
    server.mode = mode
    assert_given_up_at_once(f"{server.url}/file.bin", tmp_path, monkeypatch)
    assert server.requests == ["GET"]


def test_host_that_never_answers_is_given_up(tmp_path, monkeypatch):
    with socket.socket() as silent:  # accepts no one: connections wait in its queue
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file.bin"
        assert_given_up_at_once(url, tmp_path, monkeypatch)


def test_the_time_out_of_sockets_is_as_before(server, tmp_path):
    socket.setdefaulttimeout(77)
    try:
        rd.download(f"{server.url}/file.bin", tmp_path / "a.bin", SHA256)
        assert socket.getdefaulttimeout() == 77
        with pytest.raises(rd.DataUnavailable):
            rd.download(f"{server.url}/missing.bin", tmp_path / "b.bin", SHA256)
        assert socket.getdefaulttimeout() == 77
    finally:
        socket.setdefaulttimeout(None)


def test_no_progress_bar_where_there_is_no_terminal(server, tmp_path, capsys):
    rd.download(f"{server.url}/file.bin", tmp_path / "file.bin", SHA256)
    assert capsys.readouterr() == ("", "")


def test_closed_port_is_one_line_with_the_way_out(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(rd.DataUnavailable, match="by hand"):
        rd.download(f"http://127.0.0.1:{port}/x", tmp_path / "x", SHA256)


def test_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(rd.DataUnavailable, match=r"cannot download.*file.*by hand"):
        rd.download("http://127.0.0.1:9/x", tmp_path / "file" / "x", SHA256)


def test_data_file_prefers_the_disk_then_the_mirror(server, tmp_path, monkeypatch):
    monkeypatch.setitem(rd.DATA_SETS, "toy", ("http://127.0.0.1:9", {"a.bin": SHA256}))
    monkeypatch.setenv("RNN_DATA_MIRROR", f"{server.url}/mirror/")
    monkeypatch.setenv("RNN_DATA_DIR", str(tmp_path / "by environment"))
    path = rd.data_file("toy", "a.bin")
    assert path == tmp_path / "by environment" / "toy" / "a.bin"
    assert rd.data_file("toy", "a.bin") == path and server.requests == ["GET"]
    other = rd.data_file("toy", "a.bin", data_dir=tmp_path / "by flag")
    assert other.read_bytes() == CONTENT and "by flag" in str(other)


@pytest.mark.parametrize("how", ["flag", "environment"])
def test_offline_opens_no_connection(server, tmp_path, monkeypatch, how):
    monkeypatch.setenv("RNN_DATA_MIRROR", server.url)
    if how == "environment":
        monkeypatch.setenv("RNN_OFFLINE", "1")
    with pytest.raises(rd.DataUnavailable, match="--offline"):
        rd.data_file("names", "Arabic.txt", tmp_path, offline=how == "flag")
    assert server.requests == []


def test_every_pinned_file_has_an_address_and_a_checksum():
    for base, files in rd.DATA_SETS.values():
        assert base.startswith("https://") and files
        assert all(len(digest) == 64 and int(digest, 16) for digest in files.values())
