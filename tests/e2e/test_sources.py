"""Where modules come from: chunks from a proxy, URLs, registries, and what happens when one of them is of no use."""

import base64
import contextlib
import hashlib
import os
import threading
import time

import pytest

import hostile
import stack as s
from proxy import Proxy

NOWHERE = "127.0.0.1:1/team/add:1"  # nobody listens there


def padded(name, size):
    """The guest with a custom section of about `size` bytes behind it, each time others."""
    wasm = (s.GUESTS / name).read_bytes()
    content = b"\x03pad" + os.urandom(size)
    length, encoded = len(content), b""
    while True:
        encoded += bytes([length & 0x7F | (0x80 if length > 0x7F else 0)])
        length >>= 7
        if not length:
            return wasm + b"\x00" + encoded + content


@pytest.fixture(scope="module")
def add():
    return (s.GUESTS / "math_reactor.wasm").read_bytes()


@pytest.fixture(scope="module")
def proxied(servers):
    """A worker that gets images from the proxy only. Sanitizers may not keep what it frees, since its memory is measured."""
    worker = servers.start_worker(PROPLET_TEE="sample", PROPLET_OCI_PULL="never", PROPLET_MAX_MODULE_BYTES=4 << 20,
                                  ASAN_OPTIONS="quarantine_size_mb=4")
    yield worker
    assert worker.stop() == 0


@pytest.fixture(scope="module")
def automatic(servers):
    worker = servers.start_worker(PROPLET_TEE="sample")
    yield worker
    assert worker.stop() == 0


@pytest.fixture
def proxy(servers):
    with Proxy(servers.mqtt_port) as running:
        yield running


def run(manager, worker, image, **fields):
    task, _ = manager.start(worker, image_url=image, inputs=["20", "22"], **fields)
    return manager.result(task)[1]


def fails(manager, worker, image, *words, **fields):
    result = run(manager, worker, image, **fields)
    assert result["results"] == "" and all(word in result["error"] for word in words), result
    return result["error"]


@contextlib.contextmanager
def web(handle):
    with hostile.Hostile(handle) as server:
        yield server, f"http://127.0.0.1:{server.port}"


# Chunks


def test_a_module_comes_in_chunks_under_the_exact_name_that_was_asked_for(manager, proxied, proxy):
    name = "127.0.0.1:15000/team/add:1"
    proxy.images[name] = padded("math_reactor.wasm", 1_300_000)
    assert run(manager, proxied, name)["results"] == "42"
    assert proxy.names() == [name]


def test_the_task_starts_at_once_on_the_last_chunk(manager, proxied, proxy):
    times = []
    for i in range(5):
        name = f"r.example/team/speed:{i}"
        proxy.images[name] = padded("math_reactor.wasm", 1 << 20)
        task, _ = manager.start(proxied, image_url=name, inputs=["20", "22"])
        arrived, result = manager.result(task)
        assert result["results"] == "42"
        times.append(arrived - proxy.last_chunk_sent)
    assert min(times) < 1.5, times  # upstream looks every five seconds; the machine may be busy


def test_reversed_duplicated_and_missing_chunks_end_in_the_right_module(manager, proxied, proxy, add):
    def answer(name):
        kind, again = name.split(":")[-1], proxy.names().count(name) > 1
        if kind == "reversed":
            proxy.deliver(name, size=5000, order=lambda indices: indices[::-1])
        elif kind == "duplicated":
            proxy.deliver(name, size=5000, order=lambda indices: [i for index in indices for i in (index, index)])
        elif kind == "missing":
            proxy.deliver(name, size=5000, left_out=() if again else (1,))
        elif kind == "tail-first":
            if not again:
                proxy.deliver(name, size=5000, left_out=(0,))
            proxy.deliver(name, size=5000)

    proxy.answer = answer
    for kind in ("reversed", "duplicated", "missing", "tail-first"):
        name = f"r.example/team/odd:{kind}"
        proxy.images[name] = add
        assert run(manager, proxied, name)["results"] == "42", kind
    assert proxy.names().count("r.example/team/odd:missing") == 2


def test_two_versions_are_never_mixed(manager, proxied, proxy):
    """The image changes between two deliveries, of which the first is not complete; the old and the new version together
    would be a module that computes something else."""
    old, new = padded("math_reactor.wasm", 3000), padded("math_reactor.wasm", 3000)
    new_digest = "sha256:" + hashlib.sha256(new).hexdigest()
    name = "r.example/team/versions@" + new_digest

    def answer(asked):
        proxy.images[asked] = old if len(proxy.requests) == 1 else new
        proxy.deliver(asked, size=5000, left_out=(0, 2) if len(proxy.requests) == 1 else ())

    proxy.answer = answer
    assert run(manager, proxied, name)["results"] == "42"  # the digest says which version it was


