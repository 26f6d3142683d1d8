"""What an operator does: looking at settings, doctor, propctl task, and what tasks get of the host."""

import base64
import json
import os
import signal
import socket
import subprocess
import time

import pytest

import stack as s

PROPLET = s.BIN / "proplet"


def settings(servers, **more):
    return {"PATH": os.environ["PATH"], "HOME": str(servers.folder),
            "PROPLET_MQTT_ADDRESS": f"tcp://127.0.0.1:{servers.mqtt_port}", "PROPLET_TENANT_ID": s.TENANT,
            "PROPLET_CHANNEL_ID": s.CHANNEL, "PROPLET_ENTITY_ID": "8c2f7d2e-1f0e-4a60-9a55-111111111111",
            "PROPLET_API_KEY": "the-secret-key", "PROPLET_KBS_URI": servers.kbs_url, "PROPLET_TEE": "sample",
            **{name: str(value) for name, value in more.items()}}


def proplet(servers, *arguments, seconds=60, **more):
    done = subprocess.run([str(PROPLET), *arguments], env=settings(servers, **more), cwd=servers.folder,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)
    assert "the-secret-key" not in done.stdout + done.stderr
    return done


def findings(done):
    return [(finding["level"], finding["check"], finding["message"]) for finding in
            json.loads(done.stdout)["findings"]]


# --- proplet's own commands


def test_no_argument_but_none_starts_a_worker(servers, manager):
    for arguments, code in ((["--help"], 0), (["--version"], 0), (["config", "--help"], 0), (["worker"], 109),
                            (["--daemon"], 109), (["explain", "NOT_ENCRYPTED", "more"], 109), (["config"], 106)):
        done = proplet(servers, *arguments, seconds=20)
        assert (done.returncode == 0) == (code == 0), (arguments, done)
    while not manager.messages.empty():
        assert b"8c2f7d2e-1f0e-4a60-9a55-111111111111" not in manager.messages.get()[2]


def test_the_version_names_engine_protocols_and_tees(servers):
    text = proplet(servers, "--version").stdout
    assert text.startswith("proplet 0.") and "wasmtime 48." in text and "MQTT 3.1.1" in text
    assert "Key Broker Service 0.4.0" in text and "TEEs       sample" in text


def test_explain_says_what_a_code_means(servers):
    done = proplet(servers, "explain", "not_encrypted")
    assert done.returncode == 0 and done.stdout.startswith("NOT_ENCRYPTED\n")
    assert proplet(servers, "explain", "NO_SUCH_CODE").returncode == 1
    assert len(json.loads(proplet(servers, "--json", "explain").stdout)["codes"]) > 40


def test_config_show_tells_every_setting_and_where_it_is_from(servers, tmp_path):
    file = tmp_path / "own.toml"
    file.write_text('[proplet]\ntenant_id = "t"\nchannel_id = "c"\nentity_id = "e"\napi_key = "k"\nmqtt_qos = 1\n')
    done = proplet(servers, "config", "show", "--origin", PROPLET_CONFIG_FILE=file, PROPLET_MQTT_KEEP_ALIVE="10s",
                   PROPLET_OTEL_URL="http://traces:4318/v1?token=hunter2")
    assert done.returncode == 0
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert ["file", "PROPLET_MQTT_QOS=1"] in lines
    assert ["default", "PROPLET_MQTT_KEEP_ALIVE=30"] in lines
    assert ["environment", "PROPLET_API_KEY=***"] in lines
    assert ["environment", "PROPLET_OTEL_URL=http://traces:4318/v1?***"] in lines
    assert ["default", "MODEL_REGISTRY_URL="] in lines
    assert "PROPLET_MQTT_KEEP_ALIVE" in done.stderr and "hunter2" not in done.stdout + done.stderr
    refused = proplet(servers, "config", "show", PROPLET_CONFIG_FILE=file, PROPLET_OTEL_URL="http://u:hunter2@traces")
    assert refused.returncode == 1 and "PROPLET_OTEL_URL=http://***@traces" in refused.stdout
    assert "hunter2" not in refused.stdout + refused.stderr
    shown = json.loads(proplet(servers, "--json", "config", "show").stdout)["settings"]
    assert {"name": "PROPLET_MQTT_QOS", "value": "2", "origin": "default"} in shown


