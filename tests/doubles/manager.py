"""A Manager without its HTTP interface: it sends what the real one sends and does with the answers what that one does.

What it takes from the real Manager (recordings in tests/vectors/propeller; test_the_double_... holds it to them):
it subscribes to everything below the base topic and so hears itself, has a clean session and a last will on the alive
topic, handles one message at a time in order, and announces a start before two store writes, the second of which
overwrites the task with a copy from before: a result that arrives in between is lost. The first start binds a task to
its worker until it is stopped. Calls that the real one refuses raise Refused.

Everything heard from workers goes through a Protocol (protocol.py), which collects what is wrong with it.
"""

import contextlib
import copy
import json
import queue
import random
import threading
import time
import uuid

import link

PENDING, RUNNING, COMPLETED, FAILED, SKIPPED = 0, 2, 3, 4, 5
ENDED = (COMPLETED, FAILED, SKIPPED)
ALIVE_TIMEOUT = 10.0
METADATA = ("description", "tags", "location", "ip", "environment", "os", "hostname", "cpu_arch", "total_memory_bytes",
            "proplet_version", "wasm_runtime")
CREATE, ALIVE = "control/proplet/create", "control/proplet/alive"
RESULTS, INVOKE_RESULTS = "control/proplet/results", "control/proplet/invoke_results"


class Refused(Exception):
    """What the HTTP interface would answer with an error."""


class Store:
    """Values by id. Reading copies; writing takes its time, as a database does."""

    def __init__(self, write_seconds):
        self.values, self.write_seconds = {}, write_seconds

    def get(self, key):
        return copy.deepcopy(self.values[key])

    def put(self, key, value):
        time.sleep(self.write_seconds)
        self.values[key] = copy.deepcopy(value)


def start_message(task, worker, parent_results=None):
    """The start of a task, member for member and in the order of the real one. `state` is that before the start."""
    message = {"id": task["id"], "name": task["name"], "state": task["state"]}

    def unless_empty(*names):
        message.update({name: task[name] for name in names if task.get(name)})

    unless_empty("image_url", "file", "inputs")
    message["cli_args"] = task.get("cli_args")
    message.update({name: task.get(name, False) for name in ("broadcast", "daemon", "latent")})
    unless_empty("env")
    message["encrypted"] = task.get("encrypted", False)
    unless_empty("kbs_resource_path", "monitoring_profile")
    if worker:
        message["proplet_id"] = worker
    unless_empty("hal_storage_path")
    if parent_results:
        message["parent_results"] = parent_results
    return message


