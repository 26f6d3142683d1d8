"""Load and faults: floods, brokers and workers that die, links that stall. Each test has a short form and a long one.

PROPLET_SOAK=1 (`make soak`) runs the long forms. The Manager here behaves as an operator would: it sends a start again
when it has waited in vain, because what is sent to a worker that is away is lost with its clean session.

"Exactly once" is held against this: every start that reaches a worker leads to one run and one answer. A broker that dies
may have had that answer or not, and the worker cannot know; it sends the same bytes again. So a task may be heard twice,
but never with two different answers.
"""

import base64
import collections
import os
import pathlib
import random
import subprocess
import threading
import time
import uuid

import pytest

import stack as s
from hostile import Hostile
from link import Link

SOAK = os.environ.get("PROPLET_SOAK") == "1"
RESULTS, ALIVE = "control/proplet/results", "control/proplet/alive"
MANAGERS_PATIENCE = 10  # seconds between heartbeats


def amount(short, long):
    return long if SOAK else short


def inline(name):
    return base64.b64encode((s.GUESTS / name).read_bytes()).decode()


class Ledger:
    """What was asked of a worker and what it said. Survives the broker: the client comes back and subscribes again."""

    def __init__(self, stack, entity):
        self.entity, self.lock = entity, threading.Lock()
        self.expected, self.sent, self.answers, self.beats = {}, collections.Counter(), {}, []
        self.manager = stack.manager()
        self.manager.client.reconnect_delay_set(0.05, 0.1)
        self.manager.client.on_message = self.on_message

    def on_message(self, _, __, message):
        arrived, topic = time.monotonic(), message.topic[len(s.BASE) + 1:]
        if topic == ALIVE:
            self.beats.append(arrived)
        if topic == RESULTS:
            answer = s.json.loads(message.payload)
            with self.lock:
                self.answers.setdefault(answer["task_id"], []).append((arrived, answer["results"], answer["error"]))

    def start(self, task, expected=None, **fields):
        self.expected.setdefault(task, expected)
        self.sent[task] += 1
        message = {"id": task, "name": "add", "proplet_id": self.entity, "state": 2 if self.sent[task] > 1 else 0, **fields}
        self.manager.publish("control/manager/start", message)

    def open_tasks(self):
        with self.lock:
            return [task for task in self.expected if task not in self.answers]

    def check(self, allowed_errors=()):
        """Every task has an answer, the right one, and no other."""
        assert self.open_tasks() == []
        with self.lock:
            for task, answers in self.answers.items():
                kinds = {(results, error) for _, results, error in answers}
                assert len(kinds) == 1, (task, answers)
                results, error = kinds.pop()
                if error is None or error.split(":")[0] not in allowed_errors:
                    assert (results, error) == (self.expected[task], None), task
            return sum(len(answers) - 1 for answers in self.answers.values())

    def heard_twice(self):
        with self.lock:
            return sum(len(answers) > 1 for answers in self.answers.values())


def longest_silence(beats):
    return max((after - before for before, after in zip(beats, beats[1:])), default=0)


def test_a_broker_that_is_killed_again_and_again_costs_no_task_its_answer(own):
    kills, tasks = amount(6, 200), amount(120, 2000)
    dice = random.Random(7)
    worker = own.start_worker(PROPLET_TEE="off")
    ledger, module = Ledger(own, worker.entity), inline("math_reactor.wasm")
    broker, killed, next_task, last_sent = own.processes[0], 0, 0, {}
    next_kill = time.monotonic() + 0.5
    deadline = time.monotonic() + amount(240, 3000)
    while time.monotonic() < deadline and (killed < kills or next_task < tasks or ledger.open_tasks()):
        now = time.monotonic()
        open_tasks = ledger.open_tasks()
        # As many tasks for each life of the broker, so that every life has some under way.
        if next_task < tasks and len(open_tasks) < 20 and next_task < (killed + 1) * tasks / kills + 20:
            identity = f"task-{next_task}"
            ledger.start(identity, str(next_task + 5), file=module, inputs=[str(next_task), "5"])
            last_sent[identity], next_task = now, next_task + 1
        for identity in open_tasks:
            if now - last_sent[identity] > 4:
                ledger.start(identity, file=module, inputs=[identity.split("-")[1], "5"])
                last_sent[identity] = now
        if killed < kills and now > next_kill:
            broker.kill()
            broker.wait()
            time.sleep(dice.uniform(0, 0.05))
            broker = own.start_broker()
            killed += 1
            next_kill = time.monotonic() + dice.uniform(0.05, 2.5)
        time.sleep(0.002)
    assert killed == kills
    duplicates = ledger.check()
    log = worker.log_text()
    runs = collections.Counter(line.split('"task_id":"')[1].split('"')[0] for line in log.splitlines() if '"task received"' in line)
    # No run that nobody asked for; the Manager's client repeats the twenty it had under way when a broker died.
    assert sum(runs.values()) <= sum(ledger.sent.values()) + 20 * killed
    print(f"{killed} brokers, {next_task} tasks, {sum(ledger.sent.values())} starts, {duplicates} answers heard again")
    assert worker.stop() == 0


