"""The same as test_conformance.py for what comes in from outside a task's message: chunks from the proxy, downloads,
the external runtime, metrics, federated rounds. And the check that every statement of the protocol has a test."""

import ast
import base64
import http.server
import json
import os
import pathlib
import re
import threading
import time
import urllib.error
import uuid

import pytest

import manager as double
import proxy as registry
import stack as s
from protocol import TIMESTAMP
from statements import STATEMENTS
from bench import Bench, Row, check_row, inline, recording, states

METRICS, TASK_METRICS = "control/proplet/metrics", "control/proplet/task_metrics"


def test_every_statement_is_held_by_a_test():
    named = set()
    for file in pathlib.Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in STATEMENTS:
                named.add(node.value)
    assert named == set(STATEMENTS)


def padded(name, size):
    """A guest with a custom section that makes it as large as wanted (WebAssembly core, binary format, sections)."""
    def leb(number):
        out = b""
        while number >= 0x80:
            out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
        return out + bytes([number])

    content = b"\x03pad" + os.urandom(size)
    return (s.GUESTS / name).read_bytes() + b"\x00" + leb(len(content)) + content


# Chunks from the proxy

@pytest.fixture(scope="module")
def bench(servers):
    # The address sanitizer keeps what was freed for a while; not so much of it that it looks like a leak.
    made = Bench(servers, PROPLET_TEE="off", PROPLET_OCI_PULL="never", ASAN_OPTIONS="quarantine_size_mb=8")
    yield made
    made.close()


@pytest.fixture
def proxy(servers):
    made = registry.Proxy(servers.mqtt_port, s.BASE, {})
    yield made
    made.close()


def fetch(bench, proxy, module, disturbance=lambda request, chunks: chunks, seconds=60):
    """The answer to a task whose module the proxy sends, and the name of its image."""
    name = f"registry.example:5000/team/{uuid.uuid4()}:v1"
    proxy.modules[name], proxy.disturbance = module, disturbance
    task = bench.send_start(image_url=name, inputs=["20", "22"])
    return bench.answer(task, seconds), name


def first_time(change):
    return lambda request, chunks: change(chunks) if request == 1 else chunks


OTHER = {"app_name": "registry.example:5000/somebody/else:1", "chunk_idx": 0, "total_chunks": 3, "data": "AAAA"}
DISTURBANCES = [
    ("in order", lambda request, chunks: chunks),
    ("backwards", lambda request, chunks: chunks[::-1]),
    ("each twice", lambda request, chunks: [chunk for chunk in chunks for _ in (0, 1)]),
    ("among those of others", lambda request, chunks: [OTHER] * 20 + [c for chunk in chunks for c in (OTHER, chunk)]),
    ("the first one missing once", first_time(lambda chunks: chunks[1:])),
    ("the last one missing once", first_time(lambda chunks: chunks[:-1])),
    ("all missing once", first_time(lambda chunks: [])),
    ("an index out of range", lambda request, chunks: [{**chunks[0], "chunk_idx": len(chunks)}] + chunks),
    ("an index without end", lambda request, chunks: [{**chunks[0], "chunk_idx": 2**53}] + chunks),
    ("a negative index", lambda request, chunks: [{**chunks[0], "chunk_idx": -1}] + chunks),
    ("noise in between", lambda request, chunks: ["{", "[]", '{"app_name":7}', {**chunks[0], "data": "!"}] + chunks),
]


@states("8.10", "11.6")
@pytest.mark.parametrize("disturbance", [pytest.param(change, id=name) for name, change in DISTURBANCES])
def test_a_module_arrives_whatever_happens_to_its_chunks(bench, proxy, disturbance):
    answer, name = fetch(bench, proxy, padded("math_reactor.wasm", 1_300_000), disturbance)
    assert (answer["results"], answer["error"]) == ("42", None)


@states("8.10", "11.6")
@pytest.mark.parametrize("name, change", [
    ("another total", lambda old, new: [old[0], {**new[1], "total_chunks": 7}, *new]),
    ("two versions", lambda old, new: [old[0], old[2], *new])])
def test_chunks_of_two_versions_are_never_mixed(bench, proxy, name, change):
    """A difference between chunks means that the module is a new one: it is put together from new chunks alone."""
    new = padded("math_reactor.wasm", 1_300_000)
    old = registry.chunks_of("", padded("entries.wasm", 1_300_000))
    answer, _ = fetch(bench, proxy, new,
                      lambda request, chunks: change([{**c, "app_name": chunks[0]["app_name"]} for c in old], chunks)
                      if request == 1 else chunks, 100)
    assert (answer["results"], answer["error"]) == ("42", None)


