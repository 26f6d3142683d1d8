"""What a worker tells about itself and its tasks: messages to the Manager, /metrics and /health, traces."""

import base64
import datetime
import http.server
import json
import queue
import re
import threading
import time
import urllib.error
import urllib.request

import pytest

import stack as s

METRICS, TASK_METRICS = "control/proplet/metrics", "control/proplet/task_metrics"
RESULTS = "control/proplet/results"
MIB = 1 << 20
EVERYTHING = {"enabled": True, "interval": 10, "collect_cpu": True, "collect_memory": True, "collect_disk_io": True,
              "collect_threads": True, "collect_file_descriptors": True, "export_to_mqtt": True,
              "retain_history": True, "history_size": 100}


def seconds_of(timestamp):
    """Of an RFC 3339 time with nanoseconds in UTC, as Go reads it."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})Z", timestamp)
    assert match, timestamp
    moment = datetime.datetime.fromisoformat(match[1] + "+00:00")
    return moment.timestamp() + int(match[2]) / 1e9


def inline(guest):
    return base64.b64encode((s.GUESTS / f"{guest}.wasm").read_bytes()).decode()


def linger(manager, worker, mib, milliseconds, *busy, **fields):
    return manager.start(worker, name="linger", file=inline("linger"), inputs=[str(mib), str(milliseconds), *busy],
                         **fields)[0]


def until_result(manager, task, seconds=60):
    """The metrics of a task that arrive up to its result, and the result."""
    metrics, deadline = [], time.monotonic() + seconds
    while True:
        _, topic, payload = manager.messages.get(timeout=max(0.01, deadline - time.monotonic()))
        message = json.loads(payload)
        if message.get("task_id") != task:
            continue
        if topic == TASK_METRICS:
            metrics.append(message)
        elif topic == RESULTS:
            return metrics, message


def metrics_of(manager, task, seconds):
    return manager.next(TASK_METRICS, seconds, lambda message: message["task_id"] == task)[1]


def series(worker_port):
    found = {}
    for line in s.http_get(f"http://127.0.0.1:{worker_port}/metrics").decode().splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name] = float(value)
    return found


def health(port):
    return json.loads(s.http_get(f"http://127.0.0.1:{port}/health"))


@pytest.fixture(scope="module")
def port():
    return s.free_port()


@pytest.fixture(scope="module")
def worker(servers, port):
    worker = servers.start_worker(PROPLET_TEE="off", PROPLET_METRICS_PORT=port, PROPLET_METRICS_INTERVAL="1")
    yield worker
    assert worker.stop() == 0


def test_the_process_is_reported_at_once_and_then_each_interval(servers, manager):
    begin = time.time()
    worker = servers.start_worker(ready=False, PROPLET_TEE="off", PROPLET_METRICS_INTERVAL="1",
                                  PROPLET_MANAGER_K8S_NAMESPACE="ns")
    mine = lambda message: message["proplet_id"] == worker.entity  # noqa: E731
    alive, _ = manager.next("control/proplet/alive", 30, mine)
    arrivals, messages = zip(*(manager.next(METRICS, 10, mine) for _ in range(3)))
    assert arrivals[0] - alive < 1 and all(0.5 < b - a < 3 for a, b in zip(arrivals, arrivals[1:]))
    times = [seconds_of(message["timestamp"]) for message in messages]
    assert begin - 1 < times[0] < times[1] < times[2] < time.time() + 1
    last = messages[-1]
    assert set(last) == {"proplet_id", "namespace", "timestamp", "cpu_metrics", "memory_metrics"}
    assert last["namespace"] == "ns"
    assert set(last["cpu_metrics"]) == {"user_seconds", "system_seconds", "percent"}
    assert all(isinstance(value, (int, float)) for value in last["cpu_metrics"].values())
    assert 0 <= last["cpu_metrics"]["percent"] <= 100
    assert sum(last["cpu_metrics"][name] for name in ("user_seconds", "system_seconds")) > 0
    memory = last["memory_metrics"]
    assert set(memory) - {"container_limit_bytes"} == {"rss_bytes", "heap_alloc_bytes", "heap_sys_bytes",
                                                       "heap_inuse_bytes", "container_usage_bytes"}
    assert all(isinstance(value, int) for value in memory.values())
    assert 0.5 < memory["rss_bytes"] / worker.resident_bytes() < 2
    assert worker.stop() == 0


@pytest.mark.parametrize("settings", [{"PROPLET_METRICS_INTERVAL": "0"}, {"PROPLET_ENABLE_MONITORING": "false"}])
def test_reports_on_the_process_can_be_switched_off(servers, manager, settings):
    worker = servers.start_worker(ready=False, PROPLET_TEE="off", **settings)
    manager.next("control/proplet/alive", 30, lambda message: message["proplet_id"] == worker.entity)
    with pytest.raises(queue.Empty):
        manager.next(METRICS, 1.5, lambda message: message["proplet_id"] == worker.entity)
    assert worker.stop() == 0


def test_no_monitoring_means_no_task_metrics_either(servers, manager):
    worker = servers.start_worker(PROPLET_TEE="off", PROPLET_ENABLE_MONITORING="false")
    metrics, result = until_result(manager, linger(manager, worker, 1, 600, monitoring_profile=EVERYTHING))
    assert result["error"] is None and metrics == []
    assert worker.stop() == 0


def test_a_guest_that_holds_100_mib_is_reported_with_100_mib(worker, manager):
    metrics, result = until_result(manager, linger(manager, worker, 100, 1500))
    assert result["error"] is None
    assert metrics
    for message in metrics:
        assert set(message) == {"task_id", "proplet_id", "metrics", "aggregated", "timestamp"}
        assert message["proplet_id"] == worker.entity
        assert abs(seconds_of(message["timestamp"]) - time.time()) < 60
    last = metrics[-1]
    assert 90 * MIB <= last["metrics"]["memory_bytes"] <= 110 * MIB
    assert 0 < last["metrics"]["memory_percent"] < 100
    assert last["metrics"]["uptime_seconds"] >= 1 and last["metrics"]["thread_count"] == 1
    assert last["aggregated"]["sample_count"] == len(metrics)
    assert last["aggregated"]["max_memory_usage"] == last["metrics"]["memory_bytes"]
    assert {"avg_cpu_usage", "max_cpu_usage", "avg_memory_usage", "total_disk_read", "total_disk_write"} <= set(
        last["aggregated"])


def test_each_task_is_measured_by_itself(worker, manager):
    busy = linger(manager, worker, 1, 1500, "busy")
    idle = linger(manager, worker, 30, 1500)
    found, results = {busy: [], idle: []}, 0
    while results < 2:
        _, topic, payload = manager.messages.get(timeout=60)
        message = json.loads(payload)
        if topic == TASK_METRICS:
            found[message["task_id"]].append(message)
        results += topic == RESULTS
    busy, idle = found[busy][-1]["metrics"], found[idle][-1]["metrics"]
    assert busy["memory_bytes"] < 10 * MIB < 30 * MIB <= idle["memory_bytes"]
    assert 5 < busy["cpu_percent"] <= 110 and idle["cpu_percent"] < busy["cpu_percent"] / 2


def test_the_profile_says_how_often_and_what(worker, manager):
    profile = {**EVERYTHING, "interval": 1, "collect_cpu": False, "collect_threads": False, "history_size": 2}
    metrics, _ = until_result(manager, linger(manager, worker, 1, 4500, monitoring_profile=profile))
    assert len(metrics) >= 4  # at 0.1 s, 1.1 s, 2.1 s, ...
    gaps = [seconds_of(b["timestamp"]) - seconds_of(a["timestamp"]) for a, b in zip(metrics, metrics[1:-1])]
    assert all(0.5 < gap < 3 for gap in gaps), gaps
    assert all(set(message["metrics"]) == {"memory_bytes", "memory_percent", "uptime_seconds"} for message in metrics)
    assert [message["aggregated"]["sample_count"] for message in metrics[:3]] == [1, 2, 2]


def test_without_history_there_is_no_aggregate(worker, manager):
    profile = {**EVERYTHING, "retain_history": False}
    metrics, _ = until_result(manager, linger(manager, worker, 1, 600, monitoring_profile=profile))
    assert metrics and all(message["aggregated"] is None for message in metrics)


@pytest.mark.parametrize("profile", [{**EVERYTHING, "enabled": False}, {**EVERYTHING, "export_to_mqtt": False}])
def test_a_profile_can_switch_task_metrics_off(worker, manager, profile):
    metrics, result = until_result(manager, linger(manager, worker, 1, 600, monitoring_profile=profile))
    assert result["error"] is None and metrics == []


@pytest.mark.parametrize("profile", [{**EVERYTHING, "interval": 0}, {"interval": "often"}, {}, None,
                                     {**EVERYTHING, "interval": 10**10, "history_size": 0}])
def test_no_profile_harms_its_task_or_the_worker(worker, manager, profile):
    metrics, result = until_result(manager, linger(manager, worker, 1, 600, monitoring_profile=profile))
    assert result["error"] is None and 1 <= len(metrics) <= 2


def test_a_short_task_causes_no_message(worker, manager):
    metrics, result = until_result(manager, manager.start(
        worker, name="add", file=inline("math_reactor"), inputs=["2", "3"], monitoring_profile=EVERYTHING)[0])
    assert result["results"] == "5" and metrics == []


def test_a_daemon_is_reported_while_it_runs_and_when_it_is_stopped(worker, manager, port):
    task = linger(manager, worker, 20, 600000, daemon=True)
    _, result = manager.result(task)
    assert result["error"] is None
    assert metrics_of(manager, task, 30)["aggregated"]["sample_count"] == 1
    assert health(port)["running_tasks"] == 1
    time.sleep(0.5)
    manager.publish("control/manager/stop", {"id": task})
    last = metrics_of(manager, task, 30)
    assert 20 * MIB <= last["metrics"]["memory_bytes"] <= 24 * MIB
    assert last["aggregated"]["sample_count"] == 2  # its interval is two minutes
    s.wait_until(lambda: health(port)["running_tasks"] == 0, what="the end of the daemon")


def test_metrics_and_health_show_a_running_task(worker, manager, port):
    before = series(port)
    assert health(port) == {"status": "ok", "running_tasks": 0, "queued_tasks": 0, "broker_connected": True}
    task = linger(manager, worker, 1, 3000)
    s.wait_until(lambda: series(port)["proplet_tasks_running"] == 1, what="a running task")
    assert health(port)["running_tasks"] == 1
    assert manager.result(task)[1]["error"] is None
    manager.result(manager.start(worker, name="nothing", file=inline("math_reactor"))[0])
    manager.result(manager.start(worker, name="x", file="", image_url="")[0])
    after = series(port)
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert grown["proplet_tasks_started_total"] == 3
    assert grown["proplet_tasks_completed_total"] == 1 and grown["proplet_tasks_failed_total"] == 2
    assert grown['proplet_tasks_finished_total{code="OK"}'] == 1
    assert grown['proplet_tasks_finished_total{code="EXPORT_NOT_FOUND"}'] == 1
    assert grown['proplet_tasks_refused_total{code="MESSAGE_INVALID"}'] == 1
    assert grown['proplet_stage_seconds_count{stage="run"}'] == 2
    assert grown['proplet_stage_seconds_sum{stage="run"}'] > 2.5
    assert after["proplet_mqtt_connected"] == 1 and after["proplet_mqtt_reconnects_total"] == 0
    assert after["proplet_cpu_user_seconds"] > 0 and 0 <= after["proplet_cpu_usage_ratio"] <= 1
    assert 0.5 < after["proplet_memory_rss_bytes"] / worker.resident_bytes() < 2


def test_other_paths_are_not_found(worker, port):
    for path in ("/", "/health/", "/metrics2"):
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10)
        assert answer.value.code == 404 and answer.value.read() == b"not found"


def test_encrypted_tasks_are_counted_by_outcome_and_timed_by_stage(servers, manager, guests):
    port = s.free_port()
    reference = servers.push_encrypted(guests / "math_reactor.wasm", "monitoring:enc", "kbs:///default/key/monitoring")
    worker = servers.start_worker(PROPLET_TEE="sample", PROPLET_METRICS_PORT=port)
    task = {"name": "add", "inputs": ["2", "3"], "encrypted": True}
    assert manager.result(manager.start(worker, image_url=reference, **task)[0])[1]["results"] == "5"
    assert manager.result(manager.start(worker, image_url=servers.image("monitoring:none"), **task)[0])[1]["error"]
    found = series(port)
    assert found['proplet_tee_info{type="sample"}'] == 1
    assert found['proplet_encrypted_tasks_total{outcome="completed"}'] == 1
    assert found['proplet_encrypted_tasks_total{outcome="failed"}'] == 1
    for stage in ("resolve", "pull", "attest", "key", "decrypt", "compile", "run"):
        assert found[f'proplet_stage_seconds_count{{stage="{stage}"}}'] >= 1, stage
    assert found['proplet_stage_failures_total{stage="resolve"}'] == 1
    assert found["proplet_wasm_fetch_bytes_total"] == (guests / "math_reactor.wasm").stat().st_size
    assert worker.stop() == 0


def test_a_taken_port_leaves_the_worker_running(servers, manager, port, worker):
    second = servers.start_worker(PROPLET_TEE="off", PROPLET_METRICS_PORT=port)
    assert "no metrics over HTTP" in second.log_text()
    task, _ = manager.start(second, name="add", file=inline("math_reactor"), inputs=["2", "3"])
    assert manager.result(task)[1]["results"] == "5"
    assert second.stop() == 0
    assert health(port)["status"] == "ok"


def test_the_server_can_be_switched_off_and_bound_to_loopback(servers):
    port = s.free_port()
    worker = servers.start_worker(PROPLET_TEE="off", PROPLET_METRICS_PORT=port, PROPLET_METRICS_ENABLED="false")
    assert not s.listening(port)
    assert worker.stop() == 0
    worker = servers.start_worker(PROPLET_TEE="off", PROPLET_METRICS_PORT=port, PROPLET_METRICS_ADDRESS="127.0.0.2")
    assert not s.listening(port)
    assert json.loads(s.http_get(f"http://127.0.0.2:{port}/health"))["status"] == "ok"
    assert worker.stop() == 0


def test_health_tells_whether_the_broker_is_there():
    with s.Stack() as stack:
        broker, port = stack.start_broker(), s.free_port()
        worker = stack.start_worker(PROPLET_TEE="off", PROPLET_METRICS_PORT=port)
        assert health(port)["broker_connected"] is True
        broker.terminate()
        broker.wait()
        s.wait_until(lambda: health(port)["broker_connected"] is False, what="news of the broker's end")
        stack.start_broker()
        s.wait_until(lambda: health(port)["broker_connected"] is True, 60, what="the connection")
        assert series(port)["proplet_mqtt_reconnects_total"] == 1
        assert worker.stop() == 0


class Collector:
    """An OpenTelemetry collector that keeps the spans it is sent."""

    def __init__(self):
        self.requests = queue.Queue()
        requests = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                requests.put((self.path, self.headers["Content-Type"], body))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def spans(self, traces, seconds=30):
        """All spans, as soon as so many traces are complete, and the raw requests."""
        spans, raw, deadline = [], b"", time.monotonic() + seconds
        while sum(span["name"] == "task.start" for span in spans) < traces:
            path, kind, body = self.requests.get(timeout=max(0.01, deadline - time.monotonic()))
            assert path == "/v1/traces" and kind == "application/json"
            resource = json.loads(body)["resourceSpans"][0]
            attributes = {entry["key"]: entry["value"]["stringValue"] for entry in resource["resource"]["attributes"]}
            assert attributes["service.name"] == "proplet"
            spans += resource["scopeSpans"][0]["spans"]
            raw += body
        return spans, raw


def test_traces_tell_the_stages_of_each_task_and_nothing_of_its_content(servers, manager):
    collector = Collector()
    worker = servers.start_worker(PROPLET_TEE="off", PROPLET_OTEL_URL=collector.url, PROPLET_TRACE_RATIO="1")
    good, _ = manager.start(worker, name="add", file=inline("math_reactor"), inputs=["1234567", "7654321"],
                            env={"TOKEN": "env-secret"})
    assert manager.result(good)[1]["results"] == "8888888"
    bad, _ = manager.start(worker, name="unreachable", file=inline("traps"))
    assert manager.result(bad)[1]["error"].startswith("GUEST_TRAP")
    spans, raw = collector.spans(2)
    for secret in (b"1234567", b"8888888", b"env-secret", b"unreachable executed"):
        assert secret not in raw
    by_task = {task: {span["name"]: span for span in spans
                      if {"key": "task_id", "value": {"stringValue": task}} in span["attributes"]} for task in (good, bad)}
    for task in (good, bad):
        mine = by_task[task]
        assert {"task.start", "task.execute", "decode", "admit", "compile", "wasm.execute"} <= set(mine)
        assert len({span["traceId"] for span in mine.values()}) == 1
        root, execute = mine["task.start"], mine["task.execute"]
        assert "parentSpanId" not in root and execute["parentSpanId"] == root["spanId"]
        assert mine["wasm.execute"]["parentSpanId"] == execute["spanId"]
        for span in mine.values():
            begin, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
            assert int(root["startTimeUnixNano"]) <= begin <= end <= int(root["endTimeUnixNano"]) + 10**6
            assert abs(begin / 1e9 - time.time()) < 300
    assert by_task[good]["task.start"]["status"]["code"] == 1
    assert by_task[bad]["task.start"]["status"] == {"code": 2, "message": "GUEST_TRAP"}
    assert worker.stop() == 0


def test_a_collector_that_is_away_is_no_trouble(servers, manager):
    port = s.free_port()
    worker = servers.start_worker(PROPLET_TEE="off", PROPLET_OTEL_URL=f"http://127.0.0.1:{s.free_port()}/v1/traces",
                                  PROPLET_TRACE_RATIO="1", PROPLET_METRICS_PORT=port)
    for _ in range(3):
        task, _ = manager.start(worker, name="add", file=inline("math_reactor"), inputs=["2", "3"])
        assert manager.result(task)[1]["results"] == "5"
    s.wait_until(lambda: series(port)["proplet_traces_dropped_total"] == 3, what="the loss of the traces")
    assert worker.log_text().count("traces cannot be delivered") == 1
    assert worker.stop() == 0
