#!/usr/bin/python3
"""Tasks from MQTT message to published result, against the real servers on this machine. Prints JSON lines.

  encrypted_cold   every task on a worker that has just started and has seen nothing: registry, handshake, key, compile
  encrypted_warm   the same image again and again on one worker
  mqtt_echo        a message of the size of a plain start, from one client to another and one back: what the broker takes
  plain_inline     a module in the message, again and again; `ratio` is to mqtt_echo. _durable: with PROPLET_STATE_PATH
  plain_rate       64 plain tasks under way at a time, in tasks per second. _durable as above
  resident_task    memory of a small task that sleeps, over a hundred of them
  idle_worker      resident memory of a worker after start and discovery

Times are from the moment the start message is handed to the MQTT client to the arrival of the result, with the result
floor set to 0. Run by scripts/bench.sh, which sets PROPLET_BIN and PROPLET_GUESTS.
"""

import base64
import json
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "support"))
import stack as s  # noqa: E402

COLD_ROUNDS, WARM_ROUNDS, RATE_TASKS, WINDOW = 20, 200, 20000, 64


def quantile(values, part):
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def report(name, seconds, **more):
    print(json.dumps({"benchmark": name, "rounds": len(seconds), "p50_ms": round(statistics.median(seconds) * 1e3, 3),
                      "p90_ms": round(quantile(seconds, 0.9) * 1e3, 3), **more}), flush=True)


def run_task(manager, worker, **fields):
    task, sent = manager.start(worker, report="stages", **fields)
    arrived, result = manager.result(task)
    if result["error"] is not None:
        raise RuntimeError(result["error"])
    return arrived - sent, result


def median_stages(results):
    names = {name for result in results for name in result.get("stages", {})}
    return {name: round(statistics.median(result["stages"].get(name, 0) for result in results), 3) for name in sorted(names)}


def encrypted(stack, guest):
    reference = stack.push_encrypted(guest, "bench:enc", "kbs:///default/key/bench")
    manager = stack.manager()
    task = {"image_url": reference, "encrypted": True, "name": "add", "inputs": ["2", "3"]}
    seconds, results = [], []
    for _ in range(COLD_ROUNDS):
        worker = stack.start_worker(PROPLET_TEE="sample")
        elapsed, result = run_task(manager, worker, **task)
        seconds.append(elapsed)
        results.append(result)
        worker.stop()
    report("encrypted_cold", seconds, module_bytes=guest.stat().st_size, stages_ms=median_stages(results))

    worker = stack.start_worker(PROPLET_TEE="sample")
    run_task(manager, worker, **task)
    pairs = [run_task(manager, worker, **task) for _ in range(WARM_ROUNDS)]
    report("encrypted_warm", [pair[0] for pair in pairs], module_bytes=guest.stat().st_size,
           stages_ms=median_stages([pair[1] for pair in pairs]))
    worker.stop()


def echo(stack, bytes_out):
    """The same two hops as a task, with a client in the place of the worker."""
    manager = stack.manager()
    answer = s.mqtt.Client()
    topic = f"{s.BASE}/control/manager/start"
    ready = s.queue.Queue()
    answer.on_subscribe = lambda *_: ready.put(True)
    answer.on_connect = lambda client, *_: client.subscribe(topic, 2)
    answer.on_message = lambda client, *_: client.publish(f"{s.BASE}/control/proplet/results", "{}", 2)
    answer.connect("127.0.0.1", stack.mqtt_port)
    answer.socket().setsockopt(s.socket.IPPROTO_TCP, s.socket.TCP_NODELAY, 1)
    answer.loop_start()
    ready.get(timeout=10)
    seconds = []
    for _ in range(WARM_ROUNDS):
        sent = time.monotonic()
        manager.publish("control/manager/start", "x" * bytes_out)
        seconds.append(manager.next("control/proplet/results")[0] - sent)
    answer.disconnect()
    answer.loop_stop()
    report("mqtt_echo", seconds, message_bytes=bytes_out)
    return statistics.median(seconds)


def plain(stack, guest):
    task = {"file": base64.b64encode(guest.read_bytes()).decode(), "name": "add", "inputs": ["2", "3"]}
    empty = echo(stack, len(task["file"]) + 300)
    for suffix, settings in ("", {}), ("_durable", {"PROPLET_STATE_PATH": stack.folder / "bench-state"}):
        manager = stack.manager()
        worker = stack.start_worker(PROPLET_TEE="off", **settings)
        if not suffix:
            report_idle(worker)
        run_task(manager, worker, **task)
        pairs = [run_task(manager, worker, **task) for _ in range(WARM_ROUNDS)]
        seconds = [pair[0] for pair in pairs]
        report("plain_inline" + suffix, seconds, module_bytes=guest.stat().st_size,
               ratio=round(statistics.median(seconds) / empty, 2), stages_ms=median_stages([pair[1] for pair in pairs]))
        rate(stack, worker, guest, suffix)
        worker.stop()


def rate(stack, worker, guest, suffix):
    cpu = worker.cpu_seconds()
    done = subprocess.run([s.BIN / "rate_client", str(stack.mqtt_port), s.BASE, worker.entity, guest, str(RATE_TASKS),
                           str(WINDOW)], capture_output=True, text=True, check=True, timeout=400)
    print(json.dumps({"benchmark": "plain_rate" + suffix, "tasks": RATE_TASKS, "per_second": round(RATE_TASKS / float(done.stdout)),
                      "worker_cpu_ms_per_task": round((worker.cpu_seconds() - cpu) / RATE_TASKS * 1e3, 3)}), flush=True)


def resident(stack, guest):
    manager = stack.manager()
    worker = stack.start_worker(PROPLET_TEE="off", PROPLET_MAX_TASKS="128")
    task = {"file": base64.b64encode(guest.read_bytes()).decode(), "name": "_start"}
    run_task(manager, worker, inputs=["1"], **task)
    before = worker.resident_bytes()
    for _ in range(100):
        manager.start(worker, **task)
    run_task(manager, worker, inputs=["1"], **task)
    time.sleep(2)
    print(json.dumps({"benchmark": "resident_task", "tasks": 100,
                      "mib_each": round((worker.resident_bytes() - before) / 100 / 2**20, 3)}), flush=True)
    worker.stop(60)


def report_idle(worker):
    print(json.dumps({"benchmark": "idle_worker", "resident_mib": round(worker.resident_bytes() / 2**20, 2)}), flush=True)


def main():
    large, small = s.GUESTS / "large_reactor.wasm", s.GUESTS / "math_reactor.wasm"
    with s.Stack() as stack:
        stack.start_broker()
        stack.start_registry()
        stack.start_key_broker("--allow-sample")
        plain(stack, small)
        resident(stack, s.GUESTS / "sleep.wasm")
        encrypted(stack, large)


if __name__ == "__main__":
    main()