@states("8.10")
def test_the_recorded_request_and_its_chunks_have_the_form_of_ours(bench, proxy):
    recorded = [e["payload"] for e in recording("chunks") if e.get("topic") == "registry/proplet"]
    heard = []
    ear = double.link.Link(bench.servers.mqtt_port, s.BASE, ["registry/#"], heard.append)
    _, name = fetch(bench, proxy, padded("math_reactor.wasm", 1_300_000))
    ear.close()
    requests = [json.loads(h.payload) for h in heard if h.topic == "registry/proplet"]
    assert requests == [{**recorded[0], "app_name": name}] and not any(h.retain for h in heard)
    sent = [json.loads(h.payload) for h in heard if h.topic == "registry/server"]
    theirs = [e["payload"] for e in recording("chunks") if e.get("topic") == "registry/server"]
    assert [sorted(chunk) for chunk in sent] == [["app_name", "chunk_idx", "data", "total_chunks"]] * len(theirs)
    assert [(c["chunk_idx"], c["total_chunks"]) for c in sent] == [(c["chunk_idx"], c["total_chunks"]) for c in theirs]


@states("11.7")
def test_tasks_that_start_together_share_one_download(bench, proxy):
    name = f"registry.example:5000/team/{uuid.uuid4()}:v1"
    held = threading.Event()
    proxy.modules[name] = padded("math_reactor.wasm", 1_300_000)
    proxy.disturbance = lambda request, chunks: held.wait(20) and chunks
    tasks = [bench.send_start(image_url=name, inputs=["20", str(number)]) for number in range(5)]
    check_row(bench, Row("", (), {"file": "math_reactor.wasm", "inputs": ["1", "2"]}, "3"))
    held.set()
    assert [bench.answer(task)["results"] for task in tasks] == [str(20 + number) for number in range(5)]
    assert proxy.asked_for(name) == 1


@states("8.10", "11.8")
def test_the_last_chunk_starts_the_task(bench, proxy):
    last = {}

    def noting(request, chunks):
        for chunk in chunks:
            last["time"] = time.monotonic()
            yield chunk

    answer, name = fetch(bench, proxy, padded("math_reactor.wasm", 1_048_576), noting)
    assert answer["results"] == "42"
    arrived = next(a for a, m in bench.protocol.of("control/proplet/results") if m is answer or m == answer)
    assert arrived - last["time"] < 2  # polling would take up to 5 s; benchmarks measure the 100 ms


@states("0.8")
def test_one_image_under_two_tags_is_two_images(bench, proxy):
    names = [f"registry.example:5000/team/{uuid.uuid4()}:{tag}" for tag in ("v1", "v2")]
    proxy.modules.update({names[0]: (s.GUESTS / "math_reactor.wasm").read_bytes(),
                          names[1]: (s.GUESTS / "entries.wasm").read_bytes()})
    assert bench.answer(bench.send_start(image_url=names[0], inputs=["1", "1"]))["results"] == "2"
    assert bench.answer(bench.send_start(image_url=names[1], name="other"))["results"] == "3"
    assert [proxy.asked_for(name) for name in names] == [1, 1]


@states("8.10", "11.6")
def test_chunks_that_nobody_asked_for_are_not_kept(bench, proxy):
    check_row(bench, Row("", (), {"file": "math_reactor.wasm", "inputs": ["1", "2"]}, "3"))
    before = bench.worker.resident_bytes()
    data = base64.b64encode(os.urandom(100_000)).decode()
    for number in range(1000):
        proxy.publish({"app_name": f"registry.example/flood:{number}", "chunk_idx": 0, "total_chunks": 2, "data": data})
    unclaimed = f"registry.example:5000/team/{uuid.uuid4()}:old"
    for chunk in registry.chunks_of(unclaimed, (s.GUESTS / "entries.wasm").read_bytes()):
        proxy.publish(chunk)
    proxy.modules[unclaimed] = (s.GUESTS / "math_reactor.wasm").read_bytes()
    assert bench.answer(bench.send_start(image_url=unclaimed, inputs=["1", "2"]))["results"] == "3"
    assert bench.worker.resident_bytes() - before < 64 << 20


@states("8.10")
def test_an_image_that_the_proxy_does_not_know_fails_in_the_end(bench, proxy):
    name = f"registry.example:5000/team/{uuid.uuid4()}:none"
    answer = bench.answer(bench.send_start(image_url=name), 150)
    assert answer["results"] == "" and answer["error"]
    assert proxy.asked_for(name) >= 2  # it was asked again, for the proxy drops requests without a word


