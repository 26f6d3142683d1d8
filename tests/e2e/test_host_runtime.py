"""Plain tasks in an external runtime: the real wasmtime command line, and a program that misbehaves in every way."""

import base64
import hashlib
import json
import os
import pathlib
import subprocess
import time

import components
import pytest

import stack as s

ROOT = pathlib.Path(__file__).resolve().parents[2]
MISBEHAVING = ROOT / "tests" / "support" / "misbehaving_runtime.py"
WASMTIME = os.environ.get("PROPLET_WASMTIME") or subprocess.run(
    [ROOT / "scripts" / "build-wasmtime-cli.sh", "--print-path"], check=True, capture_output=True, text=True).stdout.strip()
CORE = b"\0asm\x01\0\0\0"
FILE = "/proc/self/fd/3"


def base64_text(content):
    return base64.b64encode(content).decode()


def is_alive(pid):
    """A zombie is not: whoever it was left to may take its time."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class Pids:
    """The processes of a behaviour that lasts, by the file it writes them to."""

    def __init__(self, folder):
        self.path = folder / "pids"

    def wait(self):
        s.wait_until(self.path.exists, what="the runtime")
        return [int(pid) for pid in self.path.read_text().split()]

    def assert_gone(self):
        pids = self.wait()
        s.wait_until(lambda: not any(map(is_alive, pids)), 10, f"the end of {pids}")


@pytest.fixture
def pids(tmp_path):
    return Pids(tmp_path)


@pytest.fixture(scope="module")
def worker(servers, tmp_path_factory):
    """A worker whose plain tasks go to the runtime that misbehaves."""
    dirs = tmp_path_factory.mktemp("dirs")
    running = servers.start_worker(PROPLET_TEE="sample", PROPLET_EXTERNAL_WASM_RUNTIME=MISBEHAVING,
                                   PROPLET_EXTERNAL_ALLOWED_ARGS="-Shttp", PROPLET_DIRS=dirs, LD_LIBRARY_PATH="/lib",
                                   WASMTIME_LOG="trace", SECRET_OF_THE_HOST="secret")
    running.dirs = dirs
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def wasmtime_worker(servers, tmp_path_factory):
    dirs = tmp_path_factory.mktemp("dirs")
    running = servers.start_worker(PROPLET_TEE="off", PROPLET_EXTERNAL_WASM_RUNTIME=WASMTIME, PROPLET_DIRS=dirs)
    running.dirs = dirs
    yield running
    assert running.stop() == 0


def run(manager, worker, name, module=CORE, seconds=30, **fields):
    task, _ = manager.start(worker, name=name, file=base64_text(module), **fields)
    return manager.result(task, seconds)[1]


COMMAND_LINES = [
    # name, inputs, cli_args, module, what stands before the variables, what stands behind FILE
    ("add", ["10", "20"], None, CORE, ["run", "--invoke", "add"], ["10", "20"]),
    ("add", ["10", "20"], None, components.adder(), ["run", "--invoke", "add(10, 20)"], []),
    ("title", ["10", "20"], ["--invoke", "add"], CORE, ["run", "--invoke", "add"], ["10", "20"]),
    ("_start", ["10", "20"], None, CORE, ["run"], ["10", "20"]),
    ("fl-round-3", [], None, CORE, ["run"], []),
    ("now", [], None, components.adder(), ["run", "--invoke", "now()"], []),
    ("_start", ["a b", "--dir=/"], None, components.command(True), ["run"], ["a b", "--dir=/"]),
    ("f", ["-1"], ["-W", "fuel=100", "-Shttp"], CORE, ["run", "--invoke", "f", "-W", "fuel=100", "-Shttp"], ["-1"]),
]


@pytest.mark.parametrize("name,inputs,cli_args,module,before,behind", COMMAND_LINES)
def test_the_command_line_is_that_of_the_protocol(manager, worker, name, inputs, cli_args, module, before, behind):
    result = run(manager, worker, name, module, inputs=inputs, cli_args=cli_args, env={"A": "x=y z", "B": ""})
    assert result["error"] is None
    variables = ["--env", "A=x=y z", "--env", "B=", "--env", f"PROPLET_ID={worker.entity}"]
    assert json.loads(result["results"])["argv"] == before + variables + [FILE] + behind


def test_the_runtime_gets_the_module_and_nothing_else_of_the_worker(manager, worker):
    module = CORE + os.urandom(100000)
    result = run(manager, worker, "show", module, env={"LD_PRELOAD": "/evil.so", "PATH": "/evil", "HOME": "/evil"})
    seen = json.loads(result["results"])
    assert seen["module"] == hashlib.sha256(module).hexdigest()
    for name in ("LC_CTYPE", "PWD"):  # Python's own
        seen["environment"].pop(name, None)
    assert set(seen["environment"]) == {"PATH", "HOME", "LD_LIBRARY_PATH"}
    assert "evil" not in str(seen["environment"])
    assert seen["descriptors"] == [0, 1, 2, 3]
    assert seen["stdin"] == "" and seen["leader"]


def test_ten_mebibytes_on_both_outputs_are_read_bounded_and_marked(manager, worker):
    result = run(manager, worker, "flood")
    assert result["error"] is None
    assert len(result["results"]) < (1 << 20) + 100
    assert f"\n[{9 << 20} bytes of output dropped]\n" in result["results"]


def test_a_failure_has_the_words_of_the_protocol(manager, worker):
    assert run(manager, worker, "fail")["error"] == \
        "GUEST_EXIT: Process exited with status: exit status: 3, stderr: why "
    assert run(manager, worker, "die_by_signal")["error"] == \
        "GUEST_EXIT: Process exited with status: signal: 9 (SIGKILL), stderr: last words "


@pytest.mark.parametrize("behaviour", ["stubborn", "brood_that_stays", "close_everything", "endless_flood"])
def test_a_stop_ends_the_runtime_and_all_it_started_whatever_they_ignore(manager, worker, pids, behaviour):
    task, _ = manager.start(worker, name=behaviour, file=base64_text(CORE), inputs=[str(pids.path)])
    pids.wait()
    manager.publish("control/manager/stop", {"id": task})
    assert manager.result(task)[1]["error"] == f"TASK_STOPPED: task {task} was stopped before completion"
    pids.assert_gone()


def test_children_that_hold_the_pipes_do_not_hold_up_the_result(manager, worker, pids):
    result = run(manager, worker, "brood", inputs=[str(pids.path)])
    assert (result["results"], result["error"]) == ("done\n", None)
    pids.assert_gone()


def test_a_daemon_that_floods_goes_on_until_it_is_stopped(manager, worker, pids):
    task, _ = manager.start(worker, name="endless_flood", file=base64_text(CORE), inputs=[str(pids.path)], daemon=True)
    result = manager.result(task)[1]
    assert (result["results"], result["error"]) == ("", None)
    (pid,) = pids.wait()
    before = worker.resident_bytes()
    time.sleep(1)
    assert is_alive(pid)
    assert worker.resident_bytes() - before < 64 << 20
    manager.publish("control/manager/stop", {"id": task})
    pids.assert_gone()
    assert manager.results_within(0.3) == []


@pytest.mark.parametrize("cli_args,refused", [
    (["--dir=/"], "--dir=/"), (["--dir", "/etc::/x"], "--dir=/etc::/x"), (["-S", "inherit-network=y"], "-Sinherit-network=y"),
    (["-Sinherit-env"], "-Sinherit-env"), (["--env", "PROPLET_API_KEY"], "--env"), (["-Shttp,tcp=y"], "-Stcp=y"),
    (["/etc/other.wasm"], "/etc/other.wasm"), (["--"], "--"),
])
@pytest.mark.parametrize("daemon", [False, True])
def test_a_flag_that_opens_the_host_is_refused_by_name(manager, worker, cli_args, refused, daemon):
    result = run(manager, worker, "show", cli_args=cli_args, daemon=daemon)
    assert result["results"] == ""
    assert result["error"].startswith(f"CLI_ARGUMENT_REFUSED: cli_args: {refused} ")


def test_names_of_tasks_never_become_files(manager, worker):
    temporary = pathlib.Path("/tmp")
    before = set(temporary.iterdir())
    for task in ("../../x", "a/b", "x" * 4096, ".", "proplet\n"):
        result = run(manager, worker, "show", id=task)
        assert result["error"] is None
        assert json.loads(result["results"])["argv"][-1] == FILE
    made = {path.name for path in set(temporary.iterdir()) - before}
    assert not any("proplet_" in name or name.endswith(".wasm") for name in made)


def test_names_that_would_be_flags_are_refused(manager, worker):
    assert run(manager, worker, "-Sinherit-network=y")["error"].startswith("MESSAGE_INVALID")
    assert run(manager, worker, "show", env={"-Sinherit-network": "y"})["error"].startswith("MESSAGE_INVALID")


@pytest.mark.parametrize("daemon", [False, True])
def test_a_component_that_serves_http_is_refused_clearly(manager, worker, daemon):
    result = run(manager, worker, "serve", components.http_server(), daemon=daemon)
    assert result["error"].startswith("UNSUPPORTED: components that serve HTTP")


def test_encrypted_tasks_never_leave_the_worker(servers, manager, worker, guests):
    image = servers.push_encrypted(guests / "math_reactor.wasm", "e2e:host", "kbs:///default/key/e2e-host")
    task, _ = manager.start(worker, image_url=image, encrypted=True, inputs=["10", "20"])
    assert manager.result(task)[1]["results"] == "30"  # the external one would have shown its arguments
    plain = servers.push_plain(guests / "math_reactor.wasm", "e2e:host-plain")
    task, _ = manager.start(worker, image_url=plain, inputs=["10", "20"])
    assert json.loads(manager.result(task)[1]["results"])["argv"][:3] == ["run", "--invoke", "add"]


def test_the_time_limit_holds(servers, manager, pids):
    worker = servers.start_worker(PROPLET_EXTERNAL_WASM_RUNTIME=MISBEHAVING, PROPLET_TASK_TIMEOUT=1, PROPLET_TEE="off")
    result = run(manager, worker, "brood_that_stays", inputs=[str(pids.path)])
    assert result["error"] == "TASK_TIMEOUT: the task ran longer than 1000 ms"
    pids.assert_gone()
    assert worker.stop() == 0


def test_sigterm_leaves_no_child_and_publishes_every_result(servers, manager, tmp_path):
    worker = servers.start_worker(PROPLET_EXTERNAL_WASM_RUNTIME=MISBEHAVING, PROPLET_DRAIN_SECONDS=0, PROPLET_TEE="off")
    folders = {behaviour: tmp_path / behaviour for behaviour in ("stubborn", "brood_that_stays", "endless_flood")}
    tasks = {}
    for behaviour, folder in folders.items():
        folder.mkdir()
        tasks[manager.start(worker, name=behaviour, file=base64_text(CORE), inputs=[str(folder / "pids")])[0]] = Pids(folder)
    for pids in tasks.values():
        pids.wait()
    assert worker.stop() == 0
    answers = {result["task_id"]: result["error"] for result in manager.results_within(1)}
    assert answers == {task: f"TASK_STOPPED: task {task} was stopped before completion" for task in tasks}
    for pids in tasks.values():
        assert not any(map(is_alive, pids.wait()))


def test_a_killed_worker_leaves_no_runtime_behind(servers, manager, pids):
    worker = servers.start_worker(PROPLET_EXTERNAL_WASM_RUNTIME=MISBEHAVING, PROPLET_TEE="off")
    manager.start(worker, name="stubborn", file=base64_text(CORE), inputs=[str(pids.path)])
    pids.wait()
    worker.process.kill()
    pids.assert_gone()


def told_runtime(manager, servers, **settings):
    worker = servers.start_worker(ready=False, PROPLET_TEE="off", **settings)
    _, message = manager.next("control/proplet/create", 20, lambda message: message["proplet_id"] == worker.entity)
    return worker, message["metadata"]["wasm_runtime"]


def test_discovery_names_the_runtime_that_is_used(servers, manager, guests):
    worker, told = told_runtime(manager, servers, PROPLET_EXTERNAL_WASM_RUNTIME=MISBEHAVING)
    assert told == str(MISBEHAVING)
    assert worker.stop() == 0
    worker, told = told_runtime(manager, servers, PROPLET_EXTERNAL_WASM_RUNTIME="no-such-runtime")
    assert told == "wasmtime-internal"
    assert "no external runtime" in worker.log_text()
    assert run(manager, worker, "add", (guests / "math_reactor.wasm").read_bytes(), inputs=["1", "2"])["results"] == "3"
    assert worker.stop() == 0


def test_a_list_of_allowed_flags_that_is_none_is_a_problem(servers):
    worker = servers.start_worker(ready=False, PROPLET_EXTERNAL_ALLOWED_ARGS="-Shttp,inherit-env")
    assert worker.process.wait(20) == 1
    assert "PROPLET_EXTERNAL_ALLOWED_ARGS: 'inherit-env' is no flag" in worker.log_text()


# The real thing.


@pytest.mark.parametrize("name,inputs,module,results", [
    ("add", ["10", "20"], "math_reactor.wasm", "30\n"),
    ("add", ["10", "-20"], components.adder(), "-10\n"),
    ("_start", ["a b"], "hello.wasm", "argument 0: 3\nargument 1: a b\ngreeting: hi\n"),
    ("_start", [], components.command(True), ""),
])
def test_wasmtime_runs_core_modules_commands_and_components(manager, wasmtime_worker, guests, name, inputs, module, results):
    content = (guests / module).read_bytes() if isinstance(module, str) else module
    result = run(manager, wasmtime_worker, name, content, inputs=inputs, env={"GREETING": "hi"})
    assert (result["results"], result["error"]) == (results, None)


def test_wasmtime_fails_as_the_protocol_says(manager, wasmtime_worker, guests):
    error = run(manager, wasmtime_worker, "nowhere", (guests / "math_reactor.wasm").read_bytes())["error"]
    assert error.startswith("GUEST_EXIT: Process exited with status: exit status: 1, stderr: ") and "nowhere" in error
    error = run(manager, wasmtime_worker, "_start", components.command(False))["error"]
    assert error.startswith("GUEST_EXIT: Process exited with status: exit status: 1, stderr: ")


def test_wasmtime_honours_the_flags_that_are_allowed(manager, wasmtime_worker, guests):
    spin = (guests / "spin.wasm").read_bytes()
    error = run(manager, wasmtime_worker, "_start", spin, cli_args=["-W", "fuel=1000"])["error"]
    assert "all fuel consumed" in error
    (wasmtime_worker.dirs / "note").write_text("from the host")
    files = (guests / "files.wasm").read_bytes()
    for cli_args, seen in ((None, "error: "), (["--dir", f"{wasmtime_worker.dirs}::/shared"], "from the host")):
        result = run(manager, wasmtime_worker, "_start", files, inputs=["read", "/shared/note"], cli_args=cli_args)
        assert result["error"] is None and result["results"].startswith(seen)


def test_wasmtime_is_stopped_in_the_middle_of_a_loop(manager, wasmtime_worker, guests):
    task, _ = manager.start(wasmtime_worker, name="_start", file=base64_text((guests / "spin.wasm").read_bytes()))

    def children():
        text = "".join(path.read_text() for path in pathlib.Path(f"/proc/{wasmtime_worker.process.pid}/task").glob("*/children"))
        return text.split()

    found = s.wait_until(children, what="wasmtime")
    manager.publish("control/manager/stop", {"id": task})
    assert manager.result(task, 10)[1]["error"].startswith("TASK_STOPPED")
    assert children() == [] and not any(map(is_alive, found))
