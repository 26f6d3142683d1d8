"""Commands and their answers on the Propeller protocol, among them every command recorded from a real Manager."""

import base64
import json
import pathlib
import queue
import threading
import time

import paho.mqtt.client as mqtt
import pytest

import stack as s

RECORDINGS = pathlib.Path(__file__).resolve().parents[1] / "vectors" / "propeller"
RESULT_KEYS = ["task_id", "proplet_id", "results", "error"]
RESULTS, INVOKE_RESULTS = "control/proplet/results", "control/proplet/invoke_results"


def inline(name):
    return base64.b64encode((s.GUESTS / name).read_bytes()).decode()


def recorded(command):
    """Every message of one kind, with the file it is from."""
    found = []
    for file in sorted(RECORDINGS.glob("*.json")):
        for exchange in json.loads(file.read_text()).get("exchanges", []):
            if exchange["kind"] == "mqtt" and exchange["topic"] == f"control/manager/{command}":
                found.append(pytest.param(exchange["payload"], id=f"{file.stem}-{len(found)}"))
    return found


def raw(manager, topic, seconds=20):
    """The next message on a topic as its text."""
    deadline = time.monotonic() + seconds
    while True:
        _, name, payload = manager.messages.get(timeout=max(0.01, deadline - time.monotonic()))
        if name == topic:
            return payload.decode()


def silent(manager, *topics, seconds=0.4):
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            _, name, payload = manager.messages.get(timeout=left)
        except queue.Empty:
            return
        assert name not in topics, payload


def run(manager, worker, **fields):
    task, _ = manager.start(worker, **fields)
    result = manager.result(task)[1]
    assert set(result) == set(RESULT_KEYS)
    return result


@pytest.fixture(scope="module")
def images(servers):
    """The recorded images by their recorded names, in our registry."""
    return servers.push_recorded_images()


def here(servers, worker, message, spin_digest):
    """A recorded message for this worker and this registry."""
    message = dict(message)
    if "proplet_id" in message:
        message["proplet_id"] = worker.entity
    if url := message.get("image_url"):
        name = url.split("/", 1)[1]
        message["image_url"] = servers.image(name.split("@")[0] + "@" + spin_digest if "@" in name else name)
    return message


def expected_answer(message):
    """(results, beginning of the error) that a recorded start must get."""
    if message["latent"]:
        return "", "UNSUPPORTED: "
    if message["daemon"]:
        return "", None
    if message["name"] in ("a", "b"):
        return "1", None
    inputs = message.get("inputs", [])
    if len(inputs) != 2:
        return "", "ARGUMENT_MISMATCH: "
    return str(sum(map(int, inputs))), None


@pytest.mark.parametrize("message", recorded("start"))
def test_every_recorded_start_is_answered_once_with_all_four_keys(servers, manager, sample_worker, images, message):
    message = here(servers, sample_worker, message, images)
    manager.publish("control/manager/start", message)
    text = raw(manager, RESULTS)
    answer = json.loads(text)
    results, error = expected_answer(message)
    assert list(answer) == RESULT_KEYS, text
    assert (answer["task_id"], answer["proplet_id"]) == (message["id"], sample_worker.entity)
    assert answer["results"] == results, text
    if error is None:
        assert answer["error"] is None
    else:
        assert answer["error"].startswith(error)
    if message["daemon"]:
        manager.publish("control/manager/stop", {"id": message["id"], "proplet_id": sample_worker.entity})
    silent(manager, RESULTS, seconds=0.2)


@pytest.mark.parametrize("message", recorded("stop"))
def test_every_recorded_stop_stops_its_task_and_only_the_task_answers(servers, manager, sample_worker, images, message):
    message = here(servers, sample_worker, message, images)
    manager.start(sample_worker, id=message["id"], file=inline("spin.wasm"), name="_start")
    silent(manager, RESULTS, seconds=0.3)
    manager.publish("control/manager/stop", message)
    _, result = manager.result(message["id"], 10)
    assert list(result) == RESULT_KEYS
    assert result["results"] == "" and "stopped" in result["error"]
    manager.publish("control/manager/stop", message)  # unknown by now: no acknowledgement
    silent(manager, RESULTS, seconds=0.2)


