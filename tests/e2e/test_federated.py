"""Federated rounds against a model registry, a data store and a coordinator that are one small HTTP server."""

import base64
import contextlib
import http.server
import queue
import threading
import time
import uuid

import paho.mqtt.client as mqtt
import pytest

import stack as s


class Round(http.server.ThreadingHTTPServer):
    """Answers GET with what `bodies` has for the path, POST with `post_status`, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", s.free_port()), Handler)
        self.bodies, self.post_status, self.asked, self.hang = {}, 200, queue.Queue(), False
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.put(("GET", self.path, None))
        while self.server.hang:
            time.sleep(0.05)
        status, body = self.server.bodies.get(self.path, (404, b"{}"))
        self.answer(status, body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.put(("POST", self.path, body))
        assert self.headers["Content-Type"] == "application/json"
        self.answer(self.server.post_status, b"{}")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def round_server():
    server = Round()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.hang = False
    server.shutdown()
    server.server_close()


@pytest.fixture
def updates(servers):
    """What is published outside the channel, for coordinators that listen to MQTT."""
    received, subscribed = queue.Queue(), threading.Event()
    client = mqtt.Client(client_id=f"coordinator-{uuid.uuid4()}")
    client.on_message = lambda client, data, message: received.put((message.topic, message.payload))
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_connect = lambda client, *_: client.subscribe("fl/#", 2)
    client.connect("127.0.0.1", servers.mqtt_port)
    client.loop_start()
    assert subscribed.wait(20)
    yield received
    client.disconnect()
    client.loop_stop()


def inline(name):
    return base64.b64encode((s.GUESTS / name).read_bytes()).decode()


def add(manager, worker, **env):
    """A task whose output is 42, which is JSON."""
    task, _ = manager.start(worker, file=inline("math_reactor.wasm"), name="add", inputs=["40", "2"], env=env)
    return task


def environment(manager, worker, **env):
    """What the guest of a task finds in its environment."""
    task, _ = manager.start(worker, file=inline("environment.wasm"), name="_start", env=env)
    result = manager.result(task)[1]
    assert result["error"] is None, result
    return dict(line.split("=", 1) for line in result["results"].splitlines())


def test_model_and_data_set_are_in_the_guests_environment(manager, sample_worker, round_server):
    round_server.bodies = {"/m/models/7": (200, b'{"w": [0.5,  1]}'), "/d/datasets/lab-3": (200, b'{"size": 2}')}
    seen = environment(manager, sample_worker, MODEL_URI="fl/models/global_model_v7", PROPLET_ID="lab-3",
                       MODEL_REGISTRY_URL=round_server.url + "/m/", DATA_STORE_URL=round_server.url + "/d")
    assert seen["MODEL_DATA"] == '{"w": [0.5,  1]}' and seen["DATASET_DATA"] == '{"size": 2}'
    assert [round_server.asked.get(timeout=1)[1] for _ in range(2)] == ["/m/models/7", "/d/datasets/lab-3"]


@pytest.mark.parametrize("answer", [(404, b"{}"), (200, b"not JSON"), (200, b"[" * 1000 + b"]" * 1000),
                                    (200, b" " * (17 << 20) + b"1")],
                         ids=["missing", "not-json", "too-deep", "too-large"])
def test_a_model_that_cannot_be_had_is_missing_and_the_task_runs(manager, sample_worker, round_server, answer):
    round_server.bodies = {"/models/1": answer}
    seen = environment(manager, sample_worker, MODEL_URI="m1", MODEL_REGISTRY_URL=round_server.url)
    assert "MODEL_DATA" not in seen and seen["MODEL_URI"] == "m1"


def test_no_exchange_is_with_the_addresses_where_clouds_keep_credentials(manager, sample_worker, updates):
    service = "http://169.254.169.254"
    task = add(manager, sample_worker, MODEL_URI="m1", MODEL_REGISTRY_URL=service, ROUND_ID="r-metadata",
               MANAGER_COORDINATOR_URL=service)
    assert manager.result(task)[1]["error"] is None
    assert sample_worker.log_text().count("DESTINATION_REFUSED") == 2


def test_an_update_goes_to_the_coordinator_and_into_the_result(manager, sample_worker, round_server, updates):
    task = add(manager, sample_worker, ROUND_ID="r1", MANAGER_COORDINATOR_URL=round_server.url, FL_NUM_SAMPLES="12")
    result = manager.result(task)[1]
    assert list(result) == ["task_id", "results", "error"] and result["error"] is None
    assert list(result["results"].items()) == [
        ("task_id", task), ("round_id", "r1"), ("proplet_id", sample_worker.entity), ("num_samples", 12),
        ("update_b64", base64.b64encode(b"42").decode()), ("format", "f32-delta"), ("metrics", {})]
    assert round_server.asked.get(timeout=5) == ("POST", "/update", b"42")
    with pytest.raises(queue.Empty):
        updates.get(timeout=0.3)


@pytest.mark.parametrize("status", [302, 404, 500, None])
def test_an_update_that_is_not_taken_is_published(manager, sample_worker, round_server, updates, status):
    round_server.post_status = status or 200
    url = round_server.url if status else f"http://127.0.0.1:{s.free_port()}"
    task = add(manager, sample_worker, ROUND_ID="r/2", MANAGER_COORDINATOR_URL=url)
    assert manager.result(task)[1]["error"] is None
    assert updates.get(timeout=10) == (f"fl/rounds/r%2F2/updates/{sample_worker.entity}", b"42")


def test_output_that_is_not_json_is_in_the_result_alone(manager, sample_worker, round_server, updates):
    task, _ = manager.start(sample_worker, file=inline("environment.wasm"), name="_start",
                            env={"ROUND_ID": "r1", "MANAGER_COORDINATOR_URL": round_server.url})
    result = manager.result(task)[1]
    assert b"ROUND_ID=r1\n" in base64.b64decode(result["results"]["update_b64"])
    assert round_server.asked.empty() and updates.empty()


def test_a_failed_guest_has_a_failed_result_and_no_update(manager, sample_worker, round_server, updates):
    task, _ = manager.start(sample_worker, file=inline("traps.wasm"), name="unreachable",
                            env={"ROUND_ID": "r1", "MANAGER_COORDINATOR_URL": round_server.url})
    result = manager.result(task)[1]
    assert result["error"].startswith("GUEST_TRAP") and result["results"]["update_b64"] == ""
    assert round_server.asked.empty() and updates.empty()


@pytest.mark.parametrize("env,error", [
    ({"ROUND_ID": "r1"}, "CONFIG_INVALID: the task has a ROUND_ID"),
    ({"MODEL_URI": "m1"}, "CONFIG_INVALID: the task has a MODEL_URI"),
    ({"ROUND_ID": "r1", "MANAGER_COORDINATOR_URL": "nonsense"}, "MESSAGE_INVALID: env MANAGER_COORDINATOR_URL"),
    ({"DATA_STORE_URL": "http://x/?y="}, "MESSAGE_INVALID: env DATA_STORE_URL"),
    ({"ROUND_ID": "r" * 5000, "MANAGER_COORDINATOR_URL": "http://127.0.0.1"}, "MESSAGE_INVALID: env ROUND_ID"),
])
def test_an_address_that_is_missing_or_wrong_fails_the_task(manager, sample_worker, env, error):
    assert manager.result(add(manager, sample_worker, **env))[1]["error"].startswith(error)


def test_a_stop_ends_the_wait_for_a_model(manager, sample_worker, round_server):
    round_server.hang = True
    task = add(manager, sample_worker, MODEL_URI="m1", MODEL_REGISTRY_URL=round_server.url)
    round_server.asked.get(timeout=20)
    stopped = time.monotonic()
    manager.publish("control/manager/stop", {"id": task})
    arrived, result = manager.result(task)
    assert result["error"].startswith("TASK_STOPPED") and arrived - stopped < 2


def test_the_operators_addresses_serve_tasks_that_have_none(servers, manager, round_server):
    round_server.bodies = {"/models/3": (200, b"[3]")}
    worker = servers.start_worker(MODEL_REGISTRY_URL=round_server.url, DATA_STORE_URL=round_server.url,
                                  MANAGER_COORDINATOR_URL=round_server.url)
    round_server.bodies[f"/datasets/{worker.entity}"] = (200, b"[4]")
    seen = environment(manager, worker)  # every task has a data set then
    assert seen["DATASET_DATA"] == "[4]" and "MODEL_DATA" not in seen
    assert environment(manager, worker, MODEL_URI="x3")["MODEL_DATA"] == "[3]"
    task = add(manager, worker, ROUND_ID="r9")
    assert manager.result(task)[1]["results"]["round_id"] == "r9"
    assert worker.stop() == 0
    asked = [round_server.asked.get_nowait() for _ in range(round_server.asked.qsize())]
    assert asked[-1] == ("POST", "/update", b"42")


def test_the_update_of_an_encrypted_task_is_not_sent_in_clear_to_whom_the_task_names(servers, manager, sample_worker,
                                                                                     round_server, updates):
    image = servers.push_encrypted(s.GUESTS / "math_reactor.wasm", "round/add:1", "kbs:///default/key/round")
    task, _ = manager.start(sample_worker, image_url=image, encrypted=True, name="add", inputs=["40", "2"],
                            env={"ROUND_ID": "r1", "MANAGER_COORDINATOR_URL": round_server.url})
    assert manager.result(task)[1]["error"] is None
    assert updates.get(timeout=10)[1] == b"42"
    assert round_server.asked.empty()