def test_config_show_shows_settings_that_would_not_start(servers):
    done = proplet(servers, "config", "show", PROPLET_OCI_PULL="perhaps")
    assert done.returncode == 1 and "PROPLET_OCI_PULL" in done.stderr and "PROPLET_TENANT_ID=tenant-1" in done.stdout


# --- doctor


def test_doctor_finds_everything_well_and_leaves_the_worker_alone(servers, sample_worker, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    done = proplet(servers, "--json", "doctor", PROPLET_ENTITY_ID=sample_worker.entity, PROPLET_DIRS=f"{folder}:ro",
                   PROPLET_INSECURE_REGISTRIES=f"127.0.0.1:{servers.registry_port}", PROPLET_MAX_TASKS="4")
    assert done.returncode == 0, done
    found = findings(done)
    assert not [finding for finding in found if finding[0] == "fail"]
    assert ("ok", "configuration", "complete") in found
    assert ("ok", "broker", f"127.0.0.1:{servers.mqtt_port}: credentials and subscriptions accepted") in found
    assert ("ok", "registry", f"127.0.0.1:{servers.registry_port}: answers") in found
    assert {"key broker", "tee", "processor", "memory", "open files", "threads", "core dumps", "folders"} <= {
        check for _, check, _ in found}
    assert sample_worker.log_text().count("connection lost") == 0


def test_doctor_names_every_failure_and_what_to_do(servers, tmp_path):
    port = s.free_port()
    done = proplet(servers, "doctor", PROPLET_MQTT_ADDRESS=f"tcp://127.0.0.1:{port}", PROPLET_TGAS="x",
                   PROPLET_KBS_URI=f"http://127.0.0.1:{port}", PROPLET_INSECURE_REGISTRIES=f"127.0.0.1:{port}",
                   PROPLET_DIRS=f"{tmp_path}/missing:private", PROPLET_OCI_PULL="maybe", PROPLET_TEE="tdx",
                   PROPLET_REGISTRY_CA_CERT=tmp_path / "missing.pem", PROPLET_ENTITY_ID="edge")
    assert done.returncode == 1 and "CONFIG_INVALID" in done.stderr
    lines = done.stdout.splitlines()
    for beginning in ("fail  configuration PROPLET_OCI_PULL", "warn  configuration PROPLET_TGAS is no setting",
                      "warn  identity", "fail  broker", "fail  registry", "fail  key broker", "fail  tee",
                      "fail  folders", "fail  files"):
        line = next((line for line in lines if line.startswith(beginning)), None)
        assert line and "; " in line, (beginning, done.stdout)


def test_doctor_ends_when_nobody_answers(servers):
    """Somebody who accepts connections and then says nothing is the worst that can happen."""
    with socket.create_server(("127.0.0.1", s.free_port()), backlog=64) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        begin = time.monotonic()
        done = proplet(servers, "--json", "doctor", PROPLET_MQTT_ADDRESS=f"tcp://{address}",
                       PROPLET_KBS_URI=f"http://{address}", PROPLET_INSECURE_REGISTRIES=address)
        assert time.monotonic() - begin < 30
    assert done.returncode == 1
    assert {"broker", "registry", "key broker"} <= {check for level, check, _ in findings(done) if level == "fail"}


def test_doctor_says_why_a_broker_refuses(servers):
    with s.Stack() as own:
        port = s.free_port()
        config = own.folder / "strict.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous false\n")
        own.spawn("mosquitto", "/usr/sbin/mosquitto", "-c", config)
        s.wait_until(lambda: s.listening(port), what="mosquitto")
        done = proplet(servers, "--json", "doctor", PROPLET_MQTT_ADDRESS=f"tcp://127.0.0.1:{port}")
    assert any(level == "fail" and check == "broker" and "refuses" in message
               for level, check, message in findings(done)), done.stdout


