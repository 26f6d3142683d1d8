"""The worker's sandbox, seen from outside; every other test of this folder runs in it."""

import ctypes
import json
import pathlib

import stack as s

LANDLOCK_CREATE_RULESET = 444


def kernel_has_landlock():
    return ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1) > 0


def status_of(worker):
    """A field of /proc/PID/status, for every thread of the process."""
    tasks = pathlib.Path(f"/proc/{worker.process.pid}/task")
    return [dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
            for task in tasks.iterdir()]


def confinement(worker):
    lines = [json.loads(line) for line in worker.log_text().splitlines() if line.startswith("{")]
    return [line for line in lines if "sandbox" in json.dumps(line)]


def test_the_worker_runs_in_its_sandbox(servers, manager):
    worker = servers.start_worker(PROPLET_TEE="sample")
    for thread in status_of(worker):
        assert thread["Seccomp"].strip() == "2" and thread["NoNewPrivs"].strip() == "1", thread["Name"]
    line, = confinement(worker)
    assert line["system_calls"] is True
    assert line["files"] is kernel_has_landlock()
    assert line["secret_memory"] in ("hidden from the kernel", "locked", "not locked")
    image = servers.push_encrypted(s.GUESTS / "math_reactor.wasm", "sandbox:add", "kbs:///default/key/sandbox")
    task, _ = manager.start(worker, image_url=image, encrypted=True, inputs=["20", "22"])
    assert manager.result(task)[1]["results"] == "42"
    assert worker.stop() == 0


def test_an_operator_can_switch_the_sandbox_off(servers):
    worker = servers.start_worker(PROPLET_SANDBOX="false")
    assert {thread["Seccomp"].strip() for thread in status_of(worker)} == {"0"}
    line, = confinement(worker)
    assert "off" in json.dumps(line)
    assert worker.stop() == 0


def test_where_programs_are_used_only_the_worst_is_refused(servers):
    program = servers.folder / "any-attester"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    worker = servers.start_worker(PROPLET_TEE="tpm", PROPLET_ATTESTER_PROGRAM=program)
    assert {thread["Seccomp"].strip() for thread in status_of(worker)} == {"2"}
    line, = confinement(worker)
    assert line["files"] is False and "external programs" in line["missing"]
    assert worker.stop() == 0
