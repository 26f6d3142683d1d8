"""What outlives a worker that is killed, a broker that is away, a disk that is full; and how a worker ends when asked to."""

import base64
import os
import resource
import signal
import stat
import subprocess
import time
import uuid

import pytest

import stack as s

RESULTS = "control/proplet/results"


def inline(name):
    return base64.b64encode((s.GUESTS / name).read_bytes()).decode()


class Identity:
    """A worker's id and state folder, through several lives."""

    def __init__(self, stack, **settings):
        self.stack, self.entity, self.folder = stack, str(uuid.uuid4()), stack.folder / f"state-{uuid.uuid4()}"
        self.settings = {"PROPLET_TEE": "off", "PROPLET_STATE_PATH": self.folder, **settings}

    def live(self, **settings):
        return self.stack.start_worker(PROPLET_ENTITY_ID=self.entity, **self.settings, **settings)


def running(manager, worker, name="spin.wasm", **fields):
    """Starts a task that is certainly taken: one behind it is answered."""
    task, _ = manager.start(worker, file=inline(name), name="_start", **fields)
    probe, _ = manager.start(worker, id=f"probe-{uuid.uuid4()}", name="x", file="")
    manager.result(probe)
    return task


def answers(manager, seconds=1.0):
    """All but probes: a worker killed right behind one may not know yet that the broker has it, and says it again."""
    return [(answer["task_id"], answer["results"], answer["error"]) for answer in manager.results_within(seconds)
            if not answer["task_id"].startswith("probe-")]


def test_a_worker_that_was_killed_answers_for_its_tasks_once_it_is_back(own):
    me = Identity(own, PROPLET_MAX_TASKS="1")
    worker, manager = me.live(), own.manager()
    runs = running(manager, worker)
    waits, _ = manager.start(worker, file=inline("math_reactor.wasm"), inputs=["1", "2"])
    running(manager, worker)
    worker.kill()
    worker = me.live()
    found = {task: error for task, results, error in answers(manager, 2) if results == ""}
    assert len(found) == 3 and {runs, waits} <= set(found)
    assert all(error.startswith("WORKER_RESTARTED: ") for error in found.values()), found
    # Told once, and forgotten.
    worker.kill()
    worker = me.live()
    assert answers(manager) == []
    manager.start(worker, id=runs, state=4, file=inline("math_reactor.wasm"), inputs=["1", "2"])
    assert manager.result(runs)[1]["results"] == "3"
    assert worker.stop() == 0


def test_a_result_that_found_no_broker_is_delivered_by_the_next_worker(own):
    me = Identity(own)
    broker, manager = own.processes[0], own.manager()
    worker = me.live()
    task = running(manager, worker, "sleep.wasm", inputs=["1500"])
    manager.close()
    own.managers.clear()
    broker.kill()
    broker.wait()
    s.wait_until(lambda: '"task completed"' in worker.log_text(), what="the end of the task")
    worker.kill()
    own.start_broker()
    manager = own.manager()
    worker = me.live(ready=False)
    assert manager.result(task)[1] == {"task_id": task, "proplet_id": me.entity, "results": "awake", "error": None}
    assert worker.stop() == 0
    worker = me.live()
    assert answers(manager) == []
    assert worker.stop() == 0


def test_a_start_that_comes_again_is_not_run_while_its_answer_is_on_its_way(own):
    """The Manager misses the answer and asks anew before the worker could deliver it."""
    me = Identity(own)
    worker, manager = me.live(), own.manager()
    task = running(manager, worker)
    worker.kill()
    # It waits for the worker in the order of subscription and delivery: the first thing the new one hears.
    watcher = own.manager()
    worker = me.live(ready=False)
    watcher.next("control/proplet/create", 20)
    manager.start(worker, id=task, state=2, file=inline("math_reactor.wasm"), inputs=["1", "2"])
    found = answers(manager, 2)
    # Either the answer was still on its way, or the broker already had it and this is a new run; never a run instead.
    assert found[0][0] == task and found[0][2].startswith("WORKER_RESTARTED: ")
    assert found[1:] in ([], [(task, "3", None)])
    assert worker.stop() == 0