def input_text(value):
    """Inputs become text as they were written; null becomes the empty text."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise Refused("inputs are strings or numbers")
    return value if isinstance(value, str) else json.dumps(value)


class Manager:
    """`loses_results`: as the real one. Without, a result waits for the book-keeping of its start, for tests that are
    about something else on a machine that may be slow."""

    def __init__(self, port, base, protocol, *, qos=2, write_seconds=0.001, loses_results=True):
        self.protocol = protocol
        self.entity = str(uuid.uuid4())
        self.tasks, self.proplets = Store(write_seconds), Store(write_seconds)
        self.bindings, self.invocations, self.turn = {}, {}, 0
        self.changed = threading.Condition()
        self.book_keeping = contextlib.nullcontext() if loses_results else threading.RLock()
        self.inbox = queue.Queue()
        will = (ALIVE, {"status": "offline", "proplet_id": self.entity})
        self.link = link.Link(port, base, ["#", "fl/rounds/start"], self.inbox.put, qos=qos, client_id=self.entity,
                              will=will)
        self.handlers = {CREATE: self.on_create, ALIVE: self.on_alive, RESULTS: self.on_result,
                         INVOKE_RESULTS: self.on_invoke_result}
        self.thread = threading.Thread(target=self.handle_messages, daemon=True)
        self.thread.start()

    def close(self):
        self.link.close()
        self.inbox.put(None)
        self.thread.join()

    # What a user asks for

    def create_task(self, **fields):
        task = {"id": str(uuid.uuid4()), "state": PENDING, "cli_args": None, **fields}
        if not task.get("name"):
            raise Refused("name is required")
        if task.get("broadcast") and task.get("proplet_id"):
            raise Refused("broadcast and proplet_id exclude each other")
        if task.get("inputs") is not None:
            task["inputs"] = [input_text(value) for value in task["inputs"]]
        self.tasks.put(task["id"], task)
        return task["id"]

    def start(self, task_id, parent_results=None):
        task = self.tasks.get(task_id)
        worker = None if task.get("broadcast") else self.choose_worker(task)
        if worker and task_id in self.bindings:
            raise Refused("entity already exists")
        message = start_message(task, worker, parent_results)
        self.protocol.started(message, [worker] if worker else list(self.proplets.values))
        with self.book_keeping:
            self.link.publish("control/manager/start", message, wait=True)
            if worker:
                self.bindings[task_id] = worker
                proplet = self.proplets.get(worker)
                proplet["task_count"] += 1
                self.proplets.put(worker, proplet)
                task["proplet_id"] = worker
            else:
                time.sleep(self.proplets.write_seconds)
            self.write({**task, "state": RUNNING})
        return message

    def stop(self, task_id):
        task = self.tasks.get(task_id)
        message = {"broadcast": bool(task.get("broadcast")), "id": task_id}
        if worker := self.bindings.pop(task_id, None):
            message["proplet_id"] = worker
        self.link.publish("control/manager/stop", message, wait=True)

    def invoke(self, task_id, inputs=None, env=None, seconds=30):
        """The worker's answer to one invocation, or TimeoutError."""
        message = {"broadcast": bool(self.tasks.get(task_id).get("broadcast")), "id": task_id, "inputs": inputs,
                   "invocation_id": str(uuid.uuid4()), "proplet_id": self.bindings.get(task_id)}
        if env:
            message["env"] = env
        answers = self.invocations[message["invocation_id"]] = queue.Queue()
        self.link.publish("control/manager/invoke", dict(sorted(message.items())), wait=True)
        try:
            return answers.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError("the invocation was not answered") from None

    def create_workflow(self, *tasks):
        """Tasks with ids of their own; `depends_on` and `run_if` as the real one knows them."""
        workflow = str(uuid.uuid4())
        return [self.create_task(workflow_id=workflow, **task) for task in tasks]

    def run(self, **fields):
        """Creates and starts a task and returns it as it is at its end."""
        task_id = self.create_task(**fields)
        self.start(task_id)
        return self.wait(task_id)

    # What a user sees

    def wait(self, task_id, seconds=30, states=ENDED):
        with self.changed:
            if not self.changed.wait_for(lambda: self.tasks.values[task_id]["state"] in states, seconds):
                raise TimeoutError(f"still {self.tasks.values[task_id]}")
        return self.tasks.get(task_id)

    def wait_for_worker(self, worker, seconds=20):
        with self.changed:
            if not self.changed.wait_for(lambda: worker in self.proplets.values and self.alive(worker), seconds):
                raise TimeoutError("the worker is not there")

    def alive(self, worker):
        history = self.proplets.values[worker]["history"]
        return bool(history) and time.monotonic() - history[-1] < ALIVE_TIMEOUT

    # What it does with messages

    def handle_messages(self):
        while (heard := self.inbox.get()) is not None:
            handler = self.handlers.get(heard.topic)
            try:
                message = json.loads(heard.payload)
            except ValueError:
                message = None
            if heard.topic.startswith("control/proplet/"):
                self.protocol.heard(heard, message)
            if handler and isinstance(message, dict):
                handler(message, heard.arrived)

    def on_create(self, message, _):
        worker = message.get("proplet_id")
        if not isinstance(worker, str) or not worker or worker in self.proplets.values:
            return  # of a known worker nothing is taken over
        metadata = message.get("metadata") or {}
        kept = {name: metadata[name] for name in METADATA if name in metadata}
        kept["total_memory_bytes"] = 0  # the real one expects another type of number
        self.add_proplet(worker, kept)

    def on_alive(self, message, arrived):
        """Anything on this topic is a sign of life; that of an unknown worker makes it known and counts not yet."""
        worker = message.get("proplet_id")
        if worker not in self.proplets.values:
            return self.add_proplet(worker, {})
        proplet = self.proplets.get(worker)
        proplet["history"] = (proplet["history"] + [arrived])[-10:]
        self.proplets.put(worker, proplet)
        self.notify()

    def on_result(self, message, _):
        task_id = message.get("task_id")
        if task_id not in self.tasks.values:
            return
        with self.book_keeping:
            task = self.tasks.get(task_id)
            task["results"] = message.get("results")
            error = message.get("error")
            failed = isinstance(error, str) and error != ""
            if failed:
                task["error"] = error  # and a later success does not clear it
            self.write({**task, "state": FAILED if failed else COMPLETED})
            if task.get("workflow_id"):
                self.start_dependants(task)

    def on_invoke_result(self, message, _):
        if answers := self.invocations.pop(message.get("invocation_id"), None):
            answers.put(message)

    def start_dependants(self, ended):
        family = [task for task in self.tasks.values.values() if task.get("workflow_id") == ended["workflow_id"]]
        states = {task["id"]: task["state"] for task in family}
        for task in family:
            parents = task.get("depends_on", [])
            if ended["id"] not in parents or task["state"] != PENDING or any(states[p] not in ENDED for p in parents):
                continue
            failed = any(states[parent] == FAILED for parent in parents)
            completed = all(states[parent] == COMPLETED for parent in parents)
            if completed if task.get("run_if", "success") == "success" else failed:
                results = {p: self.tasks.values[p]["results"] for p in parents if states[p] == COMPLETED}
                self.start(task["id"], results)
            else:
                self.write({**task, "state": SKIPPED})

    # Helpers

    def choose_worker(self, task):
        if wanted := task.get("proplet_id"):
            if wanted not in self.proplets.values or not self.alive(wanted):
                raise Refused("the worker is not alive")
            return wanted
        candidates = sorted(worker for worker in self.proplets.values if self.alive(worker))
        if not candidates:
            raise Refused("no worker is alive")
        self.turn += 1
        return candidates[self.turn % len(candidates)]

    def add_proplet(self, worker, metadata):
        name = f"worker-{random.randrange(1000)}"
        self.proplets.put(worker, {"name": name, "task_count": 0, "history": [], "metadata": metadata})
        self.notify()

    def write(self, task):
        self.tasks.put(task["id"], task)
        self.notify()

    def notify(self):
        with self.changed:
            self.changed.notify_all()
