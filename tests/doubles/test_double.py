"""The double of the Manager is worth as much as it resembles the real one, and notices what is wrong."""

import json
import threading
import time
import uuid

import pytest

import link
import manager as double
import proxy as registry
import stack as s
from bench import RECORDED_WORKER, RESULTS, Bench, inline, recording, states
from protocol import Protocol


@pytest.mark.parametrize("name", ["inline", "restart", "encrypted", "daemon_all_fields", "broadcast", "latent",
                                  "failure", "chunks", "result_kinds"])
def test_the_double_sends_the_recorded_starts_to_the_letter(name):
    created, checked = {}, 0
    for exchange in recording(name) + [e for e in recording("inline") if name == "restart"]:
        if exchange["kind"] == "http" and (exchange["method"], exchange["path"]) == ("POST", "/tasks"):
            created[exchange["response"]["id"]] = exchange["request"]
    for exchange in recording(name):
        if exchange["kind"] == "mqtt" and exchange["topic"] == "control/manager/start":
            sent = exchange["payload"]
            task = {"cli_args": None, **created[sent["id"]], "id": sent["id"], "state": sent["state"],
                    "file": sent.get("file")}
            task["inputs"] = [double.input_text(value) for value in task.get("inputs", [])]
            ours = double.start_message(task, None if task.get("broadcast") else RECORDED_WORKER)
            assert json.dumps(ours) == json.dumps(sent)
            checked += 1
    assert checked


def test_the_double_makes_of_recorded_results_what_the_real_manager_made():
    with s.Stack() as stack:
        stack.start_broker()
        manager = double.Manager(stack.mqtt_port, s.BASE, Protocol())
        assert compare_states(manager) > 10
        manager.close()


def compare_states(manager):
    """How many of the recorded views of tasks are equal to the double's own."""
    checked = 0
    for name in ("inline", "failure", "broadcast", "daemon_all_fields", "encrypted", "result_kinds"):
        for exchange in recording(name):
            path = exchange.get("path", "").split("/")
            if exchange["kind"] == "http" and exchange["method"] == "POST" and path == ["", "tasks"]:
                task = exchange["response"]
                manager.tasks.put(task["id"], {**task, "state": double.RUNNING})
            elif exchange["kind"] == "mqtt" and exchange["topic"] == RESULTS and isinstance(exchange["payload"], dict):
                manager.on_result(exchange["payload"], 0)
            elif exchange["kind"] == "http" and exchange["method"] == "GET" and len(path) == 3 and path[1] == "tasks":
                seen, ours = exchange["response"], manager.tasks.get(path[2])
                assert (ours["state"], ours.get("results"), ours.get("error")) == (
                    seen["state"], seen.get("results"), seen.get("error"))
                checked += 1
    return checked


W = RECORDED_WORKER
GOOD = {"task_id": "t", "proplet_id": W, "results": "", "error": None}
FAULTY = [
    ("another order", RESULTS, {"proplet_id": W, "task_id": "t", "results": "", "error": None}, {}, "has the members"),
    ("a member missing", RESULTS, {"task_id": "t", "proplet_id": W, "results": ""}, {}, "has the members"),
    ("one too many", RESULTS, {**GOOD, "state": 3}, {}, "has the members"),
    ("results that are a number", RESULTS, {**GOOD, "results": 3}, {}, "results has a wrong type"),
    ("an empty error", RESULTS, {**GOOD, "error": ""}, {}, "without words"),
    ("a task that nobody started", RESULTS, {**GOOD, "task_id": "x"}, {}, "1 answers to 0 starts"),
    ("an answer too soon", RESULTS, GOOD, {}, "after the start"),
    ("a retained answer", RESULTS, GOOD, {"retain": True}, "retained"),
    ("another quality of service", RESULTS, GOOD, {"qos": 1}, "QoS 1"),
    ("a worker that is no UUID", RESULTS, {**GOOD, "proplet_id": "w"}, {}, "badly formed"),
    ("no JSON", RESULTS, None, {}, "no JSON"),
    ("a topic of its own", "control/proplet/log", {}, {}, "nobody knows the topic"),
    ("a will", double.ALIVE, {"proplet_id": W, "status": "offline", "namespace": "x"}, {}, "says offline"),
    ("a time that is an object", "control/proplet/task_metrics", {"task_id": "t", "proplet_id": W, "metrics": {},
        "aggregated": None, "timestamp": {"secs_since_epoch": 1}}, {}, "no RFC 3339 time"),
]


