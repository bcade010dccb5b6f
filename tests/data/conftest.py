"""A local web server that offers small data sets, and processes that load them."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaxcnn.data import sources

from .samples import ROOT, Sample, make_sample


class Server:
    """Offers files on 127.0.0.1 and counts what was fetched.

    Attributes:
      files: What it offers; may be changed at any time.
      fetched: The names asked for, in order.
      stall: When set, an answer stops in the middle and waits for `resume`.
      stalled: Set once an answer waits.
      cut: When set, connections close in the middle of an answer.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.stall = False
        self.cut = False
        self.stalled = threading.Event()
        self.resume = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                outer.fetched.append(name)
                data = outer.files.get(name)
                if data is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                half = len(data) // 2
                self.wfile.write(data[:half])
                if outer.cut:
                    return
                if outer.stall:
                    outer.stalled.set()
                    outer.resume.wait(30)
                    return
                self.wfile.write(data[half:])

            def log_message(self, format: str, *args: object) -> None:
                """Keeps the test output clean."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        """Stops serving and frees the port."""
        self.resume.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An empty server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Server()
    yield running
    running.close()


@pytest.fixture
def offer(server: Server, monkeypatch: pytest.MonkeyPatch):
    """A function that puts a set's small twin on the server and in the catalog.

    Its argument `replace` changes published files before their checksums are taken.
    """

    def offer_sample(name: str, replace: dict[str, bytes] | None = None) -> Sample:
        sample = make_sample(name)
        server.files = sample.packed | (replace or {})
        downloads = tuple(
            sources.Download(f"{server.url}/{file}", len(data), hashlib.sha256(data).hexdigest())
            for file, data in server.files.items()
        )
        source = dataclasses.replace(sample.source, downloads=downloads)
        monkeypatch.setitem(sources.SOURCES, name, source)
        return dataclasses.replace(sample, source=source)

    return offer_sample


@pytest.fixture
def spawn(tmp_path: Path):
    """A function that loads a set in a process of its own, see `child.py`."""
    children: list[subprocess.Popen[str]] = []

    def start(sample: Sample, data_dir: Path, **options: object) -> subprocess.Popen[str]:
        order = {
            "name": sample.source.name,
            "data_dir": str(data_dir),
            "downloads": [dataclasses.astuple(file) for file in sample.source.downloads],
            **options,
        }
        child = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("child.py")), json.dumps(order)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()
