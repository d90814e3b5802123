"""A registry in memory, on a real socket: what is pushed is given back, unless it was told to do wrong."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Memory:
    """`refuse` answers 500 to requests whose `METHOD path` holds the text; `swap` gives other bytes for what holds the text."""

    address: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    refuse: str = ""
    swap: str = ""
    password: str = ""
    token: str = ""

    @property
    def tags(self) -> list[str]:
        """`path:tag` of every manifest that has one."""
        return sorted(name for name in self.manifests if "@" not in name)


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@contextmanager
def memory_registry() -> Iterator[Memory]:
    memory = Memory()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def serve(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            what = f"{self.command} {url.path}"
            memory.asked.append(what)
            given = self.headers.get("Authorization", "")
            if url.path == "/token":
                good = given == f"Basic {memory.password}"
                self.answer(200 if good else 401, f'{{"token": "{memory.token}"}}'.encode())
            elif memory.token and given != f"Bearer {memory.token}":
                realm = f'Bearer realm="http://{memory.address}/token",service="memory"'
                self.answer(401, WWW_Authenticate=realm)
            elif memory.refuse and memory.refuse in what:
                self.answer(500, b"out of order")
            else:
                self.carry_out(url.path, parse_qs(url.query), body)

        def carry_out(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
            name, _, rest = path.removeprefix("/v2/").rpartition("/manifests/" if "/manifests/" in path else "/blobs/")
            if self.command == "POST":
                self.answer(202, Location=f"/v2/{name}/blobs/uploads/1?state=x")
            elif self.command == "PUT" and "/manifests/" in path:
                memory.manifests[f"{name}@{digest(body)}"] = body
                if not rest.startswith("sha256:"):
                    memory.manifests[f"{name}:{rest}"] = body
                self.answer(201)
            elif self.command == "PUT":
                memory.blobs[query["digest"][0]] = body
                self.answer(201)
            else:
                kept = memory.manifests.get(f"{name}@{rest}") or memory.manifests.get(f"{name}:{rest}") or memory.blobs.get(rest)
                if kept is None:
                    self.answer(404, b"not there")
                else:
                    swapped = memory.swap and memory.swap in f"{self.command} {path}"
                    self.answer(200, b"something else" if swapped else kept, Docker_Content_Digest=digest(kept))

        do_GET = do_HEAD = do_POST = do_PUT = serve

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    memory.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
