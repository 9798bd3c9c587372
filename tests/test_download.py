"""The downloader against a server on 127.0.0.1 that can misbehave in every way we know."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
import time

import rnn_utils as ru

import pytest

CONTENT = bytes(range(256)) * 1200  # 300 kB: several chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT at any path, in the manner the server was told."""

    def do_GET(self):
        server = self.server
        server.requests.append(self.headers.get("Range"))
        start = 0
        if self.path.endswith("missing.bin"):
            return self.send_error(404)
        if self.headers.get("Range") and server.mode != "no ranges":
            start = int(self.headers["Range"].split("=")[1].rstrip("-"))
            if start >= len(CONTENT):
                return self.send_error(416)
            self.send_response(206)
        else:
            self.send_response(200)
        body = server.content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        first_time = len(server.requests) == 1
        if server.mode == "always truncated" or (server.mode == "breaks once" and first_time):
            body = body[: len(body) // 2]
        if server.mode == "stalls":
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            server.release.wait(10)
            return None
        return self.wfile.write(body)

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


def assert_nothing_under_the_final_name(path):
    assert not path.exists()


def test_good_file_arrives_whole_and_alone(server, tmp_path):
    path = tmp_path / "new folder" / "file.bin"
    ru.download(f"{server.url}/file.bin", path, SHA256)
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_broken_transfer_resumes_where_it_broke(server, tmp_path):
    server.mode = "breaks once"
    path = tmp_path / "file.bin"
    ru.download(f"{server.url}/file.bin", path, SHA256)
    assert path.read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={len(CONTENT) // 2}-"]


def test_next_run_resumes_from_what_the_last_one_left(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    ru.download(f"{server.url}/file.bin", tmp_path / "file.bin", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.requests == ["bytes=1000-"]


def test_server_without_ranges_sends_everything_again(server, tmp_path):
    server.mode = "no ranges"
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    ru.download(f"{server.url}/file.bin", tmp_path / "file.bin", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("leftover", [b"x" * 1000, CONTENT + b"more", CONTENT])
def test_leftover_of_any_kind_does_no_harm(server, tmp_path, leftover):
    (tmp_path / "file.bin.part").write_bytes(leftover)
    ru.download(f"{server.url}/file.bin", tmp_path / "file.bin", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_always_truncated_gives_up_after_three_tries_and_keeps_the_part(server, tmp_path):
    server.mode = "always truncated"
    path = tmp_path / "file.bin"
    with pytest.raises(ru.DataUnavailable, match="broke off 3 times"):
        ru.download(f"{server.url}/file.bin", path, SHA256)
    assert_nothing_under_the_final_name(path)
    assert len(server.requests) == 3
    assert 0 < (tmp_path / "file.bin.part").stat().st_size < len(CONTENT)


def test_wrong_checksum_is_refused_and_not_kept(server, tmp_path):
    server.content = b"<html>log in to the campus network</html>" * 10
    path = tmp_path / "file.bin"
    with pytest.raises(ru.DataUnavailable, match="not the expected file"):
        ru.download(f"{server.url}/file.bin", path, SHA256)
    assert list(tmp_path.iterdir()) == []


def test_404_is_final(server, tmp_path):
    path = tmp_path / "missing.bin"
    with pytest.raises(ru.DataUnavailable, match="404"):
        ru.download(f"{server.url}/missing.bin", path, SHA256)
    assert_nothing_under_the_final_name(path)
    assert len(server.requests) == 1


def test_stalled_transfer_ends(server, tmp_path, monkeypatch):
    server.mode = "stalls"
    monkeypatch.setattr(ru, "STALL_SECONDS", 0.3)
    path = tmp_path / "file.bin"
    with pytest.raises(ru.DataUnavailable, match="broke off"):
        ru.download(f"{server.url}/file.bin", path, SHA256)
    assert_nothing_under_the_final_name(path)


def test_host_that_never_answers_is_tried_once(tmp_path, monkeypatch):
    monkeypatch.setattr(ru, "CONNECT_SECONDS", 0.3)
    with socket.socket() as silent:  # accepts no one: connections wait in its queue
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file.bin"
        started = time.perf_counter()
        with pytest.raises(ru.DataUnavailable, match="no answer within"):
            ru.download(url, tmp_path / "file.bin", SHA256)
    assert time.perf_counter() - started < 3 * 0.3 + 5
    assert list(tmp_path.iterdir()) == []


def test_closed_port_is_one_line_with_the_way_out(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ru.DataUnavailable, match="by hand"):
        ru.download(f"http://127.0.0.1:{port}/x", tmp_path / "x", SHA256)


def test_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ru.DataUnavailable, match="cannot write"):
        ru.download("http://127.0.0.1:9/x", tmp_path / "file" / "x", SHA256)


def test_data_file_prefers_the_disk_then_the_mirror(server, tmp_path, monkeypatch):
    monkeypatch.setitem(ru.DATA_SETS, "toy", ("http://127.0.0.1:9", {"a.bin": SHA256}))
    monkeypatch.setenv("RNN_DATA_MIRROR", f"{server.url}/mirror/")
    monkeypatch.setenv("RNN_DATA_DIR", str(tmp_path / "by environment"))
    path = ru.data_file("toy", "a.bin")
    assert path == tmp_path / "by environment" / "toy" / "a.bin"
    assert ru.data_file("toy", "a.bin") == path and len(server.requests) == 1
    other = ru.data_file("toy", "a.bin", data_dir=tmp_path / "by flag")
    assert other.read_bytes() == CONTENT and "by flag" in str(other)


@pytest.mark.parametrize("how", ["flag", "environment"])
def test_offline_opens_no_connection(server, tmp_path, monkeypatch, how):
    monkeypatch.setenv("RNN_DATA_MIRROR", server.url)
    if how == "environment":
        monkeypatch.setenv("RNN_OFFLINE", "1")
    with pytest.raises(ru.DataUnavailable, match="--offline"):
        ru.data_file("names", "Arabic.txt", tmp_path, offline=how == "flag")
    assert server.requests == []


def test_every_pinned_file_has_an_address_and_a_checksum():
    for base, files in ru.DATA_SETS.values():
        assert base.startswith("https://") and files
        assert all(len(digest) == 64 and int(digest, 16) for digest in files.values())
