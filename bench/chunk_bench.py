#!/usr/bin/python3
"""A module of 8 MiB in chunks, against the same bytes over the same broker alone. Prints one JSON line.

  chunked_8_mib   from the start message to the result: request, chunks, assembly, compilation, run, result
  reference       the same chunks from the same sender to mosquitto_sub, which throws them away: from asking the sender to
                  the last byte

The two take turns, and the ratio is taken pair by pair: ours / reference, the smaller the better. The module is a small
one with a custom section, so that what is measured is the way of the bytes and not the compiler. Run by scripts/bench.sh.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))
import proxy as p  # noqa: E402
import stack as s  # noqa: E402

ROUNDS, MODULE_BYTES = 15, 8 << 20
REFERENCE_TOPIC = "bench/chunks"  # which the worker does not hear


def module():
    """A module nobody has seen, so that nothing of it is compiled already."""
    section = b"\x03pad" + os.urandom(MODULE_BYTES)
    length = len(section)
    encoded = bytes([(length >> shift) & 0x7F | 0x80 for shift in (0, 7, 14, 21)] + [length >> 28])
    return (s.GUESTS / "math_reactor.wasm").read_bytes() + b"\x00" + encoded + section


class Reference:
    """mosquitto_sub, which ends after the last chunk."""

    def __init__(self, stack, chunks):
        self.process = subprocess.Popen(
            ["mosquitto_sub", "-p", str(stack.mqtt_port), "-t", f"{s.BASE}/{REFERENCE_TOPIC}", "-q", "2", "--nodelay", "-C",
             str(chunks)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(0.3)  # it does not say when it has subscribed

    def wait(self):
        if self.process.wait(60) != 0:
            raise RuntimeError("mosquitto_sub failed")
        return time.monotonic()


def prepare(sender, name, topic):
    """The sender answers with messages that are ready to go; returns how many."""
    chunks = p.split(module())
    messages = [p.message(name, index, len(chunks), chunk) for index, chunk in enumerate(chunks)]
    sender.topic = topic
    sender.answer = lambda _: [sender.publish(message) for message in messages]
    return len(messages)


def ours(manager, worker, sender, name):
    prepare(sender, name, "registry/server")
    task, sent = manager.start(worker, image_url=name, name="add", inputs=["2", "3"])
    arrived, result = manager.result(task)
    if result["error"] is not None:
        raise RuntimeError(result["error"])
    return arrived - sent


def reference(stack, manager, sender, name):
    subscriber = Reference(stack, prepare(sender, name, REFERENCE_TOPIC))
    sent = time.monotonic()
    manager.publish("registry/proplet", {"app_name": name})
    return subscriber.wait() - sent


def main():
    with s.Stack() as stack:
        stack.start_broker()
        worker = stack.start_worker(PROPLET_TEE="off", PROPLET_OCI_PULL="never")
        manager = stack.manager()
        with p.Proxy(stack.mqtt_port) as sender:
            ours(manager, worker, sender, "r.example/warm/up:1")
            pairs = [(ours(manager, worker, sender, f"r.example/bench/a:{i}"),
                      reference(stack, manager, sender, f"r.example/bench/b:{i}")) for i in range(ROUNDS)]
        worker.stop()
    print(json.dumps({"benchmark": "chunked_8_mib", "reference": "mosquitto_sub", "rounds": ROUNDS,
                      "p50_ms": round(statistics.median(a for a, _ in pairs) * 1e3, 2),
                      "reference_p50_ms": round(statistics.median(b for _, b in pairs) * 1e3, 2),
                      "time_ratio": round(statistics.median(a / b for a, b in pairs), 3)}), flush=True)


if __name__ == "__main__":
    main()
