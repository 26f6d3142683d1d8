"""What is in packaging/ fits the programs."""

import http.server
import pathlib
import re
import subprocess
import threading

import stack as s

PACKAGING = pathlib.Path(__file__).resolve().parents[2] / "packaging"
EVERYWHERE = {"libc6", "libgcc-s1"}
SANITIZERS = {"libasan8", "libubsan1", "libtsan2"}


def text_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_the_container_has_every_library_the_worker_is_linked_with():
    needed = re.findall(r"NEEDED +(\S+)", text_of("objdump", "-p", s.BIN / "proplet"))
    offered = EVERYWHERE | SANITIZERS | set((PACKAGING / "Containerfile").read_text().split())
    found = re.findall(r"^([^:\s]+):.* /\S+/(\S+)$", text_of("dpkg-query", "-S", *(f"*/{name}" for name in needed)), re.M)
    covered = {name for package, name in found if package in offered}
    assert set(needed) - covered == set(), found


def test_the_health_check_succeeds_only_if_the_worker_answers():
    class Health(http.server.BaseHTTPRequestHandler):
        code = 200

        def do_GET(self):
            self.send_response(self.code if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    def check(port):
        return subprocess.run([PACKAGING / "healthcheck"], env={"PATH": "/usr/bin:/bin", "PROPLET_METRICS_PORT": str(port)},
                              capture_output=True, timeout=20).returncode

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    assert check(server.server_address[1]) == 0
    Health.code = 503
    assert check(server.server_address[1]) != 0
    server.shutdown()
    server.server_close()
    assert check(server.server_address[1]) != 0
