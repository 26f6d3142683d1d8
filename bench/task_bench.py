#!/usr/bin/python3
"""Tasks from MQTT message to published result, against the real servers on this machine. Prints JSON lines.

  encrypted_cold   every task on a worker that has just started and has seen nothing: registry, handshake, key, compile
  encrypted_warm   the same image again and again on one worker
  plain_inline     a module in the message, again and again
  idle_worker      resident memory of a worker after start and discovery

Times are from the moment the start message is handed to the MQTT client to the arrival of the result, with the result
floor set to 0. Run by scripts/bench.sh, which sets PROPLET_BIN and PROPLET_GUESTS.
"""

import base64
import json
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "support"))
import stack as s  # noqa: E402

COLD_ROUNDS, WARM_ROUNDS = 20, 200


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


def plain(stack, guest):
    manager = stack.manager()
    worker = stack.start_worker(PROPLET_TEE="off")
    report_idle(worker)
    task = {"file": base64.b64encode(guest.read_bytes()).decode(), "name": "add", "inputs": ["2", "3"]}
    run_task(manager, worker, **task)
    pairs = [run_task(manager, worker, **task) for _ in range(WARM_ROUNDS)]
    report("plain_inline", [pair[0] for pair in pairs], module_bytes=guest.stat().st_size,
           stages_ms=median_stages([pair[1] for pair in pairs]))
    worker.stop()


def report_idle(worker):
    print(json.dumps({"benchmark": "idle_worker", "resident_mib": round(worker.resident_bytes() / 2**20, 2)}), flush=True)


def main():
    large, small = s.GUESTS / "large_reactor.wasm", s.GUESTS / "math_reactor.wasm"
    with s.Stack() as stack:
        stack.start_broker()
        stack.start_registry()
        stack.start_key_broker("--allow-sample")
        plain(stack, small)
        encrypted(stack, large)


if __name__ == "__main__":
    main()