def test_results_of_encrypted_tasks_are_in_no_file(servers, guests):
    me = Identity(servers, PROPLET_TEE="sample")
    image = servers.push_encrypted(guests / "sleep.wasm", "durable:sleep", "kbs:///default/key/durable")
    manager = servers.manager()
    with s.Stack() as stack:  # a broker that can be stopped, with the other servers' registry and key broker
        stack.start_broker()
        me.settings["PROPLET_MQTT_ADDRESS"] = f"tcp://127.0.0.1:{stack.mqtt_port}"
        watcher = stack.manager()
        worker = me.live(ready=False)
        watcher.next("control/proplet/alive", 20)
        task, _ = watcher.start(worker, image_url=image, encrypted=True, name="_start", inputs=["1500"])
        s.wait_until(lambda: '"task received"' in worker.log_text(), what="the start")
        stack.processes[0].kill()
        stack.processes[0].wait()
        s.wait_until(lambda: '"task completed"' in worker.log_text(), what="the end of the task")
        held = b"".join(path.read_bytes() for path in me.folder.iterdir())
        assert task.encode() in held and b"awake" not in held and b"results" not in held
        worker.kill()
        stack.start_broker()
        watcher = stack.manager()
        worker = me.live(ready=False)
        answer = watcher.result(task)[1]
        assert answer["results"] == "" and answer["error"].startswith("RESULT_LOST: "), answer
        assert worker.stop() == 0
    manager.close()
    servers.managers.remove(manager)


def test_the_state_folder_is_private_and_serves_one_worker(own):
    me = Identity(own)
    worker, manager = me.live(), own.manager()
    assert stat.S_IMODE(me.folder.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in me.folder.iterdir())
    second = own.start_worker(PROPLET_TEE="off", PROPLET_STATE_PATH=me.folder)
    assert "STATE_UNUSABLE: another worker uses" in second.log_text()
    for one in (worker, second):  # both work, the second in memory alone
        task, _ = manager.start(one, file=inline("math_reactor.wasm"), inputs=["1", "2"])
        assert manager.result(task)[1]["results"] == "3"
        assert one.stop() == 0


@pytest.mark.parametrize("spoil, says", [
    (lambda file: file.write_bytes(b"\xffPRPLRF\x02" + b"?" * 100), "STATE_UNUSABLE"),
    (lambda file: file.write_bytes(b"\xffPRPLRF\x01" + os.urandom(5000)), "state damaged"),
    (lambda file: file.mkdir(), "IO_FAILED")], ids=["newer version", "damaged", "no file"])
def test_a_state_file_that_cannot_be_used_stops_nothing(own, spoil, says):
    me = Identity(own)
    me.folder.mkdir(mode=0o700)
    spoil(me.folder / "journal")
    worker, manager = me.live(), own.manager()
    assert says in worker.log_text()
    task, _ = manager.start(worker, file=inline("math_reactor.wasm"), inputs=["1", "2"])
    assert manager.result(task)[1]["results"] == "3"
    assert worker.stop() == 0


def test_on_a_full_disk_the_worker_goes_on_in_memory(own):
    """The kernel refuses to let the file grow, as a full disk or a quota would."""
    me = Identity(own)
    worker, manager = me.live(), own.manager()
    task = running(manager, worker)
    full = (me.folder / "journal").stat().st_size
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
    tasks = [manager.start(worker, file=inline("math_reactor.wasm"), inputs=[str(i), "1"])[0] for i in range(20)]
    results = {manager.next(RESULTS)[1]["task_id"] for _ in tasks}
    assert results == set(tasks)
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    again, _ = manager.start(worker, file=inline("math_reactor.wasm"), inputs=["1", "2"])
    assert manager.result(again)[1]["results"] == "3"
    s.wait_until(lambda: "state is kept again" in worker.log_text(), what="writing again")
    # What was promised before stands, and nothing that was answered comes again.
    worker.kill()
    worker = me.live()
    found = [answer for answer in answers(manager) if answer[0] != again]  # which may come again, as a probe may
    assert [(one, error.split(":")[0]) for one, _, error in found] == [(task, "WORKER_RESTARTED")]
    assert worker.stop() == 0


# The end

def test_while_it_drains_it_finishes_what_runs_and_refuses_what_comes(own):
    worker, manager = own.start_worker(PROPLET_TEE="off", PROPLET_DRAIN_SECONDS="20"), own.manager()
    finishes = running(manager, worker, "sleep.wasm", inputs=["2000"])
    worker.process.send_signal(signal.SIGTERM)
    s.wait_until(lambda: '"worker stops"' in worker.log_text(), what="the beginning of the end")
    late, _ = manager.start(worker, file=inline("math_reactor.wasm"), inputs=["1", "2"])
    assert manager.result(late)[1]["error"].startswith("WORKER_STOPPING: ")
    assert manager.result(finishes)[1]["results"] == "awake"
    assert worker.process.wait(20) == 0
    broker_log = next(own.folder.glob("mosquitto.*.log"))
    s.wait_until(lambda: f"Client {worker.entity} disconnected.\n" in broker_log.read_text(), what="a clean DISCONNECT")