def test_a_stop_ends_a_task_that_waits_for_its_chunks(bench, proxy):
    task = bench.send_start(image_url=f"registry.example:5000/team/{uuid.uuid4()}:none")
    s.wait_until(lambda: proxy.requests, what="the request")
    bench.send_stop(task)
    assert "stopped" in bench.answer(task, 10)["error"]


# Downloads

class Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, kind, body = {
            "/add.wasm": (200, "application/wasm", (s.GUESTS / "math_reactor.wasm").read_bytes()),
            "/octets": (200, "application/octet-stream", (s.GUESTS / "math_reactor.wasm").read_bytes()),
            "/page": (200, "text/html", b"<html>"),
        }.get(self.path, (404, "text/plain", b"no"))
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/add.wasm")
            self.end_headers()
            return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def files():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@states("0.9")
@pytest.mark.parametrize("path, results, error", [
    ("/add.wasm", "3", None), ("/octets", "3", None), ("/moved", "3", None), ("/page", "", "text/html"),
    ("/none", "", "404")])
def test_urls_are_fetched_by_the_worker_and_not_from_the_proxy(bench, proxy, files, path, results, error):
    answer = bench.answer(bench.send_start(image_url=files + path, inputs=["1", "2"]))
    assert answer["results"] == results, answer
    assert answer["error"] is None if error is None else error in answer["error"], answer
    assert proxy.requests == []


# The external runtime

ENGINE = """#!/usr/bin/python3
import os, sys, time
if "--flood" in sys.argv:
    for _ in range(160):
        os.write(1, b"o" * 65536)
        os.write(2, b"e" * 65536)
elif "--hang" in sys.argv:
    open({mark!r} + str(os.getpid()), "w").close()
    if os.fork() == 0:
        open({mark!r} + str(os.getpid()), "w").close()
    time.sleep(600)
elif "--fail" in sys.argv:
    print("why", file=sys.stderr)
    sys.exit(7)
else:
    module = [a for a in sys.argv if os.path.exists(a) and open(a, "rb").read(4) == b"\\0asm" and a != sys.argv[0]]
    print("|".join("FILE" if a in module else a for a in sys.argv[1:]))
    print(os.environ.get("PROPLET_API_KEY", "no key"), os.environ.get("TASK", "not set"))
"""


@pytest.fixture(scope="module")
def external(servers):
    engine = servers.folder / "engine"
    engine.write_text(ENGINE.format(mark=str(servers.folder / "engine-pid.")))
    engine.chmod(0o755)
    made = Bench(servers, PROPLET_TEE="off", PROPLET_EXTERNAL_WASM_RUNTIME=engine, PROPLET_DRAIN_SECONDS=1,
                 PROPLET_EXTERNAL_ALLOWED_ARGS="--flood,--hang,--fail")
    yield made
    if made.worker.process.poll() is None:
        made.close()


@states("8.6")
@pytest.mark.parametrize("name, inputs, arguments", [
    ("add", ["10", "20"], r"run\|--invoke\|add\|ENV\|FILE\|10\|20"),
    ("_start", ["a b"], r"run\|ENV\|FILE\|a b"),
    ("fl-round-r1-p1", [], r"run\|ENV\|FILE")])
def test_the_external_runtime_gets_the_known_arguments_and_its_output_is_the_result(external, name, inputs, arguments):
    answer = external.answer(external.send_start(file=inline("math_reactor.wasm"), name=name, inputs=inputs,
                                                 env={"TASK": "x"}))
    assert answer["error"] is None
    lines = answer["results"].split("\n")
    variables = rf"(--env\|(PROPLET_ID={external.worker.entity}|TASK=x)\|?){{2}}"
    assert re.fullmatch(arguments.replace(r"ENV\|", variables), lines[0]), lines
    assert lines[1] == "no key not set" and lines[2] == ""  # the output as it is, with its last newline


@states("8.6", "11.3")
def test_the_external_runtime_fails_with_its_code_and_the_end_of_its_stderr(external):
    answer = external.answer(external.send_start(file=inline("math_reactor.wasm"), cli_args=["--fail"]))
    assert answer["results"] == "" and "7" in answer["error"] and "why" in answer["error"], answer


@states("11.2")
def test_an_external_runtime_that_floods_both_outputs_comes_to_its_end(external):
    answer = external.answer(external.send_start(file=inline("math_reactor.wasm"), cli_args=["--flood"]), 60)
    assert set(answer["results"][:1000]) == {"o"} or "output" in (answer["error"] or ""), str(answer)[:300]