@pytest.mark.parametrize("topic, message, delivery, fault", [row[1:] for row in FAULTY], ids=[row[0] for row in FAULTY])
def test_the_double_notices(topic, message, delivery, fault):
    protocol = Protocol(floor=1000)
    protocol.started({"id": "t"}, [W])
    heard = double.link.Heard(topic, b"", **{"qos": 2, "retain": False, "arrived": time.monotonic(), **delivery})
    protocol.heard(heard, message)
    assert any(fault in found for found in protocol.faults), protocol.faults


def test_the_double_notices_a_second_answer_and_a_late_heartbeat():
    protocol = Protocol()
    protocol.started({"id": "t"}, [W])
    assert protocol.unanswered() == ["t"]
    for arrived in (time.monotonic(), time.monotonic()):
        protocol.heard(double.link.Heard(RESULTS, b"", 2, False, arrived), GOOD)
    for arrived in (100, 109, 119.5):
        protocol.heard(double.link.Heard(double.ALIVE, b"", 2, False, arrived),
                       {"proplet_id": W, "status": "alive", "namespace": "x"})
    assert [fault.split(" of ")[0] for fault in protocol.faults] == [
        "2 answers to 1 starts", "10.5 s without a heartbeat"]
    assert protocol.unanswered() == []


class SlowestStore(double.Store):
    """Writes that a task runs only when its result has been handled: the race is lost, however slow the machine is."""

    def put(self, key, value):
        if value["state"] == double.RUNNING:
            s.wait_until(lambda: self.values[key]["state"] == double.COMPLETED, 60, "the result")
        super().put(key, value)


@states("0.3")
def test_the_double_loses_results_that_come_too_soon_and_the_floor_saves_them(servers):
    """As was measured at the real Manager (race.json)."""
    outcomes = {}
    for floor in (0, 2000):
        here = Bench(servers, floor=floor / 1000, loses_results=True, PROPLET_TEE="off", PROPLET_RESULT_FLOOR_MS=floor)
        if floor == 0:
            here.manager.tasks = SlowestStore(0)
        else:
            here.manager.tasks.write_seconds = here.manager.proplets.write_seconds = 0.3
        task = here.manager.create_task(name="add", file=inline("math_reactor.wasm"), inputs=[1, 2],
                                        proplet_id=here.worker.entity)
        here.manager.start(task)
        here.answer(task)
        here.manager.inbox.put(None)  # everything that was heard has been handled when this is
        here.manager.thread.join()
        outcomes[floor] = here.manager.tasks.get(task)
        here.close()
    assert (outcomes[0]["state"], outcomes[0].get("results")) == (double.RUNNING, None)
    assert (outcomes[2000]["state"], outcomes[2000]["results"]) == (double.COMPLETED, "3")


def test_the_proxys_double_sends_chunks_as_recorded_drops_repeated_requests_and_ignores_unknown_names():
    recorded = [e["payload"] for e in recording("chunks") if e.get("topic") == "registry/server"]
    name, size = recorded[0]["app_name"], 2 * 512000 + 276581
    with s.Stack() as stack:
        stack.start_broker()
        heard, held = [], threading.Event()
        proxy = registry.Proxy(stack.mqtt_port, s.BASE, {name: bytes(size)},
                               disturbance=lambda request, chunks: held.wait(20) and chunks)
        ear = link.Link(stack.mqtt_port, s.BASE, ["registry/server"], heard.append)
        for request in ("nobody/has:this", name, name):
            ear.publish("registry/proplet", {"app_name": request}, wait=True)
        s.wait_until(lambda: len(proxy.requests) == 3, what="the requests")
        held.set()
        s.wait_until(lambda: not proxy.in_flight and len(heard) >= len(recorded), what="the chunks")
        ear.publish("registry/server", "end", wait=True)
        s.wait_until(lambda: heard[-1].payload == b"end", what="the end")
        sent = [json.loads(h.payload) for h in heard[:-1]]
        assert [(list(c), c["app_name"], c["chunk_idx"], c["total_chunks"], len(c["data"])) for c in sent] == [
            (["app_name", "chunk_idx", "total_chunks", "data"], name, c["chunk_idx"], c["total_chunks"], c["data_len"])
            for c in recorded]
        ear.close()
        proxy.close()