def test_what_cannot_be_delivered_at_the_end_is_left_to_the_next(own):
    me = Identity(own, PROPLET_DRAIN_SECONDS="0")
    worker, manager = me.live(), own.manager()
    task = running(manager, worker)
    manager.close()
    own.managers.clear()
    own.processes[0].kill()
    own.processes[0].wait()
    assert worker.stop(30) == 0
    assert "results left to the next worker" in worker.log_text()
    own.start_broker()
    manager = own.manager()
    worker = me.live(ready=False)
    assert manager.result(task)[1]["error"].startswith("TASK_STOPPED: ")
    assert worker.stop() == 0


# SIGHUP

def test_sighup_reads_the_log_level_from_the_file(own, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('[proplet]\nlog_level = "info"\n')
    worker = own.start_worker(PROPLET_TEE="off", PROPLET_LOG_LEVEL="", PROPLET_CONFIG_FILE=file)
    manager = own.manager()
    running(manager, worker)
    assert '"debug"' not in worker.log_text()
    file.write_text('[proplet]\nlog_level = "debug"\n')
    worker.process.send_signal(signal.SIGHUP)
    s.wait_until(lambda: "settings read again" in worker.log_text(), what="reading the file")
    running(manager, worker)
    s.wait_until(lambda: '"debug"' in worker.log_text(), what="a line of that level")
    file.write_text('[proplet\n')
    worker.process.send_signal(signal.SIGHUP)
    s.wait_until(lambda: "settings not read again" in worker.log_text(), what="the complaint")
    assert worker.log_text().count('"connected"') == 1
    assert worker.stop() == 0


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, stdin=subprocess.DEVNULL)


def make_certificate(folder, name, common_name, issuer=None, extension=None):
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    openssl("req", "-x509" if issuer is None else "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", key, "-out", certificate if issuer is None else folder / "request", "-subj", f"/CN={common_name}",
            *(["-days", "2"] if issuer is None else []))
    if issuer is not None:
        extra = folder / "extension"
        extra.write_text(extension or "")
        openssl("x509", "-req", "-in", folder / "request", "-CA", folder / f"{issuer}.pem", "-CAkey", folder / f"{issuer}.key",
                "-CAcreateserial", "-days", "2", "-out", certificate, "-extfile", extra)


def test_sighup_connects_anew_with_the_certificates_as_they_are_now(tmp_path):
    make_certificate(tmp_path, "ca", "test CA")
    make_certificate(tmp_path, "server", "127.0.0.1", "ca", "subjectAltName=IP:127.0.0.1")
    make_certificate(tmp_path, "client", "first", "ca")
    with s.Stack() as stack:
        stack.mqtt_port, tls_port = s.free_port(), s.free_port()
        config = stack.folder / "mosquitto.conf"
        config.write_text(f"user root\nper_listener_settings true\nset_tcp_nodelay true\nlistener {stack.mqtt_port} 127.0.0.1\n"
                          f"allow_anonymous true\nlistener {tls_port} 127.0.0.1\nallow_anonymous false\n"
                          f"cafile {tmp_path}/ca.pem\ncertfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key\n"
                          "require_certificate true\nuse_identity_as_username true\n")
        _, log = stack.spawn("mosquitto", "mosquitto", "-c", config)
        s.wait_until(lambda: s.listening(stack.mqtt_port), what="mosquitto")
        worker = stack.start_worker(
            PROPLET_TEE="off", PROPLET_MQTT_ADDRESS=f"ssl://127.0.0.1:{tls_port}", PROPLET_MQTT_TLS_CA_CERT=tmp_path / "ca.pem",
            PROPLET_MQTT_TLS_CLIENT_CERT=tmp_path / "client.pem", PROPLET_MQTT_TLS_CLIENT_KEY=tmp_path / "client.key")
        manager = stack.manager()
        assert "u'first'" in log.read_text()
        task = running(manager, worker, "sleep.wasm", inputs=["1500"])
        make_certificate(tmp_path, "client", "second", "ca")
        worker.process.send_signal(signal.SIGHUP)
        s.wait_until(lambda: "u'second'" in log.read_text(), what="a connection with the new certificate")
        assert f"Client {worker.entity} disconnected.\n" in log.read_text()
        assert manager.result(task)[1]["results"] == "awake"

        (tmp_path / "client.key").unlink()
        worker.process.send_signal(signal.SIGHUP)
        s.wait_until(lambda: "the connection stays as it is" in worker.log_text(), what="the complaint")
        again, _ = manager.start(worker, file=inline("math_reactor.wasm"), inputs=["1", "2"])
        assert manager.result(again)[1]["results"] == "3"
        assert worker.stop() == 0
