"""What a worker's messages must look like, in which order they come and when. Collects every fault in words.

The shapes are those of the Propeller protocol, sections 2.1 to 2.9: members in this order, those in OPTIONAL may be
missing. A test ends with `assert protocol.faults == []`.
"""

import json
import re
import threading
import time
import uuid

NUMBER, TEXT_OR_NULL, LIST_OF_TEXT = (int, float), (str, type(None)), list
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")

SHAPES = {
    "control/proplet/create": {"proplet_id": str, "namespace": str, "metadata": {
        "description": str, "tags": LIST_OF_TEXT, "location": str, "ip": str, "environment": str, "os": str,
        "hostname": str, "cpu_arch": str, "total_memory_bytes": int, "proplet_version": str, "wasm_runtime": str}},
    "control/proplet/alive": {"proplet_id": str, "status": str, "namespace": str},
    "control/proplet/results": {"task_id": str, "proplet_id": str, "results": str, "error": TEXT_OR_NULL},
    "control/proplet/invoke_results": {"task_id": str, "invocation_id": str, "proplet_id": str, "results": str,
                                       "error": TEXT_OR_NULL},
    "control/proplet/metrics": {
        "proplet_id": str, "namespace": str, "timestamp": TIMESTAMP,
        "cpu_metrics": {"user_seconds": NUMBER, "system_seconds": NUMBER, "percent": NUMBER},
        "memory_metrics": {"rss_bytes": int, "heap_alloc_bytes": int, "heap_sys_bytes": int, "heap_inuse_bytes": int,
                           "container_usage_bytes": int, "container_limit_bytes": int}},
    "control/proplet/task_metrics": {
        "task_id": str, "proplet_id": str,
        "metrics": {"cpu_percent": NUMBER, "memory_bytes": int, "memory_percent": NUMBER, "disk_read_bytes": int,
                    "disk_write_bytes": int, "uptime_seconds": int, "thread_count": int, "file_descriptor_count": int},
        "aggregated": {"avg_cpu_usage": NUMBER, "max_cpu_usage": NUMBER, "avg_memory_usage": int,
                       "max_memory_usage": int, "total_disk_read": int, "total_disk_write": int, "sample_count": int},
        "timestamp": TIMESTAMP},
}
OPTIONAL = {"description", "tags", "location", "ip", "hostname", "container_limit_bytes", "error",
            # Managers need none of these; a guest inside the worker has no files or disk traffic of its own.
            "memory_percent", "disk_read_bytes", "disk_write_bytes", "thread_count", "file_descriptor_count",
            "total_disk_read", "total_disk_write"}
NULLABLE = {"aggregated"}
# A federated task answers with an object that has the worker's id inside.
FEDERATED = {"task_id": str, "results": {"task_id": str, "round_id": str, "proplet_id": str, "num_samples": int,
                                         "update_b64": str, "format": str, "metrics": {}}, "error": TEXT_OR_NULL}


def shape_faults(value, shape, where, ordered=True):
    if isinstance(shape, re.Pattern):
        good = isinstance(value, str) and shape.fullmatch(value)
        return [] if good else [f"{where} is no RFC 3339 time: {value!r}"]
    if not isinstance(shape, dict):
        good = isinstance(value, shape) and (not isinstance(value, bool) or shape is bool)
        return [] if good else [f"{where} has a wrong type: {value!r}"]
    if not isinstance(value, dict):
        return [f"{where} is no object: {value!r}"]
    faults = []
    names = [name for name in shape if name in value or name not in OPTIONAL or name == "error"]
    if list(value) != names if ordered else set(value) != set(names):
        faults.append(f"{where} has the members {list(value)}, not {names}")
    for name, inner in shape.items():
        if name in value and not (name in NULLABLE and value[name] is None):
            faults += shape_faults(value[name], inner, f"{where}.{name}", ordered)
    return faults