def test_a_worker_that_is_killed_again_and_again_answers_every_task_it_had(own):
    lives, tasks_each = amount(4, 60), 15
    dice = random.Random(11)
    entity, state = str(uuid.uuid4()), own.folder / "state"
    ledger = Ledger(own, entity)
    add, sleep = inline("math_reactor.wasm"), inline("sleep.wasm")
    number = 0
    for life in range(lives):
        worker = own.start_worker(PROPLET_TEE="off", PROPLET_ENTITY_ID=entity, PROPLET_STATE_PATH=state, PROPLET_MAX_TASKS="4")
        for _ in range(tasks_each):
            if number % 3 == 0:
                ledger.start(f"sleep-{number}", "awake", file=sleep, name="_start", inputs=[str(dice.randrange(300))])
            else:
                ledger.start(f"add-{number}", str(number + 1), file=add, inputs=[str(number), "1"])
            number += 1
        time.sleep(dice.uniform(0, 0.4))
        worker.kill()
    worker = own.start_worker(PROPLET_TEE="off", PROPLET_ENTITY_ID=entity, PROPLET_STATE_PATH=state)
    time.sleep(2)
    # Those that were on their way to a dead worker are asked for again, when all is quiet.
    for task in ledger.open_tasks():
        kind, which = task.split("-")
        if kind == "add":
            ledger.start(task, file=add, inputs=[which, "1"])
        else:
            ledger.start(task, file=sleep, name="_start", inputs=["1"])
    s.wait_until(lambda: not ledger.open_tasks(), 60, "an answer for every task")
    duplicates = ledger.check(allowed_errors=["WORKER_RESTARTED"])
    restarted = sum(answers[0][2] is not None for answers in ledger.answers.values())
    print(f"{lives} lives, {number} tasks, {restarted} lost with a worker, {duplicates} answers heard again")
    assert restarted > 0  # some were caught in the middle
    assert worker.stop() == 0
    assert (state / "journal").stat().st_size < 1 << 20


@pytest.mark.parametrize("queue", [1024, 20000], ids=["beyond the queue", "within the queue"])
def test_a_burst_of_starts_is_answered_to_the_last(own, queue):
    count = amount(1500, 10000)
    worker = own.start_worker(PROPLET_TEE="off", PROPLET_MAX_QUEUE=queue, PROPLET_LIVELINESS_INTERVAL="1",
                              PROPLET_STATE_PATH=own.folder / "state")
    ledger, module = Ledger(own, worker.entity), inline("numbers.wasm")
    s.wait_until(lambda: ledger.beats, what="a heartbeat")
    before, begin = worker.resident_bytes(), time.monotonic()
    peak = 0
    lines = []
    for i in range(count):
        ledger.expected[f"burst-{i}"] = str(i)
        lines.append(s.json.dumps({"id": f"burst-{i}", "name": "i32", "proplet_id": worker.entity, "file": module, "inputs": [str(i)]}))
    sender = subprocess.Popen(["mosquitto_pub", "-p", str(own.mqtt_port), "-t", f"{s.BASE}/control/manager/start", "-q", "2", "-l"],
                              stdin=subprocess.PIPE, text=True)
    threading.Thread(target=lambda: sender.communicate("\n".join(lines)), daemon=True).start()
    while ledger.open_tasks() and time.monotonic() < begin + 150:
        peak = max(peak, worker.resident_bytes())
        time.sleep(0.05)
    duplicates = ledger.check(allowed_errors=["TASK_LIMIT_REACHED"] if queue < count else [])
    assert duplicates == 0
    assert longest_silence(ledger.beats) < MANAGERS_PATIENCE
    # The messages themselves are the bulk of it, and they are bounded by PROPLET_MAX_QUEUE and 256 MiB.
    held = count * (len(module) + 4096)
    assert peak - before < held + (192 << 20), (before, peak)
    print(f"{count} starts in {time.monotonic() - begin:.1f} s, {(peak - before) >> 20} MiB more at the peak")
    assert worker.stop() == 0