# --- propctl task


@pytest.fixture
def broker(servers):
    return ["--mqtt", f"tcp://127.0.0.1:{servers.mqtt_port}", "--tenant", s.TENANT, "--channel", s.CHANNEL, "--user",
            "operator"]


def test_stop_waits_until_the_task_has_ended(servers, broker, sample_worker, guests):
    servers.propctl("task", "start", *broker, "--worker", sample_worker.entity, "--file", guests / "spin.wasm", "--id",
                    "endless")
    done = servers.propctl("--json", "task", "stop", *broker, "endless", "--wait", "--timeout", "30")
    assert json.loads(done.stdout)["error"].startswith("TASK_STOPPED")
    again = servers.propctl("task", "stop", *broker, "endless", "--wait", "--timeout", "0.5", check=False)
    assert again.returncode == 1 and "TASK_TIMEOUT" in again.stderr


def test_watch_shows_what_workers_say_and_no_escape_of_theirs(servers, broker, manager, guests):
    process, log = servers.spawn("watch", s.BIN / "propctl", "task", "watch", *broker)
    raw, raw_log = servers.spawn("watch-json", s.BIN / "propctl", "--json", "task", "watch", *broker)
    time.sleep(0.5)

    def announced():
        manager.publish("control/proplet/alive", {"proplet_id": "ghost"})
        return "alive         ghost" in log.read_text() and "ghost" in raw_log.read_text()

    s.wait_until(announced, 30, "watch")
    worker = servers.start_worker(PROPLET_TAGS="lab")
    task, _ = manager.start(worker, file=inline("math_reactor.wasm"), inputs=["40", "2"])
    manager.publish("control/proplet/results", {"task_id": "evil", "proplet_id": "g\x1b]0;x\x07",
                                                "results": "\x1b[31mred\u009b2J\r\n", "error": None})
    manager.result(task)
    for word in ("evil", f"task {task}: result 42"):
        s.wait_until(lambda: word in log.read_text(), 30, word)
    s.wait_until(lambda: "evil" in raw_log.read_text() and task in raw_log.read_text(), 30, "both messages")
    text = log.read_text()
    assert f"alive         {worker.entity}" in text and text.count("heartbeat") == 0
    assert "tags lab" in text and f"task {task}: result 42" in text
    assert "\x1b" not in text and "\x07" not in text and "\u009b" not in text and "task evil: result  [31mred 2J" in text
    messages = [json.loads(line) for line in raw_log.read_text().splitlines()]
    assert {"control/proplet/create", "control/proplet/alive", "control/proplet/results"} <= {
        message["topic"] for message in messages}
    for watcher in (process, raw):
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(10) == 0
    assert worker.stop() == 0


def test_list_workers_tells_what_discovery_told(servers, broker):
    listing, log = servers.spawn("list", s.BIN / "propctl", "task", "list-workers", *broker, "--for", "20")
    time.sleep(5)  # it has to be listening before the worker introduces itself
    worker = servers.start_worker(PROPLET_TAGS="lab")
    assert listing.wait(60) == 0
    lines = log.read_text().splitlines()
    assert lines[0].split() == ["WORKER", "VERSION", "RUNTIME", "MACHINE", "MEMORY", "HEARTBEAT", "TAGS"]
    row = next(line for line in lines if line.startswith(worker.entity))
    assert "wasmtime" in row and "linux/" in row and " MiB" in row and " s ago" in row and "lab" in row
    assert worker.stop() == 0


# --- what tasks get


def inline(name):
    return base64.b64encode((s.GUESTS / name).read_bytes()).decode()


def run(manager, worker, guest, *inputs, **fields):
    task, _ = manager.start(worker, file=inline(guest), name="_start", inputs=list(inputs), **fields)
    return manager.result(task)[1]


