"""A hub on this machine that speaks the part of the Hugging Face hub's protocol which downloads and commits need."""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_of_the_test"


@dataclass
class Repository:
    """Commits, each all files by their names, and what branches and tags point to."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        merged = self.commits.get(self.refs.get("main", ""), {}) | files
        told = json.dumps([len(self.commits), *sorted(merged)]).encode()
        sha = hashlib.sha1(told).hexdigest()
        self.commits[sha] = merged
        self.refs["main"] = sha
        return sha


class Hub(ThreadingHTTPServer):
    """Its repositories by OWNER/NAME, and all that it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.repositories: dict[str, Repository] = {}
        self.asked: list[str] = []
        self.stored: dict[str, bytes] = {}  # large files, by their SHA-256
        self.environment = {"HF_ENDPOINT": f"http://127.0.0.1:{self.server_port}", "HF_HUB_DISABLE_XET": "1"}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class Answers(BaseHTTPRequestHandler):
    """The routes."""

    protocol_version = "HTTP/1.1"
    server: Hub

    def do_HEAD(self) -> None:
        self._file()

    def do_GET(self) -> None:
        if self.path.startswith("/api/models/"):
            self._note()
            repository = self.server.repositories.get(self._repo())
            if repository is None:
                self._refuse(401, "RepoNotFound")
            else:
                self._tell({"id": self._repo(), "sha": repository.refs["main"], "private": repository.private})
            return
        self._file()

    def do_PUT(self) -> None:
        self._note()
        content = self._body()
        self.server.stored[hashlib.sha256(content).hexdigest()] = content
        self._tell({})

    def do_POST(self) -> None:
        self._note()
        body = self._body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(403, "")
        elif self.path == "/api/validate-yaml":
            self._tell({"errors": [], "warnings": []})
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            there = name in self.server.repositories
            repository = self.server.repositories.setdefault(name, Repository(asked.get("visibility") == "private"))
            repository.commits or repository.commit({".gitattributes": b""})
            self._tell({"url": f"{self.server.environment['HF_ENDPOINT']}/{name}"}, 409 if there else 200)
        elif "/preupload/" in self.path:
            large = {True: "lfs", False: "regular"}
            files = json.loads(body)["files"]
            modes = [(one["path"], large[one["path"].endswith((".safetensors", ".onnx"))]) for one in files]
            self._tell({"files": [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes]})
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            home = self.server.environment["HF_ENDPOINT"]
            told = [one | {"actions": {"upload": {"href": f"{home}/lfs/{one['oid']}"}}} for one in objects]
            self._tell({"transfer": "basic", "objects": told})
        elif "/commit/" in self.path:
            sha = self.server.repositories[self._repo()].commit(self._committed(body))
            self._tell({"commitUrl": f"{self.server.environment['HF_ENDPOINT']}/{self._repo()}/commit/{sha}", "commitOid": sha})
        else:
            self._refuse(404, "")

    def _committed(self, body: bytes) -> dict[str, bytes]:
        lines = [json.loads(line) for line in body.splitlines()]
        small = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"}
        large = {line["value"]["path"]: self.server.stored[line["value"]["oid"]] for line in lines if line["key"] == "lfsFile"}
        return small | large

    def _file(self) -> None:
        self._note()
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        repository = self.server.repositories.get(found[1]) if found else None
        allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if found is None or repository is None or (repository.private and not allowed):
            self._refuse(401, "RepoNotFound")
            return
        revision = found[2].replace("%2F", "/")
        sha = repository.refs.get(revision, revision)
        if sha not in repository.commits:
            self._refuse(404, "RevisionNotFound")
        elif found[3] not in repository.commits[sha]:
            self._refuse(404, "EntryNotFound", sha)
        else:
            content = repository.commits[sha][found[3]]
            self._send(200, content, {"X-Repo-Commit": sha, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'})

    def _refuse(self, status: int, code: str, sha: str = "") -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Repo-Commit": sha})

    def _tell(self, what: dict[str, Any], status: int = 200) -> None:
        self._send(status, json.dumps(what).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _repo(self) -> str:
        return "/".join(self.path.split("/")[3:5])

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _note(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")

    def log_message(self, *_: Any) -> None:
        pass