@pytest.mark.parametrize("message", recorded("invoke"))
def test_every_recorded_invoke_is_told_that_nothing_is_deployed(servers, manager, sample_worker, images, message):
    manager.publish("control/manager/invoke", here(servers, sample_worker, message, images))
    answer = json.loads(raw(manager, INVOKE_RESULTS))
    assert set(answer) == {"task_id", "invocation_id", "proplet_id", "results", "error"}
    assert answer["task_id"] == message["id"]
    assert answer["invocation_id"] == message["invocation_id"]
    assert answer["proplet_id"] == sample_worker.entity
    assert answer["results"] == ""
    # The Manager looks for this text and deploys again.
    assert f"task {message['id']} has not been precompiled; deploy it as a latent task first" in answer["error"]
    silent(manager, RESULTS, INVOKE_RESULTS, seconds=0.2)


def test_commands_for_another_worker_are_ignored(manager, sample_worker):
    other = "55555555-5555-4555-8555-555555555555"
    manager.start(sample_worker, file=inline("math_reactor.wasm"), inputs=["1", "2"], proplet_id=other)
    manager.publish("control/manager/start", {"id": "t", "name": "add", "proplet_id": other, "file": 7})
    manager.publish("control/manager/invoke", {"id": "t", "invocation_id": "i", "proplet_id": other, "inputs": None})
    silent(manager, RESULTS, INVOKE_RESULTS)


def test_a_start_without_a_target_is_for_everybody(manager, sample_worker):
    manager.publish("control/manager/start", {"id": "no-target", "name": "add", "inputs": ["1", "2"],
                                              "file": inline("math_reactor.wasm")})
    assert manager.result("no-target")[1]["results"] == "3"


def test_broadcast_wins_over_the_target(manager, sample_worker):
    result = run(manager, sample_worker, file=inline("math_reactor.wasm"), inputs=["1", "2"], broadcast=True,
                 proplet_id="55555555-5555-4555-8555-555555555555")
    assert (result["results"], result["proplet_id"]) == ("3", sample_worker.entity)


def test_null_is_the_same_as_absent_and_unknown_fields_are_ignored(manager, sample_worker):
    result = run(manager, sample_worker, file=inline("math_reactor.wasm"), inputs=["1", "2"], image_url=None, env=None,
                 cli_args=None, broadcast=None, daemon=None, latent=None, encrypted=None, kbs_resource_path=None,
                 monitoring_profile=None, hal_storage_path=None, mode=None, metadata=None,
                 parent_results={"x": {"y": [1]}}, kind="standard", priority=50, future={"a": [None]})
    assert (result["results"], result["error"]) == ("3", None)
    assert run(manager, sample_worker, file=inline("numbers.wasm"), name="nothing", inputs=None)["error"] is None


def test_a_state_above_zero_is_a_task_started_again(manager, sample_worker):
    first, _ = manager.start(sample_worker, file=inline("math_reactor.wasm"), inputs=["1", "2"])
    assert manager.result(first)[1]["results"] == "3"
    manager.start(sample_worker, id=first, state=3, file=inline("math_reactor.wasm"), inputs=["3", "4"])
    assert manager.result(first)[1]["results"] == "7"


def test_an_inline_module_wins_over_an_image(manager, sample_worker):
    result = run(manager, sample_worker, file=inline("math_reactor.wasm"), inputs=["1", "2"],
                 image_url="127.0.0.1:1/nowhere:1")
    assert result["results"] == "3"


@pytest.mark.parametrize("change, text", [
    ({"name": ""}, "name is required"),
    ({"file": ""}, "either file or image_url must be provided"),
    ({"encrypted": True, "file": ""}, "image_url is required for encrypted workloads"),
    ({"encrypted": True, "image_url": "127.0.0.1:1/a:1"}, "encrypted workloads should only use image_url, not file")])
def test_validation_errors_are_answered_in_the_known_words(manager, sample_worker, change, text):
    result = run(manager, sample_worker, **{"file": inline("math_reactor.wasm"), **change})
    assert text in result["error"] and result["results"] == ""