def ended(pid):
    """A process that nobody has asked for its exit code counts as ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@states("11.11")
def test_the_end_of_the_worker_is_the_end_of_its_children_and_answers_their_tasks(external):
    task = external.send_start(file=inline("math_reactor.wasm"), cli_args=["--hang"])
    marks = s.wait_until(lambda: (m := list(external.servers.folder.glob("engine-pid.*"))) and len(m) == 2 and m, 20)
    assert external.worker.stop() == 0
    assert "stopped" in external.answer(task, 5)["error"]
    s.wait_until(lambda: all(ended(int(mark.suffix[1:])) for mark in marks), 10, "the end of the children")
    external.close()


# Metrics

COUNTERS = ("tasks_started_total", "tasks_completed_total", "tasks_failed_total", "mqtt_reconnects_total",
            "wasm_fetch_bytes_total")
GAUGES = ("tasks_running", "cpu_usage_ratio", "cpu_user_seconds", "cpu_system_seconds", "memory_rss_bytes",
          "memory_container_usage_bytes", "memory_container_limit_bytes")


@pytest.fixture(scope="module")
def measured(servers):
    port = s.free_port()
    made = Bench(servers, PROPLET_TEE="off", PROPLET_METRICS_PORT=port, PROPLET_METRICS_INTERVAL=1)
    made.url = f"http://127.0.0.1:{port}"
    yield made
    made.close()


@states("8.13")
def test_health_and_metrics_are_where_they_were_with_the_names_they_had(measured):
    check_row(measured, Row("", (), {"file": "math_reactor.wasm", "inputs": ["1", "2"]}, "3"))
    s.wait_until(lambda: json.loads(s.http_get(measured.url + "/health"))["running_tasks"] == 0, what="an idle worker")
    assert json.loads(s.http_get(measured.url + "/health"))["status"] == "ok"
    text = s.http_get(measured.url + "/metrics").decode()
    for name in COUNTERS:
        assert f"# TYPE proplet_{name} counter" in text, name
    for name in GAUGES:
        assert f"# TYPE proplet_{name} gauge" in text, name
    assert re.search(r"^proplet_tasks_started_total(\{\})? 1(\.0)?$", text, re.M)
    assert re.search(r"^proplet_tasks_completed_total(\{\})? 1(\.0)?$", text, re.M)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        s.http_get(measured.url + "/other")


@states("8.11")
def test_metrics_of_the_worker_come_at_once_and_at_each_interval_in_true_units(measured):
    samples = s.wait_until(lambda: (found := measured.protocol.of(METRICS)) and len(found) >= 3 and found, 20)
    for _, message in samples:  # their shape is the protocol's affair, see protocol.py
        assert TIMESTAMP.fullmatch(message["timestamp"])
        rss = message["memory_metrics"]["rss_bytes"]
        assert 0.2 < rss / measured.worker.resident_bytes() < 5


@states("0.7", "8.11", "11.17")
def test_metrics_of_a_task_follow_its_profile_in_seconds_and_bytes(measured):
    profile = {"enabled": True, "interval": 1, "collect_cpu": True, "collect_memory": True, "collect_disk_io": True,
               "collect_threads": True, "collect_file_descriptors": True, "export_to_mqtt": True,
               "retain_history": True, "history_size": 10}
    task = measured.send_start(file=inline("linger.wasm"), name="_start", inputs=["100", "600000"],
                               monitoring_profile=profile)
    samples = s.wait_until(lambda: (found := measured.protocol.of(TASK_METRICS, task_id=task)) and len(found) >= 4
                           and found, 30)
    measured.send_stop(task)
    measured.answer(task)
    gaps = [later[0] - earlier[0] for earlier, later in zip(samples[1:], samples[2:])]
    assert all(0.2 < gap < 5 for gap in gaps), gaps  # seconds, not nanoseconds
    assert 100 << 20 <= samples[-1][1]["metrics"]["memory_bytes"] <= 110 << 20
    assert samples[-1][1]["aggregated"]["sample_count"] >= 3


# Federated rounds

@states("0.4")
@pytest.mark.parametrize("env", [{"ROUND_ID": "r1"}, {"MODEL_URI": "m/global_model_v3"},
                                 {"ROUND_ID": "r1", "MODEL_URI": "m/global_model_v3"}])
def test_a_federated_task_without_its_servers_is_answered_all_the_same(bench, env):
    """The existing worker is silent. The answer depends on what is missing; its shape is checked in any case."""
    answer = bench.answer(bench.send_start(file=inline("math_reactor.wasm"), inputs=["1", "2"], env=env), 60)
    assert answer["error"] or isinstance(answer["results"], dict), answer
    if "MODEL_URI" in env:
        assert answer["error"]
