"""Servers that misbehave, and images that lie. Fakes are for injecting faults only."""

import base64
import hashlib
import http.server
import json
import threading
import urllib.request

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MODULE = "application/vnd.wasm.content.layer.v1+wasm"
CONFIG = "application/vnd.wasm.config.v1+json"
PACKET = "org.opencontainers.image.enc.keys.provider.attestation-agent"
PUBLIC_OPTIONS = "org.opencontainers.image.enc.pubopts"


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Hostile:
    """An HTTP server on a loopback port whose answers `handle(request)` writes; `requests` records the paths."""

    def __init__(self, handle):
        self.requests = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.requests.append((self.command, self.path))
                try:
                    handle(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = answer

            def reply(self, status, content=b"", headers=None, length=None):
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content) if length is None else length))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def image(self, name="team/add:1"):
        return f"127.0.0.1:{self.port}/{name}"


class Image:
    """An image as a registry holds it: the manifest's parsed JSON and the blobs by digest."""

    def __init__(self, manifest, blobs):
        self.manifest, self.blobs = manifest, blobs

    @classmethod
    def pull(cls, reference):
        """Reads an image back from a real registry."""
        host, rest = reference.split("/", 1)
        repository, tag = rest.split(":")
        request = urllib.request.Request(f"http://{host}/v2/{repository}/manifests/{tag}", headers={"Accept": MANIFEST})
        manifest = json.loads(urllib.request.urlopen(request, timeout=10).read())
        blobs = {}
        for descriptor in [manifest["config"], *manifest["layers"]]:
            url = f"http://{host}/v2/{repository}/blobs/{descriptor['digest']}"
            blobs[descriptor["digest"]] = urllib.request.urlopen(url, timeout=10).read()
        return cls(manifest, blobs)

    @property
    def layer(self):
        return self.manifest["layers"][0]

    @property
    def content(self):
        return self.blobs[self.layer["digest"]]

    def replace_layer(self, content):
        """Another layer content under its own, right digest: a self-consistent lie."""
        self.layer["digest"], self.layer["size"] = digest(content), len(content)
        self.blobs[self.layer["digest"]] = content

    def annotation(self, key):
        return json.loads(base64.b64decode(self.layer["annotations"][key]))

    def set_annotation(self, key, value):
        self.layer["annotations"][key] = base64.b64encode(json.dumps(value).encode()).decode()

    def serve(self, change=lambda request, content: content):
        """A registry with this image under every name; `change` may alter any answer's bytes."""
        document = json.dumps(self.manifest).encode()

        def handle(request):
            if request.path == "/v2/":
                return request.reply(200)
            if "/manifests/" in request.path:
                return request.reply(200, change(request, document), {"Content-Type": MANIFEST})
            content = self.blobs.get(request.path.rsplit("/", 1)[1])
            if content is None:
                return request.reply(404, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"no such blob"}]}')
            return request.reply(200, change(request, content), {"Content-Type": "application/octet-stream"})

        return Hostile(handle)
