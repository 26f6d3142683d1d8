"""The worker's side of the MQTT session: who it says it is, its signs of life, reconnection, configuration."""

import os
import queue
import signal
import subprocess
import uuid

import pytest

import stack as s

ALIVE, CREATE = "control/proplet/alive", "control/proplet/create"


def of(worker):
    return lambda message: message["proplet_id"] == worker.entity


def test_discovery_comes_first_with_every_field_and_then_heartbeats_in_time(servers, manager):
    worker = servers.start_worker(ready=False, PROPLET_TEE="off", PROPLET_DESCRIPTION="d", PROPLET_LOCATION="ghent",
                                  PROPLET_MANAGER_K8S_NAMESPACE="ns")
    _, discovery = manager.next(CREATE, 20, of(worker))
    assert set(discovery) == {"proplet_id", "namespace", "metadata"} and discovery["namespace"] == "ns"
    metadata = discovery["metadata"]
    assert (metadata["description"], metadata["location"], metadata["os"]) == ("d", "ghent", "linux")
    assert metadata["cpu_arch"] == os.uname().machine and metadata["hostname"] == os.uname().nodename
    assert metadata["environment"] in ("docker", "binary") and metadata["wasm_runtime"] == "wasmtime-internal"
    assert isinstance(metadata["total_memory_bytes"], int) and metadata["total_memory_bytes"] > 1 << 20
    first, message = manager.next(ALIVE, 5, of(worker))
    assert message == {"proplet_id": worker.entity, "status": "alive", "namespace": "ns"}
    second, _ = manager.next(ALIVE, 9.9, of(worker))
    assert second - first < 10  # the Manager's patience
    assert worker.stop() == 0


def test_a_killed_worker_leaves_no_word_on_the_alive_topic(servers, manager):
    """The Manager counts everything on that topic as a heartbeat, a last will too."""
    worker = servers.start_worker(PROPLET_TEE="off", PROPLET_LIVELINESS_INTERVAL="600")
    manager.next(ALIVE, 10, of(worker))
    worker.process.send_signal(signal.SIGKILL)
    worker.process.wait()
    with pytest.raises(queue.Empty):
        manager.next(ALIVE, 1.5, lambda message: message.get("proplet_id") in (None, worker.entity)
                     or message.get("status") != "alive")


def test_after_a_broker_restart_the_worker_is_back_with_all_subscriptions(servers):
    with s.Stack() as stack:
        broker = stack.start_broker()
        worker = stack.start_worker(PROPLET_TEE="off")
        broker.terminate()
        broker.wait()
        stack.start_broker()
        manager = stack.manager()
        manager.next(CREATE, 30, of(worker))
        manager.next(ALIVE, 10, of(worker))
        task, _ = manager.start(worker, name="x", file="")
        assert manager.result(task)[1]["error"]
        manager.publish("control/manager/invoke", {"id": "t", "invocation_id": "i"})
        assert manager.next("control/proplet/invoke_results", 10)[1]["task_id"] == "t"
        # The broker knows it by its id: who comes with the same id takes its place.
        log = next(iter(sorted(stack.folder.glob("mosquitto.*.log"), reverse=True))).read_text()
        assert f"as {worker.entity} (" in log and f"u'{worker.entity}'" in log, log
        assert worker.stop() == 0


def start_badly(servers, folder, **settings):
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PROPLET_METRICS_PORT": str(s.free_port()),
           "PROPLET_MQTT_ADDRESS": f"tcp://127.0.0.1:{servers.mqtt_port}", **settings}
    done = subprocess.run([s.BIN / "proplet"], env=env, cwd=folder, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    return done.stderr


def test_a_missing_configuration_ends_the_worker_in_the_known_words(servers, tmp_path):
    text = start_badly(servers, tmp_path)
    assert "Error: Failed to load configuration: " in text
    assert "config file 'config.toml' not accessible: " in text
    (tmp_path / "config.toml").write_text('[manager]\ntenant_id = "t"\n')
    assert "config section 'proplet' not found in TOML file" in start_badly(servers, tmp_path)
    (tmp_path / "config.toml").write_text('[proplet]\ntenant_id = ""\nchannel_id = ""\nentity_id = ""\napi_key = ""\n')
    assert ("missing required proplet configuration: tenant_id/PROPLET_TENANT_ID, channel_id/PROPLET_CHANNEL_ID, "
            "entity_id/PROPLET_ENTITY_ID, api_key/PROPLET_API_KEY" in start_badly(servers, tmp_path))
    assert "channel_id/PROPLET_CHANNEL_ID" in start_badly(servers, tmp_path, PROPLET_TENANT_ID="t")


def test_the_file_fills_in_what_the_environment_leaves_empty(servers, manager, tmp_path):
    entity = str(uuid.uuid4())
    file = tmp_path / "nodes.toml"
    file.write_text(f'[proplet2]\ntenant_id = "other"\nchannel_id = "{s.CHANNEL}"\nentity_id = "{entity}"\n'
                    'api_key = "k"\nunknown = "ignored"\n')
    worker = servers.start_worker(ready=False, PROPLET_TEE="off", PROPLET_ENTITY_ID="", PROPLET_CHANNEL_ID="",
                                  PROPLET_CONFIG_FILE=file, PROPLET_CONFIG_SECTION="proplet2")
    manager.next(CREATE, 20, lambda message: message["proplet_id"] == entity)  # and the tenant is the environment's
    assert worker.stop() == 0