def test_a_slow_link_that_loses_packets_delays_and_loses_nothing(own):
    """30 ms each way and one segment in twenty lost, cut in the middle."""
    count = amount(60, 1000)
    with Link(own.mqtt_port, delay=0.03, loss=0.05) as link:
        worker = own.start_worker(PROPLET_TEE="off", PROPLET_MQTT_ADDRESS=f"tcp://127.0.0.1:{link.port}",
                                  PROPLET_LIVELINESS_INTERVAL="1")
        ledger, module = Ledger(own, worker.entity), inline("math_reactor.wasm")
        for part in range(2):
            for i in range(count // 2):
                number = (part * count) + i
                ledger.start(f"link-{number}", str(number + 1), file=module, inputs=[str(number), "1"])
            s.wait_until(lambda: not ledger.open_tasks(), amount(120, 600), "an answer for every task")
            assert link.connections == part + 1 and link.stalls > 0
            if part == 0:
                link.cut()
                s.wait_until(lambda: link.connections == 2, what="a new connection")
                s.wait_until(lambda: worker.log_text().count('"connected"') == 2, what="all subscriptions")
        # What was on its way when the link was cut may come again.
        assert ledger.check() <= 10
        assert longest_silence(ledger.beats) < MANAGERS_PATIENCE
        assert worker.stop() == 0


def test_a_stop_right_behind_its_start_leaves_no_orphan(own):
    count = amount(120, 1000)
    worker, dice = own.start_worker(PROPLET_TEE="off"), random.Random(3)
    ledger = Ledger(own, worker.entity)
    guests = [("spin.wasm", "_start"), ("sleep.wasm", "_start"), ("math_reactor.wasm", "say")]
    modules = {name: inline(name) for name, _ in guests if (s.GUESTS / name).exists()}
    before = worker.descriptors()
    for i in range(count):
        name, function = dice.choice([guest for guest in guests if guest[0] in modules])
        ledger.start(f"stop-{i}", "said\n", file=modules[name], name=function)
        if dice.random() < 0.3:
            time.sleep(dice.random() * 0.02)
        ledger.manager.publish("control/manager/stop", {"id": f"stop-{i}", "proplet_id": worker.entity})
    s.wait_until(lambda: not ledger.open_tasks(), 120, "an answer for every task")
    for answers in ledger.answers.values():
        assert len(answers) == 1
        assert answers[0][2] is None or answers[0][2].split(":")[0] in ("TASK_STOPPED", "ARGUMENT_MISMATCH"), answers
    # Nothing turns any more, and the ids are free.
    time.sleep(0.5)
    cpu = worker.cpu_seconds()
    time.sleep(1)
    assert worker.cpu_seconds() - cpu < 0.3
    assert worker.descriptors() <= before + 16  # the engine keeps a few
    ledger.start("stop-0", file=inline("math_reactor.wasm"), inputs=["1", "2"])
    s.wait_until(lambda: len(ledger.answers["stop-0"]) == 2, what="the answer of an id that is free")
    assert worker.stop() == 0


def test_a_stop_works_in_every_state_of_a_task(own):
    release = threading.Event()
    with Hostile(lambda request: release.wait(60)) as registry:  # never answers
        worker, manager = own.start_worker(PROPLET_TEE="off", PROPLET_MAX_TASKS="2", PROPLET_RESULT_FLOOR_MS="700"), own.manager()
        fetching, _ = manager.start(worker, image_url=registry.image())
        sleeping, _ = manager.start(worker, file=inline("sleep.wasm"), name="_start")
        queued, _ = manager.start(worker, file=inline("spin.wasm"), name="_start")
        s.wait_until(lambda: registry.requests, what="the fetch")

        def stop(task):
            begin = time.monotonic()
            manager.publish("control/manager/stop", {"id": task, "proplet_id": worker.entity})
            arrived, answer = manager.result(task)
            assert answer["error"] == f"TASK_STOPPED: task {task} was stopped before completion"
            return arrived - begin

        for task in (queued, sleeping, fetching):
            assert stop(task) < 5
        release.set()
        # Done, but held until the floor: the stop is too late, and the answer is the task's own.
        done, _ = manager.start(worker, file=inline("math_reactor.wasm"), inputs=["1", "2"])
        s.wait_until(lambda: f'"task completed","task_id":"{done}"' in worker.log_text(), what="the end of the task")
        for _ in range(3):
            manager.publish("control/manager/stop", {"id": done, "proplet_id": worker.entity})
        assert manager.result(done)[1]["results"] == "3"
        manager.publish("control/manager/stop", {"id": done, "proplet_id": worker.entity})
        assert manager.results_within(1) == []
        assert worker.stop() == 0


def test_ids_are_names_and_never_paths(own):
    state, store = own.folder / "state" , own.folder / "store"
    worker, manager = own.start_worker(PROPLET_TEE="off", PROPLET_STATE_PATH=state, PROPLET_LAYER_STORE_PATH=store), own.manager()
    before = {str(path) for path in own.folder.rglob("*")}
    for identity in ("../../x", "a/b", "/etc/passwd", "..", "a\0b", "x" * 4096, "ü" * 2048, "\u202e", "-rf", "$(id)", "%s%n"):
        for fields in ({"file": inline("math_reactor.wasm"), "inputs": ["1", "2"]}, {"file": "!", "name": "x"}):
            manager.start(worker, id=identity, **fields)
            answer = manager.result(identity)[1]
            assert answer["error"] is None if "inputs" in fields else answer["error"], answer
    longer, _ = manager.start(worker, id="x" * 4097, file=inline("math_reactor.wasm"), inputs=["1", "2"])
    assert manager.results_within(0.5) == []  # nobody to answer to
    assert {str(path) for path in own.folder.rglob("*")} == before
    assert not (pathlib.Path(own.folder).parent / "x").exists()
    assert worker.stop() == 0


def test_many_tasks_leave_memory_and_descriptors_as_they_were(own):
    """Good ones, refused ones and trapping ones, one after another."""
    count, warm = amount(600, 200_000), amount(200, 20_000)
    worker = own.start_worker(PROPLET_TEE="off", PROPLET_STATE_PATH=own.folder / "state", PROPLET_LOG_LEVEL="error")
    ledger = Ledger(own, worker.entity)
    add, traps = inline("math_reactor.wasm"), inline("traps.wasm")
    window = threading.Semaphore(64)
    kept, seen = ledger.on_message, []

    def on_message(client, data, message):
        if message.topic.endswith(RESULTS):
            seen.append(s.json.loads(message.payload)["task_id"])
            window.release()
        else:
            kept(client, data, message)

    ledger.manager.client.on_message = on_message
    figures = []
    begin = time.monotonic()
    for i in range(count):
        assert window.acquire(timeout=60)
        fields = {"file": add, "inputs": [str(i), "1"]} if i % 10 else {"file": traps, "name": "unreachable"} if i % 20 else {"file": "!"}
        ledger.manager.publish("control/manager/start", {"id": f"many-{i}", "name": "add", "proplet_id": worker.entity, **fields})
        if i >= warm and i % (count // 20) == 0:
            figures.append((worker.resident_bytes(), worker.descriptors()))
    s.wait_until(lambda: len(seen) == count, 120, "an answer for every task")
    seconds = time.monotonic() - begin
    assert len(set(seen)) == count
    resident, descriptors = zip(*figures)
    print(f"{count} tasks, {count / seconds:.0f}/s, resident {min(resident) / 2**20:.1f} to {max(resident) / 2**20:.1f} MiB, "
          f"descriptors {min(descriptors)} to {max(descriptors)}")
    assert max(descriptors) - min(descriptors) <= 8
    if SOAK:  # sanitizers keep freed memory
        assert max(resident) < 1.05 * resident[0], resident
    assert worker.stop() == 0