def test_many_tasks_with_one_image_cause_one_request(manager, proxied, proxy, add):
    name = "r.example/team/shared:1"
    asked = threading.Event()
    proxy.answer = lambda _: asked.set()
    tasks = {manager.start(proxied, image_url=name, inputs=["20", "22"])[0] for _ in range(6)}
    assert asked.wait(20)
    time.sleep(2)  # all have joined
    proxy.images[name] = add
    proxy.deliver(name)
    for _ in range(6):
        _, result = manager.next("control/proplet/results", 30, lambda message: message["task_id"] in tasks)
        assert result["results"] == "42"
    assert proxy.names() == [name]


def test_a_stop_ends_the_wait_for_chunks(manager, proxied, proxy):
    task, _ = manager.start(proxied, image_url="r.example/team/never:1", inputs=[])
    s.wait_until(lambda: proxy.requests, what="the request")
    sent = time.monotonic()
    manager.publish("control/manager/stop", {"id": task, "broadcast": False, "proplet_id": proxied.entity})
    arrived, result = manager.result(task)
    assert result["error"].startswith("TASK_STOPPED") and arrived - sent < 2


def test_a_digest_holds_for_chunks_and_a_manifests_digest_is_explained(manager, proxied, proxy, add):
    layer = "r.example/team/pinned@sha256:" + hashlib.sha256(add).hexdigest()
    manifest = "r.example/team/pinned@sha256:" + hashlib.sha256(b"manifest").hexdigest()
    proxy.images[layer] = proxy.images[manifest] = add
    assert run(manager, proxied, layer)["results"] == "42"
    fails(manager, proxied, manifest, "DIGEST_MISMATCH", "a proxy delivers a layer of the image")


def test_a_flood_of_foreign_chunks_takes_no_memory_and_stops_nothing(servers, manager, proxied, proxy, add):
    name = "r.example/team/flooded:1"
    proxy.images[name] = padded("math_reactor.wasm", 1 << 20)
    foreign = os.urandom(256 << 10)
    before = proxied.resident_bytes()

    def answer(asked):
        for i in range(300):  # 100 MB on the wire, never complete
            proxy.send(f"r.example/stranger:{i % 100}", i % 7, 8, foreign)
        proxy.publish(b"\xff" * 100_000)
        proxy.publish('{"app_name":"' + asked + '","chunk_idx":7,"total_chunks":3,"data":"AAAA"}')
        proxy.publish('{"app_name":"' + asked + '","chunk_idx":0,"total_chunks":4000000000,"data":"AAAA"}')
        proxy.publish('{"app_name":"' + asked + '","chunk_idx":0,"total_chunks":3,"data":"!"}')
        proxy.deliver(asked)

    proxy.answer = answer
    task, _ = manager.start(proxied, image_url=name, inputs=["20", "22"])
    inline, _ = manager.start(proxied, file=base64.b64encode(add).decode(), inputs=["1", "2"])
    results = {}
    for _ in range(2):
        _, result = manager.next("control/proplet/results", 60, lambda message: message["task_id"] in (task, inline))
        results[result["task_id"]] = result["results"]
    assert results == {task: "42", inline: "3"}
    assert proxied.resident_bytes() - before < 60 << 20, before  # of 75 MB of chunks
    _, alive = manager.next("control/proplet/alive", 10, lambda message: message["proplet_id"] == proxied.entity)
    assert alive["status"] == "alive"


def test_a_module_that_is_too_large_is_refused_while_it_comes(manager, proxied, proxy):
    proxy.images["r.example/team/large:1"] = padded("math_reactor.wasm", 5 << 20)
    fails(manager, proxied, "r.example/team/large:1", "SIZE_LIMIT")


def test_without_connections_to_registries_encrypted_images_are_refused(manager, proxied, proxy):
    fails(manager, proxied, "r.example/team/add:enc", "UNSUPPORTED", "PROPLET_OCI_PULL=never", encrypted=True)
    assert proxy.requests == []


def test_a_broker_that_dies_during_a_delivery_is_no_loss(guests):
    """On servers of its own, since it kills one."""
    with s.Stack() as own:
        broker = own.start_broker()
        worker = own.start_worker(PROPLET_TEE="off", PROPLET_OCI_PULL="never")
        manager = own.manager()
        name, content = "r.example/team/broken:1", padded("math_reactor.wasm", 3000)
        with Proxy(own.mqtt_port, {name: content}) as first:
            first.answer = lambda asked: first.deliver(asked, size=5000, left_out=(0,))
            task, _ = manager.start(worker, image_url=name, inputs=["20", "22"])
            s.wait_until(lambda: first.requests, what="the request")
            time.sleep(0.2)
        manager.close()
        broker.kill()
        broker.wait()
        own.managers.remove(manager)
        own.start_broker()
        manager = own.manager()
        with Proxy(own.mqtt_port, {name: content}):
            assert manager.result(task, 40)[1]["results"] == "42"
        assert worker.stop() == 0


