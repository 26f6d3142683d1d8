"""The real servers around a worker, on free loopback ports in a fresh temporary folder.

A Stack starts mosquitto, Debian's docker-registry, `propctl kbs serve` and workers, and stops and removes all of it.
Tests and benchmarks use it alike. PROPLET_BIN names the folder with `proplet` and `propctl`.
"""

import json
import os
import pathlib
import queue
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
import uuid

import paho.mqtt.client as mqtt

BIN = pathlib.Path(os.environ.get("PROPLET_BIN", "build/release/bin")).resolve()
GUESTS = pathlib.Path(os.environ.get("PROPLET_GUESTS", "build/dev/tests/guests")).resolve()
TENANT, CHANNEL = "tenant-1", "channel-1"
BASE = f"m/{TENANT}/c/{CHANNEL}"


def free_port():
    """A port nobody listens on, below 32768: from there on the kernel gives ports to outgoing connections, and one
    that was free a moment ago may not be when the server binds it."""
    while True:
        port = random.randrange(10000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_until(condition, seconds=20, what="condition"):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise TimeoutError(f"{what} did not come true within {seconds} s")


def listening(port):
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Worker:
    """One `proplet` process; `log` is the file with its stderr."""

    def __init__(self, process, entity, log):
        self.process, self.entity, self.log = process, entity, log

    def log_text(self):
        return self.log.read_text(errors="replace")

    def resident_bytes(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS")

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(list(pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=15):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


class Manager:
    """Speaks the Manager's side over MQTT: sends commands and collects what workers publish, in order."""

    def __init__(self, port):
        self.messages = queue.Queue()
        self.client = mqtt.Client(client_id=f"manager-{uuid.uuid4()}")
        self.client.on_message = lambda client, data, message: self.messages.put(
            (time.monotonic(), message.topic[len(BASE) + 1:], message.payload))
        subscribed = queue.Queue()
        self.client.on_subscribe = lambda *_: subscribed.put(True)
        self.client.on_connect = lambda client, *_: client.subscribe(f"{BASE}/control/proplet/#", 2)
        self.client.connect("127.0.0.1", port)
        self.client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client.loop_start()
        subscribed.get(timeout=10)

    def publish(self, topic, message, qos=2):
        payload = message if isinstance(message, (bytes, str)) else json.dumps(message)
        self.client.publish(f"{BASE}/{topic}", payload, qos)

    def start(self, worker, **fields):
        task = {"id": str(uuid.uuid4()), "name": "add", "state": 0, "cli_args": None, "broadcast": False,
                "daemon": False, "latent": False, "encrypted": False, "proplet_id": worker.entity, **fields}
        sent = time.monotonic()
        self.publish("control/manager/start", task)
        return task["id"], sent

    def next(self, topic, seconds=30, matching=lambda message: True):
        """The next message on `topic`, as (arrival, parsed payload); others are dropped."""
        deadline = time.monotonic() + seconds
        while True:
            arrived, name, payload = self.messages.get(timeout=max(0.01, deadline - time.monotonic()))
            if name == topic and matching(message := json.loads(payload)):
                return arrived, message

    def result(self, task_id, seconds=30):
        return self.next("control/proplet/results", seconds, lambda message: message.get("task_id") == task_id)

    def results_within(self, seconds):
        """Every result that arrives within the time, in order."""
        found, deadline = [], time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                _, name, payload = self.messages.get(timeout=left)
            except queue.Empty:
                break
            if name == "control/proplet/results":
                found.append(json.loads(payload))
        return found

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class Stack:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="proplet-stack."))
        self.folder.chmod(0o700)
        self.processes, self.managers = [], []
        self.mqtt_port = self.registry_port = self.kbs_port = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for manager in self.managers:
            manager.close()
        for process in reversed(self.processes):
            if process.poll() is None:
                process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def spawn(self, name, *command, env=None):
        log = self.folder / f"{name}.{len(self.processes)}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=sink,
                                       stderr=sink, cwd=self.folder, env=env)
        self.processes.append(process)
        return process, log

    def start_broker(self):
        self.mqtt_port = self.mqtt_port or free_port()
        config = self.folder / "mosquitto.conf"
        config.write_text(f"listener {self.mqtt_port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
                          "max_queued_messages 0\nmax_inflight_messages 100\n")
        process, _ = self.spawn("mosquitto", shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", config)
        wait_until(lambda: listening(self.mqtt_port), what="mosquitto")
        return process

    def start_registry(self):
        self.registry_port = self.registry_port or free_port()
        config = self.folder / "registry.yml"
        config.write_text("version: 0.1\nlog: {level: error}\nstorage:\n  filesystem:\n"
                          f"    rootdirectory: {self.folder}/registry\n  delete: {{enabled: true}}\n"
                          f"http:\n  addr: 127.0.0.1:{self.registry_port}\n")
        process, _ = self.spawn("registry", "docker-registry", "serve", config)
        wait_until(lambda: listening(self.registry_port), what="docker-registry")
        return process

    def start_key_broker(self, *arguments):
        self.kbs_port = self.kbs_port or free_port()
        process, _ = self.spawn("kbs", BIN / "propctl", "kbs", "serve", "--listen", f"127.0.0.1:{self.kbs_port}",
                                "--state", self.folder / "kbs", *arguments)
        wait_until(lambda: listening(self.kbs_port), what="the key broker")
        return process

    @property
    def kbs_url(self):
        return f"http://127.0.0.1:{self.kbs_port}"

    def image(self, name):
        return f"127.0.0.1:{self.registry_port}/{name}"

    def propctl(self, *arguments, check=True):
        done = subprocess.run([str(BIN / "propctl"), *map(str, arguments)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, cwd=self.folder)
        if check and done.returncode != 0:
            raise RuntimeError(f"propctl {arguments}: {done.stderr}")
        return done

    def push_encrypted(self, wasm, name, key_id):
        """Encrypts and pushes a module; its key goes to the key broker and nowhere else."""
        self.propctl("image", "encrypt", wasm, "--to", self.image(name), "--key-id", key_id, "--kbs", self.kbs_url,
                     "--kbs-admin-key", self.folder / "kbs" / "admin.key", "--push")
        return self.image(name)

    def push_plain(self, wasm, name):
        self.propctl("image", "push", wasm, "--to", self.image(name))
        return self.image(name)

    def push_recorded_images(self):
        """The images of the recordings by their recorded names. The digest that stands for the recorded one."""
        self.push_plain(GUESTS / "math_reactor.wasm", "team/add:1")
        self.push_encrypted(GUESTS / "math_reactor.wasm", "team/add:enc", "kbs:///default/key/add")
        self.push_plain(GUESTS / "spin.wasm", "team/add:spin")
        for name in ("a:1", "b:1"):
            self.push_plain(GUESTS / "entries.wasm", name)
        shown = json.loads(self.propctl("--json", "image", "inspect", self.image("team/add:spin")).stdout)
        return shown["digest"]

    def start_worker(self, ready=True, **settings):
        entity = str(settings.get("PROPLET_ENTITY_ID") or uuid.uuid4())
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PROPLET_LOG_LEVEL": "info",
               "PROPLET_MQTT_ADDRESS": f"tcp://127.0.0.1:{self.mqtt_port}", "PROPLET_TENANT_ID": TENANT,
               "PROPLET_CHANNEL_ID": CHANNEL, "PROPLET_ENTITY_ID": entity, "PROPLET_API_KEY": "test-api-key",
               "PROPLET_RESULT_FLOOR_MS": "0", "PROPLET_METRICS_PORT": str(free_port())}
        if self.kbs_port:
            env["PROPLET_KBS_URI"] = self.kbs_url
        env.update({key: str(value) for key, value in settings.items()})
        manager = self.manager() if ready else None
        process, log = self.spawn("proplet", BIN / "proplet", env=env)
        worker = Worker(process, entity, log)
        if manager:
            manager.next("control/proplet/alive", 20, lambda message: message["proplet_id"] == entity)
            manager.close()
            self.managers.remove(manager)
        return worker

    def manager(self):
        self.managers.append(Manager(self.mqtt_port))
        return self.managers[-1]


def http_get(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read()
