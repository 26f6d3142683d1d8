#!/usr/bin/python3
"""An external runtime that misbehaves in the way the task's function asks for. Its command line is wasmtime's:

    run [--invoke BEHAVIOUR] FLAGS... FILE [INPUTS...]

Behaviours that last write their process ids to the path that is the first input, so that a test knows when they are there
and can see whether they are gone.
"""

import hashlib
import json
import os
import signal
import sys
import time

MODULE = "/proc/self/fd/3"
MIB = 1 << 20


def tell(path, *pids):
    temporary = f"{path}.new"
    with open(temporary, "w") as file:
        file.write(" ".join(map(str, pids)))
    os.rename(temporary, path)


def ignore_signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def show(_):
    with open(MODULE, "rb") as file:
        module = file.read()
    descriptors = sorted(int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}"))
    print(json.dumps({"argv": sys.argv[1:], "environment": dict(os.environ), "descriptors": descriptors,
                      "module": hashlib.sha256(module).hexdigest(), "stdin": sys.stdin.read(),
                      "leader": os.getsid(0) == os.getpid()}))


def flood(_):
    for _ in range(10):
        os.write(1, b"o" * MIB)
        os.write(2, b"e" * MIB)


def stubborn(inputs):
    ignore_signals()
    tell(inputs[0], os.getpid())
    while True:
        time.sleep(1)


def endless_flood(inputs):
    tell(inputs[0], os.getpid())
    while True:
        os.write(1, b"o" * MIB)
        os.write(2, b"e" * MIB)


def make_brood():
    """Children that hold the pipes open and ignore every polite signal."""
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            ignore_signals()
            time.sleep(1000)
            os._exit(0)
        children.append(child)
    return children


def brood(inputs):
    tell(inputs[0], *make_brood())
    os.write(1, b"done\n")
    os._exit(0)


def brood_that_stays(inputs):
    ignore_signals()
    tell(inputs[0], os.getpid(), *make_brood())
    time.sleep(1000)


def die_by_signal(_):
    os.write(2, b"last words\n")
    os.kill(os.getpid(), signal.SIGKILL)


def fail(_):
    os.write(1, b"lost\n")
    os.write(2, b"why\n")
    sys.exit(3)


def close_everything(inputs):
    for descriptor in range(4):
        os.close(descriptor)
    tell(inputs[0], os.getpid())
    time.sleep(1000)


BEHAVIOURS = {behaviour.__name__: behaviour for behaviour in (
    show, flood, stubborn, endless_flood, brood, brood_that_stays, die_by_signal, fail, close_everything)}


def main():
    arguments = sys.argv[1:]
    name = arguments[arguments.index("--invoke") + 1] if "--invoke" in arguments else "show"
    inputs = arguments[arguments.index(MODULE) + 1:]
    BEHAVIOURS.get(name.partition("(")[0], show)(inputs)


if __name__ == "__main__":
    main()
