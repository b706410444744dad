"""A small Hugging Face hub on loopback: what huggingface_hub asks of a model repository, answered from a folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REPOSITORY, COMMIT = "lab/tiny-wan", "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What is served, and how badly.

    Attributes
    ----------
    folder : Path
        Files of the repository.
    cut : dict
        Bytes after which the connection ends, by file, once.
    lies : dict
        Content sent in place of a file's own, of the same size.
    stalled : set of str
        Files of which half is sent, and then nothing.
    fetched : list of tuple
        Files that were asked for, in order, each with the first byte.
    """

    folder: Path
    url: str = ""
    cut: dict[str, int] = field(default_factory=dict)
    lies: dict[str, bytes] = field(default_factory=dict)
    stalled: set[str] = field(default_factory=set)
    fetched: list[tuple[str, int]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Files that were asked for."""
        return [name for name, _ in self.fetched]

    def tree(self) -> list[dict]:
        """As the hub lists them: sha256 of weights, Git's hash of the rest."""
        listed = []
        for path in sorted(each for each in self.folder.rglob("*") if each.is_file()):
            content = path.read_bytes()
            entry = {"type": "file", "path": path.relative_to(self.folder).as_posix(), "size": len(content)}
            entry["oid"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            if path.suffix == ".safetensors":
                sha256 = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 100}
            listed.append(entry)
        return listed


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Hub]:
    """A hub with one repository."""
    hub = Hub(folder)

    def name_is_stalled() -> bool:
        return bool(hub.stalled)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            """Say nothing."""

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            path = self.path.split("?")[0]
            if path.startswith(f"/api/models/{REPOSITORY}/tree/"):
                return self.send(json.dumps(hub.tree()).encode()) if COMMIT in path else self.fail("RevisionNotFound")
            prefix = f"/{REPOSITORY}/resolve/{COMMIT}/"
            if path.startswith("/api/") or not path.startswith(prefix):
                return self.fail("RepoNotFound")
            name = path.removeprefix(prefix)
            content = (hub.folder / name).read_bytes()
            etag = hashlib.sha256(content).hexdigest()
            if self.command == "HEAD":
                return self.send(content, etag)
            hub.fetched.append((name, self.first_byte()))
            self.send(hub.lies.get(name, content), etag, hub.cut.pop(name, None), stall=name in hub.stalled)

        def fail(self, code):
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def first_byte(self):
            return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])

        def send(self, content, etag=None, cut=None, stall=False):
            first, asked = self.first_byte(), "Range" in self.headers
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - first))
            self.send_header("X-Repo-Commit", COMMIT)
            if etag:
                self.send_header("ETag", f'"{etag}"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content[first : len(content) // 2 if stall else cut])
                self.close_connection = cut is not None
            while stall and name_is_stalled():
                time.sleep(0.05)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.stalled.clear()
        server.shutdown()
        server.server_close()