def test_fuel_and_time_of_cli_args_end_a_task_and_nobody_elses(manager, sample_worker):
    for arguments, code in ((["-W", "fuel=100000"], "GUEST_TRAP: out of fuel"), (["-Wfuel=0x186a0"], "GUEST_TRAP: out of fuel"),
                            (["-W", "fuel=99999999999,timeout=300ms"], "TASK_TIMEOUT"), (["--wasm=timeout=1"], "TASK_TIMEOUT"),
                            (["-W", "fuel=many"], "MESSAGE_INVALID: cli_args")):
        result = run(manager, sample_worker, "spin.wasm", cli_args=arguments)
        assert result["error"].startswith(code), (arguments, result)
    task, _ = manager.start(sample_worker, file=inline("math_reactor.wasm"), name="fib", inputs=["20"])
    assert manager.result(task)[1]["results"] == "6765"
    task, _ = manager.start(sample_worker, file=inline("math_reactor.wasm"), name="x", inputs=["20"],
                            cli_args=["--invoke=fib", "-W", "fuel=100000000"])
    assert manager.result(task)[1]["results"] == "6765"


def test_cli_args_without_effect_are_named_without_their_values(manager, servers):
    worker = servers.start_worker()
    result = run(manager, worker, "environment.wasm", env={"A": "task"},
                 cli_args=["-S", "config-var=hunter2", "--env=A=cli", "--env", "B=cli", "--dir=/", "--addr", "hunter2"])
    assert result["error"] is None
    seen = dict(line.split("=", 1) for line in result["results"].splitlines())
    assert seen == {"A": "task", "B": "cli", "PROPLET_ID": worker.entity}
    assert worker.stop() == 0
    assert "-S config-var | --addr | --dir /" in worker.log_text() and "hunter2" not in worker.log_text()


def test_directories_are_shared_read_only_or_private(servers, manager, tmp_path):
    shared, models, scratch = (tmp_path / name for name in ("shared", "models", "scratch"))
    for folder in (shared, models, scratch):
        folder.mkdir()
        (folder / "file").write_text("from the host")
    left = scratch / ".proplet-task-abcdef"  # of a worker that was killed
    left.mkdir()
    worker = servers.start_worker(PROPLET_DIRS=f"{shared}:{models}:ro:{scratch}:private")
    assert not left.exists()

    def files(*arguments, **fields):
        return run(manager, worker, "files.wasm", *map(str, arguments), **fields)["results"]

    assert files("write", shared / "new", "x") == "written" and (shared / "new").read_text() == "x"
    assert files("read", models / "file") == "from the host"
    assert "error" in files("write", models / "file", "x") and "error" in files("write", models / "new", "x")
    assert files("write", scratch / "own", "x") == "written"
    assert "error" in files("read", scratch / "own") and "error" in files("read", scratch / "file")
    assert files("list", scratch).split() in ([".", ".."], [])
    assert files("read", "/in/file", cli_args=["--dir", f"{models}::/in"]) == "from the host"
    assert "error" in files("write", "/in/new", "x", cli_args=["--dir", f"{models}::/in"])
    assert "error" in files("read", "/etc/passwd", cli_args=["--dir=/etc", "--dir=/", f"--dir={shared}/..::/etc"])
    assert worker.stop() == 0
    assert [entry.name for entry in scratch.iterdir()] == ["file"]


def test_policies_are_refused_and_other_metadata_is_tolerated(manager, sample_worker):
    def error_of(metadata):
        task, _ = manager.start(sample_worker, file=inline("math_reactor.wasm"), inputs=["40", "2"], metadata=metadata)
        return manager.result(task)[1]["error"]

    for policy in ("wasi_security", "wasi_pep"):
        for demand in ({}, {"network": "deny"}, [], "strict", 1, False):
            assert error_of({"elastic": {policy: demand}}).startswith("POLICY_UNSUPPORTED"), (policy, demand)
    for metadata in (None, {}, "text", [1], 7, {"elastic": None}, {"elastic": {}}, {"elastic": "x"},
                     {"elastic": {"wasi_security": None}}, {"wasi_security": {}}, {"owner": {"elastic": {"wasi_pep": 1}}}):
        assert error_of(metadata) is None, metadata
