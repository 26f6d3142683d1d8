"""Attesters as an operator meets them: a program in place of a TEE, and TEEs that this machine does not have."""

import pytest

import stack as s

SAMPLE = """#!/usr/bin/python3
import json, sys
request = json.loads(sys.stdin.readline())
print(json.dumps({"evidence": {"svn": "1", "report_data": request["report_data"]}}))
"""


@pytest.fixture
def program(servers):
    def write(name, text):
        path = servers.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return path
    return write


@pytest.fixture(scope="module")
def image(servers):
    return servers.push_encrypted(s.GUESTS / "math_reactor.wasm", "tee:add", "kbs:///default/key/tee")


def outcome(servers, manager, image, **settings):
    worker = servers.start_worker(**settings)
    task, _ = manager.start(worker, image_url=image, encrypted=True, inputs=["20", "22"])
    _, message = manager.result(task)
    assert worker.stop() == 0
    return message, worker.log_text()


def test_evidence_of_a_program_opens_an_image(servers, manager, image, program):
    message, _ = outcome(servers, manager, image, PROPLET_TEE="sample",
                         PROPLET_ATTESTER_PROGRAM=program("attester", SAMPLE))
    assert message["error"] is None and message["results"] == "42"


def test_the_reason_of_a_program_that_fails_is_in_the_result(servers, manager, image, program):
    path = program("failing", "#!/bin/sh\necho 'the TPM is locked' >&2\nexit 7\n")
    message, _ = outcome(servers, manager, image, PROPLET_TEE="sample", PROPLET_ATTESTER_PROGRAM=path)
    assert message["error"] == f"EVIDENCE_FAILED: {path} failed, exit status: 7: the TPM is locked"


def test_the_broker_judges_the_name_that_the_operator_gave(servers, manager, image, program):
    message, _ = outcome(servers, manager, image, PROPLET_TEE="keystone",
                         PROPLET_ATTESTER_PROGRAM=program("keystone", SAMPLE))
    assert message["error"].startswith("KBS_ATTESTATION_REJECTED: ")


def test_a_program_that_others_can_change_is_not_started(servers, manager, image, program):
    path = program("loose", SAMPLE)
    path.chmod(0o777)
    message, log = outcome(servers, manager, image, PROPLET_TEE="sample", PROPLET_ATTESTER_PROGRAM=path)
    assert message["error"].startswith("TEE_UNAVAILABLE: ") and "chmod go-w" in message["error"]
    assert "chmod go-w" in log


@pytest.mark.parametrize("tee, missing", [("tdx", "/sys/kernel/config/tsm/report"), ("snp", "/dev/sev-guest"),
                                          ("cca", "arm-cca-guest"), ("sgx", "/dev/attestation/attestation_type"),
                                          ("se", "PROPLET_ATTESTER_PROGRAM")])
def test_a_tee_that_is_not_here_is_named_with_what_is_missing(servers, manager, image, tee, missing):
    message, _ = outcome(servers, manager, image, PROPLET_TEE=tee)
    assert message["error"].startswith(("TEE_UNAVAILABLE: ", "UNSUPPORTED: ")) and missing in message["error"]


def test_init_data_that_cannot_be_read_stops_encrypted_tasks(servers, manager, image):
    message, _ = outcome(servers, manager, image, PROPLET_TEE="sample", PROPLET_INIT_DATA_FILE="/does/not/exist")
    assert "/does/not/exist" in message["error"]
