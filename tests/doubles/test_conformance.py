"""The worker against the doubles of Manager and proxy: recorded scenarios, tables of single commands, and what needs
more than one. A new case is a new row. Each test names the statements of the protocol that it holds."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time
import uuid

import pytest

import manager as double
import stack as s
from bench import VECTORS, Bench, Row, check_row, inline, recording, states
from protocol import Protocol

STOPPED = r"TASK_STOPPED: task .* was stopped before completion"


@pytest.fixture(scope="module")
def bench(servers):
    made = Bench(servers, PROPLET_TEE="sample", PROPLET_TAGS="lab, gpu")
    yield made
    made.close()


# Recorded scenarios: the double does what the recorded user asked for, the worker answers, the states are compared.

@pytest.fixture(scope="module")
def images(servers):
    """The images of the recordings, in our registry; the digest that stands for the recorded one."""
    return servers.push_recorded_images()


class Replay:
    """Repeats what a recorded user did, with tasks of our own in the place of the recorded ones."""

    def __init__(self, bench, digest):
        self.bench, self.digest, self.ids = bench, digest, {}

    def task(self, recorded, file=None):
        fields = {name: value for name, value in recorded.items() if name != "id"}
        if url := fields.get("image_url"):
            name = url.split("/", 1)[1]
            pinned = name.split("@")[0] + "@" + self.digest
            fields["image_url"] = self.bench.servers.image(pinned if "@" in name else name)
        if file:
            fields["file"] = file
        if "depends_on" in fields:
            fields["depends_on"] = [self.ids[parent] for parent in fields["depends_on"]]
        return fields

    def request(self, exchange, exchanges):
        manager, path = self.bench.manager, exchange["path"].split("/")[1:]
        body = exchange["request"] or {}
        if path == ["tasks"]:
            self.ids[exchange["response"]["id"]] = manager.create_task(**self.task(body))
        elif path in (["workflows"], ["jobs"]):
            group = str(uuid.uuid4()) if path == ["workflows"] else None
            for recorded, made in zip(body["tasks"], exchange["response"]["tasks"]):
                self.ids[made["id"]] = manager.create_task(workflow_id=group, **self.task(recorded))
        elif path[0] == "jobs" and path[-1] == "start":
            for task in self.ids.values():
                manager.start(task)
        elif path[-1] == "upload":
            file = next(e["payload"]["file"] for e in exchanges if e.get("topic") == "control/manager/start")
            task = manager.tasks.get(self.ids[path[1]])
            manager.write({**task, "file": file})
        elif path[-1] == "start":
            if exchange["status"] == 200:
                return manager.start(self.ids[path[1]])
            with pytest.raises(double.Refused, match=exchange["response"]["error"]):
                manager.start(self.ids[path[1]])
        elif path[-1] == "stop":  # the recorded user took his time
            manager.wait(self.ids[path[1]])
            manager.stop(self.ids[path[1]])
        elif path[-1] == "invoke":
            answer = manager.invoke(self.ids[path[1]], body.get("inputs"), body.get("env"))
            assert f"task {self.ids[path[1]]} has not been precompiled" in answer["error"]
        elif exchange["method"] == "GET" and path[0] == "tasks":
            manager.wait(self.ids[path[1]])


# What becomes of each task of a scenario, in the order they were created. Latent tasks are not in this version.
SCENARIOS = [
    ("inline", [(double.COMPLETED, "30", None)]),
    ("restart", [(double.COMPLETED, "30", None)]),
    ("encrypted", [(double.COMPLETED, "30", None)]),
    ("daemon_all_fields", [(double.COMPLETED, "", None)]),
    ("broadcast", [(double.FAILED, "", "ARGUMENT_MISMATCH: ")]),
    ("failure", [(double.FAILED, "", "ARGUMENT_MISMATCH: ")]),
    ("latent", [(double.FAILED, "", "UNSUPPORTED: ")]),
    ("job", [(double.COMPLETED, "1", None), (double.COMPLETED, "1", None)]),
    ("workflow", [(double.COMPLETED, "1", None), (double.COMPLETED, "1", None)]),
]


@states("0.4", "0.6", "8.4", "8.8", "8.9")
@pytest.mark.parametrize("name, outcomes", SCENARIOS, ids=[name for name, _ in SCENARIOS])
def test_a_recorded_scenario_ends_as_it_should(bench, images, name, outcomes):
    exchanges = recording(name)
    if name == "restart":  # of the task that scenario inline left behind
        exchanges = recording("inline") + exchanges
    replay = Replay(bench, images)
    for exchange in exchanges:
        if exchange["kind"] == "http":
            replay.request(exchange, exchanges)
    for task_id, (state, results, error) in zip(replay.ids.values(), outcomes, strict=True):
        task = bench.manager.wait(task_id)
        assert (task["state"], task["results"]) == (state, results), task
        assert task.get("error") is None if error is None else task["error"].startswith(error), task


# Single commands: what is sent, what must come back.

SUM = {"file": "math_reactor.wasm", "inputs": ["1", "2"]}
ROWS = [
    Row("a name that is a number", ("0.4", "11.1"), {**SUM, "name": 7}, error="MESSAGE_INVALID: name "),
    Row("inputs that are an object", ("0.4", "11.1"), {**SUM, "inputs": {}}, error="MESSAGE_INVALID: inputs "),
    Row("a list among the inputs", ("0.4", "11.1"), {**SUM, "inputs": [[]]}, error="MESSAGE_INVALID: inputs "),
    Row("a number in env", ("0.4", "11.1"), {**SUM, "env": {"A": 1}}, error="MESSAGE_INVALID: env "),
    Row("a daemon that is a word", ("0.4", "11.1"), {**SUM, "daemon": "yes"}, error="MESSAGE_INVALID: daemon "),
    Row("no name", ("0.4",), {**SUM, "name": ""}, error="MESSAGE_INVALID: name is required"),
    Row("no module", ("0.4",), {"file": ""}, error="MESSAGE_INVALID: either file or image_url must be provided"),
    Row("encrypted without image", ("0.4",), {"encrypted": True},
        error="MESSAGE_INVALID: image_url is required for encrypted workloads"),
    Row("encrypted with a file", ("0.4",), {**SUM, "encrypted": True, "image_url": "localhost/a:1"},
        error="MESSAGE_INVALID: encrypted workloads should only use image_url, not file"),
    Row("base64 that is none", ("0.4",), {"raw_file": "AGFzb!"}, error=r"[A-Z_]+: "),
    Row("bytes that are no module", ("0.4",), {"raw_file": "bm8gbW9kdWxl"}, error="MODULE_INVALID: "),
    Row("no such export", ("0.4",), {"file": "numbers.wasm", "name": "nobody"}, error="EXPORT_NOT_FOUND: "),
    Row("a trap", ("0.6",), {"file": "traps.wasm", "name": "unreachable"},
        error="GUEST_TRAP: unreachable instruction executed"),
    Row("null for all that is optional", ("8.4",), {**SUM, **dict.fromkeys(
        ("image_url", "env", "cli_args", "broadcast", "daemon", "latent", "encrypted", "kbs_resource_path",
         "monitoring_profile", "hal_storage_path", "mode", "metadata", "parent_results"))}, "3"),
    Row("members nobody knows", ("8.4",), {**SUM, "kind": "standard", "priority": 50, "x": {"y": [None, {}]}}, "3"),
    Row("numbers as inputs", ("8.4",), {**SUM, "inputs": [1, 2]}, "3"),
    Row("an unsigned result", ("8.6",), {**SUM, "inputs": ["2147483647", "2147483648"]}, error="ARGUMENT_MISMATCH: "),
    Row("a result beyond the sign", ("8.6",), {**SUM, "inputs": ["2147483647", "2147483647"]}, "-2"),
    Row("no result", ("8.6",), {"file": "numbers.wasm", "name": "nothing"}, ""),
    Row("a vector", ("8.6",), {"file": "numbers.wasm", "name": "vector"}, ""),
    Row("a reference", ("8.6",), {"file": "numbers.wasm", "name": "reference"}, ""),
    Row("two results", ("8.6",), {"file": "numbers.wasm", "name": "two"}, "1"),
    Row("too few inputs", ("8.6",), {**SUM, "inputs": ["1"]},
        error="ARGUMENT_MISMATCH: Argument count mismatch for function 'add': expected 2 arguments but got 1"),
    Row("stdout as it is", ("8.6",), {"file": "matrix_c.wasm", "name": "_start", "inputs": ["args", " a ", "b\n"]},
        " a \nb\n\n"),
    Row("a latent task", ("8.8",), {**SUM, "latent": True}, error="UNSUPPORTED: "),
    Row("exit 0", ("11.3",), {"file": "exit.wasm", "name": "_start", "inputs": ["0"]}, "some output\n"),
    Row("exit 3", ("11.3",), {"file": "exit.wasm", "name": "_start", "inputs": ["3"]},
        error="GUEST_EXIT: guest exited with code 3: reason of the exit"),
    Row("a time limit", ("11.4",), {"file": "spin.wasm", "name": "_start", "cli_args": ["-W", "timeout=300ms"]},
        error="TASK_TIMEOUT: "),
    Row("memory without end", ("11.5",), {"file": "bomb.wasm", "name": "_start"}, error="MEMORY_LIMIT: "),
    Row("an id with dots", ("11.12",), {**SUM, "id": "../../x"}, "3"),
    Row("an id with a slash", ("11.12",), {**SUM, "id": "a/b"}, "3"),
    Row("an id of 4 KiB", ("11.12",), {**SUM, "id": "x" * 4096}, "3"),
    Row("a storage path of the system", ("11.12",), {**SUM, "hal_storage_path": "/etc"}, "3"),
    Row("a variable for the loader", ("11.12",), {"file": "environment.wasm", "name": "_start",
        "env": {"LD_PRELOAD": "/x.so", "PROPLET_ID": "me"}}, "LD_PRELOAD=/x.so\nPROPLET_ID=me\n"),
    Row("a demanded policy", ("11.19",), {**SUM, "metadata": {"elastic": {"wasi_security": {"allow": []}}}},
        error="POLICY_UNSUPPORTED: "),
    Row("a policy's provider", ("11.19",), {**SUM, "metadata": {"elastic": {"wasi_pep": {"x": 1}}}},
        error="POLICY_UNSUPPORTED: "),
    Row("other metadata", ("11.19",), {**SUM, "metadata": {"elastic": {}, "owner": "me"}}, "3"),
]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name, marks=states(*row.states)) for row in ROWS])
def test_a_start_gets_the_answer_of_its_row(bench, row):
    check_row(bench, row)


@states("8.6", "11.20")
def test_arguments_and_results_have_the_texts_of_the_existing_worker(bench):
    rows = json.loads((VECTORS.parent / "result_texts" / "result_texts.json").read_text())
    numbers = inline("numbers.wasm")
    sent = [bench.send_start(file=numbers, name=row["type"], inputs=[row["argument"]]) for row in rows]
    wrong = []
    for row, task in zip(rows, sent):
        answer = bench.answer(task)
        if row["text"] is None:
            right = answer["results"] == "" and answer["error"].startswith("ARGUMENT_MISMATCH: ")
        else:
            right = (answer["results"], answer["error"]) == (row["text"], None)
        wrong += [] if right else [(row, answer["results"], answer["error"])]
    assert wrong == []


# More than one command

@states("11.1")
def test_what_is_for_another_worker_is_met_with_silence(bench):
    other = str(uuid.uuid4())
    messages = [{"id": "theirs", "name": 7, "proplet_id": other}, {"id": "theirs", "proplet_id": other},
                {"id": "theirs", "name": "add", "file": inline("math_reactor.wasm"), "proplet_id": other, "inputs": []}]
    for message in messages:
        bench.manager.link.publish("control/manager/start", message, wait=True)
    check_row(bench, Row("", (), SUM, "3"))  # commands are handled in their order, so silence would have been broken
    assert bench.protocol.answers("theirs") == []


@states("8.3")
def test_a_start_that_comes_twice_runs_once(bench):
    message = {"file": inline("spin.wasm"), "name": "_start", "proplet_id": bench.worker.entity}
    task = bench.send_start(**message)
    bench.manager.link.publish("control/manager/start", {"id": task, **message}, wait=True)
    bench.send_stop(task)
    assert re.match(STOPPED, bench.answer(task)["error"])
    check_row(bench, Row("", (), SUM, "3"))
    assert len(bench.protocol.answers(task)) == 1


@states("8.5", "11.9")
def test_a_thousand_stops_right_behind_their_starts_all_stop(bench):
    spin = inline("spin.wasm")
    tasks = []
    for _ in range(1000):
        tasks.append(bench.send_start(file=spin, name="_start"))
        bench.send_stop(tasks[-1])
    for task in tasks:
        assert re.match(STOPPED, bench.answer(task)["error"])
    check_row(bench, Row("", (), SUM, "3"))
    assert all(len(bench.protocol.answers(task)) == 1 for task in tasks[::100])


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@states("11.4")
def test_a_stopped_loop_gives_the_processor_back(bench):
    task = bench.send_start(file=inline("spin.wasm"), name="_start")
    before = cpu_seconds(bench.worker.process)
    s.wait_until(lambda: cpu_seconds(bench.worker.process) - before > 0.3, what="the loop")
    sent = time.monotonic()
    bench.send_stop(task)
    assert re.match(STOPPED, bench.answer(task)["error"])
    assert time.monotonic() - sent < 5
    before = cpu_seconds(bench.worker.process)
    time.sleep(1)
    assert cpu_seconds(bench.worker.process) - before < 0.5


@states("11.5")
def test_only_the_task_that_wants_too_much_memory_fails(bench):
    neighbour = bench.send_start(file=inline("sleep.wasm"), name="_start", inputs=["3000"])
    check_row(bench, Row("", (), {"file": "bomb.wasm", "name": "_start", "inputs": ["abort"]}, error="MEMORY_LIMIT: "))
    assert bench.answer(neighbour)["results"].strip() == "awake"


@states("11.12")
def test_no_flag_of_a_task_opens_a_directory_of_the_host(bench):
    answer = bench.answer(bench.send_start(file=inline("files.wasm"), name="_start", inputs=["list", "/"],
                                           cli_args=["--dir=/", "--dir", "/etc::/", "-S", "inherit-env=y"]))
    assert "etc" not in answer["results"] and "passwd" not in answer["results"], answer


@states("8.9")
def test_a_daemon_is_answered_at_once_and_once_whatever_becomes_of_it(bench):
    running = bench.send_start(file=inline("spin.wasm"), name="_start", daemon=True)
    failing = bench.send_start(file=inline("traps.wasm"), name="unreachable", daemon=True)
    for task in (running, failing):
        answer = bench.answer(task)
        assert (answer["results"], answer["error"]) == ("", None)
    bench.send_stop(running)
    check_row(bench, Row("", (), SUM, "3"))
    assert len(bench.protocol.answers(running)) == len(bench.protocol.answers(failing)) == 1


@states("8.7", "8.8")
def test_an_invocation_of_what_is_not_deployed_is_told_so(bench):
    task = bench.manager.create_task(name="add", image_url="localhost/none:1", latent=True)
    answer = bench.manager.invoke(task, None)
    assert list(answer) == ["task_id", "invocation_id", "proplet_id", "results", "error"]
    assert f"task {task} has not been precompiled; deploy it as a latent task first" in answer["error"]


@states("0.1", "0.2", "8.2", "8.14")
def test_the_worker_announces_itself_and_stays_alive_in_the_managers_eyes(bench):
    """The waiting time of two intervals passes mostly in the tests before this one."""
    mine = {"proplet_id": bench.worker.entity}
    s.wait_until(lambda: len(bench.protocol.of(double.ALIVE, **mine)) >= 3, 20, "three heartbeats")
    created, beats = bench.protocol.of(double.CREATE, **mine), bench.protocol.of(double.ALIVE, **mine)
    assert len(created) == 1 and created[0][0] <= beats[0][0] and beats[0][0] - created[0][0] < 2
    assert bench.manager.alive(bench.worker.entity)
    kept = bench.manager.proplets.get(bench.worker.entity)["metadata"]
    assert {"lab", "gpu", "encrypted", "tee", "tee:sample", "wasm:p1"} <= set(kept["tags"])
    assert set(kept) <= set(double.METADATA)


@states("0.2", "8.1")
def test_a_worker_that_is_killed_has_no_last_word(servers):
    here = Bench(servers, PROPLET_TEE="off", PROPLET_LIVELINESS_INTERVAL=600)
    here.worker.process.send_signal(signal.SIGKILL)
    here.worker.process.wait()
    killed = time.monotonic()
    ours = str(uuid.uuid4())
    here.manager.link.publish(double.ALIVE, {"proplet_id": ours, "status": "alive", "namespace": "x"}, wait=True)
    s.wait_until(lambda: here.protocol.of(double.ALIVE, proplet_id=ours), what="our own sign of life")
    time.sleep(1)
    assert [message for arrived, message in here.protocol.of(double.ALIVE)
            if arrived > killed and message["proplet_id"] in (ours, here.worker.entity)] == [
                {"proplet_id": ours, "status": "alive", "namespace": "x"}]
    here.manager.close()


@states("0.5", "8.1")
def test_the_broker_knows_the_worker_by_one_id_and_keeps_nothing_for_it(bench):
    log = "".join(file.read_text() for file in bench.servers.folder.glob("mosquitto.*.log"))
    entity = bench.worker.entity
    assert re.search(rf"as {entity} \(p2, c1, k30, u'{entity}'\)", log), "not MQTT 3.1.1 with a clean session"


@states("8.2", "8.3", "11.10")
def test_a_broker_restart_is_followed_by_a_new_announcement_and_no_task_suffers():
    with s.Stack() as stack:
        broker = stack.start_broker()
        before = Bench(stack, PROPLET_TEE="off")
        running = before.send_start(file=inline("spin.wasm"), name="_start")
        ends_meanwhile = before.send_start(file=inline("sleep.wasm"), name="_start", inputs=["1500"])
        check_row(before, Row("", (), SUM, "3"))  # so both have been received
        broker.terminate()
        broker.wait()
        before.manager.close()
        time.sleep(2)
        # This Manager is there before the broker lets anybody in, as far as the worker is concerned: it may hear all.
        stack.start_broker()
        after = Bench.__new__(Bench)
        after.servers, after.worker, after.protocol = stack, before.worker, Protocol(patience=60)
        after.protocol.starts.update({task: before.protocol.starts[task] for task in (running, ends_meanwhile)})
        after.manager = double.Manager(stack.mqtt_port, s.BASE, after.protocol)
        after.manager.wait_for_worker(after.worker.entity, 70)
        assert after.protocol.of(double.CREATE, proplet_id=after.worker.entity)
        after.send_stop(running)
        assert re.match(STOPPED, after.answer(running)["error"])
        check_row(after, Row("", (), SUM, "3"))
        after.close()


@states("8.1")
def test_nothing_is_retained_and_everything_has_the_quality_of_service(bench):
    assert [fault for fault in bench.protocol.faults if "retained" in fault or "QoS" in fault] == []
    assert len(bench.protocol.messages) > 10


# Configuration

# Every variable of the existing worker with a value of its own.
VARIABLES = {
    "PROPLET_LOG_LEVEL": "debug", "PROPLET_MQTT_ADDRESS": "tcp://localhost:1883", "PROPLET_MQTT_TIMEOUT": "30",
    "PROPLET_MQTT_QOS": "1", "PROPLET_MQTT_KEEP_ALIVE": "20", "PROPLET_MQTT_MAX_PACKET_SIZE": "1048576",
    "PROPLET_MQTT_INFLIGHT": "20", "PROPLET_MQTT_REQUEST_CHANNEL_CAPACITY": "64",
    "PROPLET_MQTT_TLS_CA_CERT": "/ca.pem", "PROPLET_MQTT_TLS_CLIENT_CERT": "/c.pem",
    "PROPLET_MQTT_TLS_CLIENT_KEY": "/k.pem", "PROPLET_MQTT_TLS_INSECURE_SKIP_VERIFY": "false",
    "PROPLET_HTTP_TLS_CA_CERT": "", "PROPLET_HTTP_TLS_INSECURE_SKIP_VERIFY": "false",
    "PROPLET_LIVELINESS_INTERVAL": "5", "PROPLET_METRICS_INTERVAL": "15", "PROPLET_MANAGER_K8S_NAMESPACE": "ns",
    "PROPLET_EXTERNAL_WASM_RUNTIME": "", "PROPLET_ENABLE_MONITORING": "true",
    "PROPLET_KBS_URI": "http://127.0.0.1:8080", "PROPLET_AA_CONFIG_PATH": "", "PROPLET_LAYER_STORE_PATH": "",
    "PROPLET_PULL_CONCURRENT_LIMIT": "4",
    "PROPLET_HAL_ENABLED": "true", "PROPLET_HTTP_ENABLED": "false", "PROPLET_USB_ENABLED": "false",
    "PROPLET_HTTP_PROXY_PORT": "8222", "PROPLET_DIRS": "", "PROPLET_DESCRIPTION": "d", "PROPLET_LOCATION": "l",
    "PROPLET_TAGS": "a, b", "PROPLET_COLLECT_SYSTEM_INFO": "off", "PROPLET_PLUGIN_DIR": "",
    "PROPLET_METRICS_PORT": "9092", "PROPLET_METRICS_ENABLED": "true", "PROPLET_OTEL_URL": "",
    "PROPLET_TRACE_RATIO": "0.5", "PROPLET_CONFIG_SECTION": "proplet",
}
IDS = {"PROPLET_TENANT_ID": "t", "PROPLET_CHANNEL_ID": "c", "PROPLET_ENTITY_ID": str(uuid.uuid4()),
       "PROPLET_API_KEY": "k"}


def check_config(folder, **settings):
    return subprocess.run([s.BIN / "proplet", "--check-config"], env={"HOME": str(folder), **settings}, cwd=folder,
                          capture_output=True, text=True, timeout=30)


@states("8.12")
def test_every_variable_of_the_existing_worker_is_understood(tmp_path):
    done = check_config(tmp_path, **IDS, **VARIABLES)
    assert (done.returncode, done.stderr) == (0, "")


@states("0.10", "8.12")
def test_numbers_with_units_are_told_and_survived(tmp_path):
    numbers = {name: "10s" for name, value in VARIABLES.items() if value.isdigit()}
    done = check_config(tmp_path, **IDS, **numbers, PROPLET_INSTANCE_ID="1")
    assert done.returncode == 0, done.stderr
    assert "PROPLET_LIVELINESS_INTERVAL" in done.stderr


@states("8.12")
def test_the_file_of_the_provisioning_tool_fills_in_the_ids(tmp_path):
    file = tmp_path / "config.toml"
    section = "".join(f'{name.removeprefix("PROPLET_").lower()} = "{value}"\n' for name, value in IDS.items())
    file.write_text(f"[manager]\n{section}\n[proplet]\n{section}\n[proplet2]\n{section}\n[proxy]\n{section}")
    assert check_config(tmp_path).returncode == 0
    assert check_config(tmp_path, PROPLET_CONFIG_SECTION="proplet2").returncode == 0
    done = check_config(tmp_path, PROPLET_CONFIG_SECTION="proplet3")
    assert done.returncode == 1
    assert "Error: Failed to load configuration: config section 'proplet3' not found in TOML file" in done.stderr
    file.write_text("[proplet]\n" + "".join(f'{name.removeprefix("PROPLET_").lower()} = ""\n' for name in IDS))
    done = check_config(tmp_path)
    assert done.returncode == 1
    assert ("missing required proplet configuration: tenant_id/PROPLET_TENANT_ID, channel_id/PROPLET_CHANNEL_ID, "
            "entity_id/PROPLET_ENTITY_ID, api_key/PROPLET_API_KEY") in done.stderr