def test_a_daemon_is_answered_at_once_and_never_again(manager, sample_worker):
    for guest in ("math_reactor.wasm", "traps.wasm"):  # one that ends well, one that ends badly
        task, _ = manager.start(sample_worker, file=inline(guest), inputs=["1", "2"] if "math" in guest else [],
                                name="add" if "math" in guest else "unreachable", daemon=True)
        answer = manager.result(task)[1]
        assert (answer["results"], answer["error"]) == ("", None)
    task, _ = manager.start(sample_worker, file=inline("spin.wasm"), name="_start", daemon=True)
    assert manager.result(task, 10)[1] == {"task_id": task, "proplet_id": sample_worker.entity, "results": "",
                                           "error": None}
    silent(manager, RESULTS, seconds=0.3)
    manager.publish("control/manager/stop", {"id": task, "proplet_id": sample_worker.entity})
    silent(manager, RESULTS, seconds=0.5)


def test_an_encrypted_task_has_its_environment_too(servers, manager, sample_worker):
    image = servers.push_encrypted(s.GUESTS / "environment.wasm", "protocol:env", "kbs:///default/key/protocol-env")
    result = run(manager, sample_worker, image_url=image, encrypted=True, name="_start", env={"K": "v"})
    assert sorted(result["results"].split()) == ["K=v", f"PROPLET_ID={sample_worker.entity}"]


def test_start_and_stop_of_one_task_keep_their_order(manager, sample_worker):
    for _ in range(5):
        task, _ = manager.start(sample_worker, file=inline("spin.wasm"), name="_start")
        manager.publish("control/manager/stop", {"id": task, "proplet_id": sample_worker.entity})
        assert "stopped" in manager.result(task, 10)[1]["error"]


def test_tasks_run_beside_each_other(manager, sample_worker):
    endless = [manager.start(sample_worker, file=inline("spin.wasm"), name="_start")[0] for _ in range(3)]
    assert run(manager, sample_worker, file=inline("math_reactor.wasm"), inputs=["1", "2"])["results"] == "3"
    for task in endless:
        manager.publish("control/manager/stop", {"id": task})
    stopped = {manager.next(RESULTS)[1]["task_id"] for _ in endless}
    assert stopped == set(endless)


def test_results_are_held_until_the_manager_can_take_them(servers, manager):
    """A real Manager loses a result that comes within some milliseconds; the default floor is 10 ms."""
    worker = servers.start_worker(PROPLET_TEE="off", PROPLET_RESULT_FLOOR_MS="")
    spans = []
    for _ in range(5):
        task, sent = manager.start(worker, file=inline("numbers.wasm"), name="nothing")
        arrived, result = manager.result(task)
        assert result["error"] is None
        spans.append(arrived - sent)
        task, sent = manager.start(worker, file="", name="x")  # an error found at once waits as well
        spans.append(manager.result(task)[0] - sent)
    assert min(spans) >= 0.010, spans
    assert worker.stop() == 0


def test_the_floor_is_a_setting(servers, manager):
    worker = servers.start_worker(PROPLET_TEE="off", PROPLET_RESULT_FLOOR_MS="400")
    task, sent = manager.start(worker, file=inline("numbers.wasm"), name="nothing")
    assert manager.result(task)[0] - sent >= 0.4
    assert worker.stop() == 0


def test_nothing_is_ever_retained(servers, manager, sample_worker):
    run(manager, sample_worker, file=inline("math_reactor.wasm"), inputs=["1", "2"])
    retained, heard = [], threading.Event()
    late = mqtt.Client()  # comes after the worker has published everything

    def on_message(client, data, message):
        retained.extend([message.topic] if message.retain else [])
        heard.set()

    late.on_message = on_message
    late.on_connect = lambda client, *_: client.subscribe(f"{s.BASE}/#", 2)
    late.connect("127.0.0.1", servers.mqtt_port)
    late.loop_start()
    assert heard.wait(12), "not even a heartbeat came"
    late.disconnect()
    late.loop_stop()
    assert retained == []