# Registries


def test_a_registry_that_cannot_be_reached_is_replaced_by_the_proxy(manager, automatic, proxy, add):
    proxy.images[NOWHERE] = add
    assert run(manager, automatic, NOWHERE)["results"] == "42"
    assert proxy.names() == [NOWHERE]
    # Known to be unreachable: the second task does not try first.
    assert run(manager, automatic, NOWHERE)["results"] == "42"
    assert automatic.log_text().count("could not be reached a moment ago") == 1


def test_a_registry_is_asked_before_the_proxy(servers, manager, automatic, proxy, add):
    image = servers.push_plain(s.GUESTS / "math_reactor.wasm", "sources:plain")
    proxy.images[image] = b"\0asm but not this"
    assert run(manager, automatic, image)["results"] == "42"
    assert proxy.requests == []


def test_what_a_registry_answers_is_final(servers, manager, automatic, proxy, add):
    missing = servers.image("sources:none")
    other = servers.push_plain(s.GUESTS / "math_reactor.wasm", "sources:digest") + "@sha256:" + "0" * 64
    proxy.images[missing] = proxy.images[other] = add
    fails(manager, automatic, missing, "IMAGE_NOT_FOUND")
    fails(manager, automatic, other, "IMAGE_NOT_FOUND")
    lying = hostile.Image.pull(servers.image("sources:digest"))
    with lying.serve(lambda request, content: content if "/manifests/" in request.path else content[:-1] + b"x") as liar:
        proxy.images[liar.image()] = add
        fails(manager, automatic, liar.image(), "DIGEST_MISMATCH")
    assert proxy.requests == []


def test_a_registry_that_wants_a_password_is_replaced_by_the_proxy(manager, automatic, proxy, add):
    def demand(request):
        request.reply(401, b"{}", {"WWW-Authenticate": 'Basic realm="x"'})

    with hostile.Hostile(demand) as closed:
        proxy.images[closed.image()] = add
        assert run(manager, automatic, closed.image())["results"] == "42"


def test_encrypted_images_never_come_from_the_proxy(manager, automatic, proxy, add):
    proxy.images[NOWHERE] = add
    fails(manager, automatic, NOWHERE, "REGISTRY_UNREACHABLE", encrypted=True)
    assert proxy.requests == []


def test_always_means_straight_or_not_at_all(servers, manager, proxy, add):
    worker = servers.start_worker(PROPLET_TEE="off", PROPLET_OCI_PULL="always")
    proxy.images[NOWHERE] = add
    fails(manager, worker, NOWHERE, "REGISTRY_UNREACHABLE")
    image = servers.push_plain(s.GUESTS / "math_reactor.wasm", "sources:always")
    assert run(manager, worker, image)["results"] == "42"
    assert proxy.requests == []
    assert worker.stop() == 0


# URLs


def test_a_module_comes_by_url_and_its_digest_counts(manager, automatic, add):
    with web(lambda request: request.reply(200, add, {"Content-Type": "application/wasm"})) as (server, origin):
        url = origin + "/add.wasm?token=s3cret"
        assert run(manager, automatic, url)["results"] == "42"
        assert run(manager, automatic, url + "#sha256:" + hashlib.sha256(add).hexdigest())["results"] == "42"
        error = fails(manager, automatic, url + "#sha256:" + "0" * 64, "DIGEST_MISMATCH")
        assert "s3cret" not in error
        assert [path for _, path in server.requests] == ["/add.wasm?token=s3cret"] * 3


def test_bad_answers_to_a_download_are_named(manager, automatic, add):
    answers = {
        "/missing": lambda request: request.reply(404),
        "/page": lambda request: request.reply(200, b"<html>", {"Content-Type": "text/html"}),
        "/metadata": lambda request: request.reply(302, b"", {"Location": "http://169.254.169.254/latest/meta-data"}),
        "/large": lambda request: request.reply(200, b"x", length=200 << 20),
    }
    with web(lambda request: answers[request.path](request)) as (_, origin):
        fails(manager, automatic, origin + "/missing", f"HTTP 404 fetching wasm from {origin}/missing")
        fails(manager, automatic, origin + "/page", "DOWNLOAD_FAILED", "text/html")
        fails(manager, automatic, origin + "/metadata", "DESTINATION_REFUSED", "169.254.169.254")
        fails(manager, automatic, origin + "/large", "SIZE_LIMIT")
        fails(manager, automatic, origin + "/missing", "NOT_ENCRYPTED", encrypted=True)
    fails(manager, automatic, "http://169.254.169.254/latest/meta-data", "DESTINATION_REFUSED")
