"""A worker between the doubles, and what the conformance tests share."""

import base64
import dataclasses
import json
import pathlib
import re
import uuid

import pytest

import manager as double
import stack as s
from protocol import Protocol

VECTORS = pathlib.Path(__file__).resolve().parents[1] / "vectors" / "propeller"
RECORDED_WORKER = "55555555-5555-4555-8555-555555555555"
RESULTS = "control/proplet/results"
states = pytest.mark.states


def inline(name):
    return base64.b64encode((s.GUESTS / name).read_bytes()).decode()


def recording(name):
    return json.loads((VECTORS / f"{name}.json").read_text())["exchanges"]


class Bench:
    """A worker with its default result floor, and a Manager that heard it come."""

    def __init__(self, servers, floor=0.010, loses_results=False, **settings):
        self.servers = servers
        self.protocol = Protocol(floor=floor)
        self.manager = double.Manager(servers.mqtt_port, s.BASE, self.protocol, loses_results=loses_results)
        self.worker = servers.start_worker(ready=False, **{"PROPLET_RESULT_FLOOR_MS": "", **settings})
        self.protocol.only = self.worker.entity
        self.manager.wait_for_worker(self.worker.entity)

    def send_start(self, **fields):
        """A start as it stands, whatever the Manager would have made of it. Its id."""
        message = {"id": str(uuid.uuid4()), "name": "add", "state": 0, "cli_args": None, "broadcast": False,
                   "daemon": False, "latent": False, "encrypted": False, "proplet_id": self.worker.entity, **fields}
        self.protocol.started(message, [self.worker.entity])
        self.manager.link.publish("control/manager/start", message, wait=True)
        return message["id"]

    def send_stop(self, task_id):
        self.manager.link.publish("control/manager/stop", {"id": task_id, "proplet_id": self.worker.entity}, wait=True)

    def answer(self, task_id, seconds=30):
        return s.wait_until(lambda: self.protocol.answers(task_id), seconds, f"an answer to {task_id}")[0]

    def close(self):
        assert self.worker.stop() == 0
        self.manager.close()
        assert self.protocol.unanswered() == []
        assert self.protocol.faults == [], self.protocol.faults


@dataclasses.dataclass
class Row:
    """A start and its answer. `error` is a pattern for its beginning; none: success."""

    name: str
    states: tuple
    fields: dict
    results: str = ""
    error: str | None = None


def check_row(bench, row):
    fields = dict(row.fields)
    if "raw_file" in fields:
        fields["file"] = fields.pop("raw_file")
    elif fields.get("file"):
        fields["file"] = inline(fields["file"])
    answer = bench.answer(bench.send_start(**fields))
    assert answer["results"] == row.results, answer
    assert answer["error"] is None if row.error is None else re.match(row.error, answer["error"]), answer
