"""Series of a provider's shape for a real Prometheus: a page that a test writes, and a Prometheus of the test's own that reads it."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from e2e.core.controllers import free_port
from e2e.kube import until
from e2e.sandbox.build import program


@contextmanager
def page(text: Callable[[], str]) -> Iterator[int]:
    """Answers every request with the text as it is then; gives the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def prometheus(page_port: int, job: str, folder: Path) -> Iterator[str]:
    """A Prometheus that reads the page twice a second, without labels of the scrape's own but `job` and `instance`; gives its URL."""
    jobs = [{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{page_port}"]}]}]
    config = {"global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"}, "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()
    command = [
        str(program("prometheus", "prometheus")),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _ready(url), 60, "Prometheus", log.read_text)
        yield url
    finally:
        process.kill()
        process.wait()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def scraped(url: str, counter: str, text: str) -> bool:
    """Whether all that the page counts has arrived, each of its series in two scrapes at least: a rate sees only what grows between two."""
    lines = [line for line in text.splitlines() if line.startswith(f"{counter}{{")]
    total = sum(int(line.rpartition(" ")[2]) for line in lines)
    query = f"sum({counter}) == {total} and count(count_over_time({counter}[1m]) >= 2) == {len(lines)}"
    found = httpx.get(f"{url}/api/v1/query", params={"query": query}, timeout=5, trust_env=False).json()["data"]["result"]
    return bool(found)