class Protocol:
    """Everything heard from workers, in order, and what is wrong with it. Thread-safe.

    `floor` is the least time between a start and its answer; `patience` the most between two heartbeats.
    """

    def __init__(self, *, floor=0.0, patience=10.0, qos=2):
        self.floor, self.patience, self.qos = floor, patience, qos
        self.lock = threading.Lock()
        self.faults, self.messages = [], []
        self.starts = {}  # task id: [time, workers, answers of each]
        self.last_alive, self.announced = {}, set()
        self.only = None  # the worker whose answers are counted; None: every worker's

    def started(self, message, workers):
        with self.lock:
            self.starts.setdefault(message["id"], []).append((time.monotonic(), list(workers)))

    def heard(self, heard, message):
        with self.lock:
            self.messages.append((heard.arrived, heard.topic, message))
            try:
                self.check(heard, message)
            except Exception as error:  # a message nobody thought of is a fault as well
                self.faults.append(f"{heard.topic}: {error!r} for {heard.payload[:200]!r}")

    def of(self, topic, **members):
        """The messages on a topic that have these members, with the time of their arrival."""
        with self.lock:
            return [(arrived, message) for arrived, name, message in self.messages if name == topic
                    and all(message.get(key) == value for key, value in members.items())]

    def answers(self, task_id):
        return [message for _, message in self.of("control/proplet/results", task_id=task_id)]

    def check(self, heard, message):
        shape = SHAPES.get(heard.topic)
        if shape is None:
            return self.faults.append(f"nobody knows the topic {heard.topic}")
        if message is None:
            return self.faults.append(f"{heard.topic}: no JSON: {heard.payload[:200]!r}")
        if heard.topic.endswith("results") and isinstance(message.get("results"), dict):
            shape = FEDERATED
        self.faults += shape_faults(message, shape, heard.topic, ordered=heard.topic.endswith("results"))
        if heard.retain:
            self.faults.append(f"{heard.topic}: retained")
        if heard.qos != self.qos:
            self.faults.append(f"{heard.topic}: QoS {heard.qos}, not {self.qos}")
        worker = message.get("proplet_id") or message["results"]["proplet_id"]
        uuid.UUID(worker)
        if heard.topic.endswith("results") and message["error"] == "":
            self.faults.append(f"{heard.topic}: an error without words")
        order = {"control/proplet/create": self.check_create, "control/proplet/alive": self.check_alive,
                 "control/proplet/results": self.check_result}
        order.get(heard.topic, lambda *_: None)(worker, message, heard.arrived)

    def check_create(self, worker, message, arrived):
        self.announced.add(worker)
        self.last_alive[worker] = arrived  # a sign of life has to follow as if this were one
        if not all(isinstance(tag, str) for tag in message["metadata"].get("tags", [])):
            self.faults.append("a tag that is no text")

    def check_alive(self, worker, message, arrived):
        before = self.last_alive.get(worker)
        if before is not None and arrived - before > self.patience:
            self.faults.append(f"{arrived - before:.1f} s without a heartbeat")
        self.last_alive[worker] = arrived
        if message["status"] != "alive":
            self.faults.append(f"a heartbeat that says {message['status']}")

    def check_result(self, worker, message, arrived):
        if self.only is not None and worker != self.only:
            return  # another bench on the same broker looks after it
        task_id = message["task_id"]
        starts = [time for time, workers in self.starts.get(task_id, []) if worker in workers]
        earlier = [m for _, topic, m in self.messages[:-1] if topic == "control/proplet/results"
                   and m["task_id"] == task_id and m.get("proplet_id", worker) == worker]
        if len(earlier) >= len(starts):
            return self.faults.append(f"{len(earlier) + 1} answers to {len(starts)} starts of {task_id} at {worker}")
        if arrived - starts[len(earlier)] < self.floor:
            self.faults.append(f"answered {arrived - starts[len(earlier)]:.4f} s after the start of {task_id}")

    def unanswered(self):
        """Ids of tasks that some worker they were for has not answered as often as it was started."""
        with self.lock:
            missing = []
            for task_id, starts in self.starts.items():
                wanted = sum(len(workers) for _, workers in starts)
                found = sum(topic == "control/proplet/results" and m["task_id"] == task_id
                            for _, topic, m in self.messages)
                missing += [task_id] if found < wanted else []
            return missing
