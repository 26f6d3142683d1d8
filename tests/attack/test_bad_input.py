"""Everything that must be refused: each case ends in exactly one failed result with its own code, and nothing runs."""

import base64
import json
import pathlib

import pytest

import stack as s
from hostile import CONFIG, MANIFEST, MODULE, PACKET, PUBLIC_OPTIONS, Hostile, Image, digest


def inline(path):
    return base64.b64encode(path.read_bytes()).decode()


@pytest.fixture(scope="module")
def encrypted(servers):
    """The reference of an honest encrypted image; its key is default/key/honest."""
    return servers.push_encrypted(s.GUESTS / "math_reactor.wasm", "attack:honest", "kbs:///default/key/honest")


def refused(manager, worker, code, **task):
    identity, _ = manager.start(worker, **task)
    _, result = manager.result(identity, seconds=40)
    assert set(result) == {"task_id", "proplet_id", "results", "error"}
    assert result["results"] == ""
    assert result["error"].startswith(code + ": "), result["error"]
    assert "\n" not in result["error"]
    return result["error"]


def run_encrypted(manager, worker, code, image, **task):
    return refused(manager, worker, code, image_url=image, encrypted=True, inputs=["1", "2"], **task)


# Messages

@pytest.mark.parametrize("broken", [{"name": 7}, {"name": None}, {"inputs": [[]]}, {"inputs": "1"}, {"env": {"A": 1}},
                                    {"encrypted": "yes"}, {"file": "", "image_url": ""}, {"name": ""}, {"cli_args": {}},
                                    {"file": "not base64!"}, {"file": "AGFzbQ"}])
def test_a_malformed_start_with_a_readable_id_is_answered(manager, sample_worker, guests, broken):
    task = {"file": inline(guests / "math_reactor.wasm"), "inputs": ["1", "2"], **broken}
    identity, _ = manager.start(sample_worker, **task)
    _, result = manager.result(identity, seconds=10)
    assert result["error"].split(":")[0] in ("MESSAGE_INVALID", "FORMAT_INVALID"), result
    assert manager.results_within(0.2) == []


def test_noise_is_survived(manager, sample_worker, guests):
    for noise in (b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"{" * 100000, b'{"id":7}', b'{"id":"","name":"x"}',
                  b'{"id":"a","id":"b"}'):
        for topic in ("start", "stop", "invoke"):
            manager.publish(f"control/manager/{topic}", noise)
    task, _ = manager.start(sample_worker, file=inline(guests / "math_reactor.wasm"), inputs=["1", "2"])
    assert manager.result(task)[1]["results"] == "3"


def test_an_encrypted_task_must_not_bring_its_module_inline(manager, sample_worker, guests):
    error = refused(manager, sample_worker, "MESSAGE_INVALID", file=inline(guests / "math_reactor.wasm"), encrypted=True,
                    image_url="localhost/a:1")
    assert "encrypted workloads should only use image_url, not file" in error


@pytest.mark.parametrize("policy", ["wasi_security", "wasi_pep"])
def test_a_policy_that_is_not_enforced_fails_the_task(manager, sample_worker, guests, policy):
    refused(manager, sample_worker, "POLICY_UNSUPPORTED", file=inline(guests / "math_reactor.wasm"),
            metadata={"elastic": {policy: {}}})


# Encryption demanded

def test_without_a_tee_encrypted_tasks_are_refused_and_plain_ones_run(servers, manager, encrypted, guests):
    worker = servers.start_worker(PROPLET_TEE="off")
    run_encrypted(manager, worker, "TEE_UNAVAILABLE", encrypted)
    task, _ = manager.start(worker, file=inline(guests / "math_reactor.wasm"), inputs=["1", "2"])
    assert manager.result(task)[1]["results"] == "3"
    worker.stop()


def test_without_a_key_broker_encrypted_tasks_are_refused(servers, manager, encrypted):
    worker = servers.start_worker(PROPLET_TEE="sample", PROPLET_KBS_URI="")
    run_encrypted(manager, worker, "KBS_NOT_CONFIGURED", encrypted)
    worker.stop()


def test_a_plain_image_is_refused(servers, manager, sample_worker, guests):
    image = servers.push_plain(guests / "math_reactor.wasm", "attack:plain")
    run_encrypted(manager, sample_worker, "NOT_ENCRYPTED", image)


def test_an_encrypted_image_needs_the_task_to_say_so(manager, sample_worker, encrypted):
    refused(manager, sample_worker, "MEDIA_TYPE_UNSUPPORTED", image_url=encrypted)


def test_a_plain_layer_beside_an_encrypted_one_is_refused(manager, sample_worker, encrypted, guests):
    image = Image.pull(encrypted)
    module = (guests / "hello.wasm").read_bytes()
    image.manifest["layers"].append({"mediaType": MODULE, "digest": digest(module), "size": len(module)})
    image.blobs[digest(module)] = module
    with image.serve() as registry:
        run_encrypted(manager, sample_worker, "PARTLY_ENCRYPTED", registry.image())


@pytest.mark.parametrize("media_type, code", [
    ("application/vnd.example.unknown+encrypted", "MEDIA_TYPE_UNSUPPORTED"),
    (MODULE + "+encrypted+encrypted", "ANNOTATION_INVALID"),
    (MODULE, "ANNOTATION_INVALID"),
    ("application/vnd.example.unknown", "ANNOTATION_INVALID")])
def test_other_media_types_are_refused(manager, sample_worker, encrypted, media_type, code):
    image = Image.pull(encrypted)
    image.layer["mediaType"] = media_type
    with image.serve() as registry:
        run_encrypted(manager, sample_worker, code, registry.image())


def test_annotations_must_be_there(manager, sample_worker, encrypted):
    image = Image.pull(encrypted)
    del image.layer["annotations"]
    with image.serve() as registry:
        run_encrypted(manager, sample_worker, "ANNOTATION_INVALID", registry.image())


# Content

def test_a_wrong_manifest_digest_is_refused(manager, sample_worker, encrypted):
    with Image.pull(encrypted).serve() as registry:
        run_encrypted(manager, sample_worker, "DIGEST_MISMATCH", registry.image("team/add@sha256:" + "0" * 64))


def test_a_flipped_last_byte_of_a_layer_is_a_wrong_digest(manager, sample_worker, encrypted):
    image = Image.pull(encrypted)

    def flip(request, content):
        return content[:-1] + bytes([content[-1] ^ 1]) if request.path.endswith(image.layer["digest"]) else content

    with image.serve(flip) as registry:
        run_encrypted(manager, sample_worker, "DIGEST_MISMATCH", registry.image())


def test_a_flipped_byte_with_a_fitting_digest_is_a_wrong_mac(manager, sample_worker, encrypted):
    for position in (0, -1):
        image = Image.pull(encrypted)
        content = bytearray(image.content)
        content[position] ^= 1
        image.replace_layer(bytes(content))
        with image.serve() as registry:
            run_encrypted(manager, sample_worker, "MAC_MISMATCH", registry.image())


def test_a_wrong_config_digest_is_refused(manager, sample_worker, encrypted):
    image = Image.pull(encrypted)
    content = b'{"layerDigests":[]}'
    image.manifest["config"] = {"mediaType": CONFIG, "digest": digest(content), "size": len(content)}
    image.blobs[digest(content)] = b'{"layerDigests":[0]'
    with image.serve() as registry:
        run_encrypted(manager, sample_worker, "DIGEST_MISMATCH", registry.image())


def test_plaintext_that_the_config_does_not_promise_is_refused(manager, sample_worker, encrypted):
    image = Image.pull(encrypted)
    content = json.dumps({"architecture": "wasm", "os": "wasip1", "layerDigests": ["sha256:" + "1" * 64]}).encode()
    image.manifest["config"] = {"mediaType": "application/vnd.wasm.config.v0+json", "digest": digest(content),
                                "size": len(content)}
    image.blobs[digest(content)] = content
    with image.serve() as registry:
        run_encrypted(manager, sample_worker, "DIGEST_MISMATCH", registry.image())


# Keys

def test_another_key_than_the_task_names_is_refused_before_anybody_is_asked(servers, manager, sample_worker, encrypted):
    error = run_encrypted(manager, sample_worker, "KEY_MISMATCH", encrypted, kbs_resource_path="default/key/other")
    assert "default/key/honest" in error and "default/key/other" in error


def test_an_image_cannot_send_us_to_another_key_broker(manager, sample_worker, encrypted):
    image = Image.pull(encrypted)
    packet = image.annotation(PACKET)
    with Hostile(lambda request: request.reply(500)) as stranger:
        packet["kid"] = f"kbs://127.0.0.1:{stranger.port}/default/key/honest"
        image.set_annotation(PACKET, packet)
        with image.serve() as registry:
            run_encrypted(manager, sample_worker, "KBS_NOT_ALLOWED", registry.image())
        assert stranger.requests == []


def put_key(servers, tmp_path, path, content):
    (tmp_path / "key").write_bytes(content)
    servers.propctl("kbs", "put-resource", path, tmp_path / "key", "--kbs", servers.kbs_url, "--kbs-admin-key",
                    servers.folder / "kbs" / "admin.key")


def test_a_wrong_key_opens_nothing(servers, manager, sample_worker, guests, tmp_path):
    image = servers.push_encrypted(guests / "math_reactor.wasm", "attack:wrong-key", "kbs:///default/key/wrong")
    put_key(servers, tmp_path, "default/key/wrong", bytes(range(32)))
    run_encrypted(manager, sample_worker, "UNWRAP_FAILED", image)


@pytest.mark.parametrize("content", [b"", b"short", bytes(31), bytes(33), b"x" * 44], ids=len)
def test_a_key_of_wrong_length_is_refused(servers, manager, sample_worker, guests, tmp_path, content):
    image = servers.push_encrypted(guests / "math_reactor.wasm", "attack:short-key", "kbs:///default/key/short")
    put_key(servers, tmp_path, "default/key/short", content)
    run_encrypted(manager, sample_worker, "KEY_INVALID", image)


def test_a_missing_key_is_said_to_be_missing(manager, sample_worker, encrypted):
    image = Image.pull(encrypted)
    packet = image.annotation(PACKET)
    packet["kid"] = "kbs:///default/key/never-uploaded"
    image.set_annotation(PACKET, packet)
    with image.serve() as registry:
        run_encrypted(manager, sample_worker, "KBS_RESOURCE_UNAVAILABLE", registry.image())


@pytest.mark.parametrize("kid", ["", "default", "kbs:///a/b", "kbs:///a/b/c/d", "kbs:///../b/c", "http://x/a/b/c",
                                 "kbs+pkcs11:///a/b/c", "kbs:///a/b/c?x=1"])
def test_key_ids_that_are_no_resources_are_refused(manager, sample_worker, encrypted, kid):
    image = Image.pull(encrypted)
    packet = image.annotation(PACKET)
    packet["kid"] = kid
    image.set_annotation(PACKET, packet)
    with image.serve() as registry:
        run_encrypted(manager, sample_worker, "ANNOTATION_INVALID", registry.image())


@pytest.mark.parametrize("change", [{"hmac": ""}, {"cipher": "none"}, {"hmac": "AAAA"},
                                    {"cipheroptions": {"nonce": "AAAAAAAAAAAAAAAAAAAAAA=="}}])
def test_altered_public_options_are_refused(manager, sample_worker, encrypted, change):
    image = Image.pull(encrypted)
    image.set_annotation(PUBLIC_OPTIONS, {**image.annotation(PUBLIC_OPTIONS), **change})
    with image.serve() as registry:
        run_encrypted(manager, sample_worker, "ANNOTATION_INVALID", registry.image())


# Key broker

@pytest.mark.parametrize("answer, code", [
    (lambda request: request.reply(500, b"oops"), "KBS_UNREACHABLE"),
    (lambda request: request.reply(200, b"<html>"), "KBS_PROTOCOL"),
    (lambda request: request.reply(200, b'{"nonce":7}'), "KBS_PROTOCOL"),
    (lambda request: request.reply(200, b'{"nonce":"AAAA","extra-params":""}'), "KBS_PROTOCOL"),
    (lambda request: request.reply(200, b"x" * (8 << 20)), "KBS_PROTOCOL"),
    (lambda request: request.reply(401, json.dumps({
        "type": "https://github.com/confidential-containers/kbs/errors/AttestationError",
        "detail": "Attestation error: RCAR handshake Auth failed: no"}).encode()), "KBS_ATTESTATION_REJECTED")])
def test_a_key_broker_that_misbehaves_releases_nothing(servers, manager, encrypted, answer, code):
    with Hostile(answer) as broker:
        worker = servers.start_worker(PROPLET_TEE="sample", PROPLET_KBS_URI=f"http://127.0.0.1:{broker.port}")
        run_encrypted(manager, worker, code, encrypted)
        worker.stop()


def test_an_unreachable_key_broker_is_named(servers, manager, encrypted):
    worker = servers.start_worker(PROPLET_TEE="sample", PROPLET_KBS_URI=f"http://127.0.0.1:{s.free_port()}")
    run_encrypted(manager, worker, "KBS_UNREACHABLE", encrypted)
    worker.stop()


def test_a_response_for_another_key_is_refused(servers, manager, encrypted):
    """A broker that passes our handshake on, and answers with a response made for somebody else."""
    import urllib.error
    import urllib.request
    response = {"protected": "eyJhbGciOiJFQ0RILUVTK0EyNTZLVyIsImVuYyI6IkEyNTZHQ00iLCJlcGsiOnsiY3J2IjoiUC0yNTYiLCJrdHkiOiJFQyIsIngiOiJaZm8wUFJxNHlQZ3k4d1pwUXp1WndncjdrZ1FWNUNFNnBMM2NDVVpvV0U4IiwieSI6IkZuVHJPdWhPY0ZvR0ZyWG1xU2trblpPOUs3b1FWRzRuWElHSnBOdm9FTWsifX0",
                "encrypted_key": "t1ngSN_8uCNg1t-OH3WTbAObGFRdzGPms3NBPXmzkr3znmnKe68gOQ", "iv": "AAECAwQFBgcICQoL",
                "ciphertext": "NGq-c62NqnM", "tag": "yUhFVmWi1rNdePhpPBXnBg"}

    def relay(request):
        if "/resource/" in request.path and request.headers.get("Cookie"):
            return request.reply(200, json.dumps(response).encode())
        onward = urllib.request.Request(servers.kbs_url + request.path, data=request.body or None,
                                        method=request.command)
        if cookie := request.headers.get("Cookie"):
            onward.add_header("Cookie", cookie)
        try:
            answer = urllib.request.urlopen(onward, timeout=10)
        except urllib.error.HTTPError as error:
            answer = error
        headers = {name: answer.headers[name] for name in ("Set-Cookie", "Content-Type") if answer.headers[name]}
        return request.reply(answer.status, answer.read(), headers)

    with Hostile(relay) as broker:
        worker = servers.start_worker(PROPLET_TEE="sample", PROPLET_KBS_URI=f"http://127.0.0.1:{broker.port}")
        run_encrypted(manager, worker, "JWE_INVALID", encrypted)
        worker.stop()


def test_a_policy_that_names_another_tee_denies(servers, manager, encrypted, tmp_path):
    with s.Stack() as other:
        other.mqtt_port, other.registry_port = servers.mqtt_port, servers.registry_port
        (tmp_path / "policy.json").write_text(json.dumps({"rules": [{"tee": ["tdx"], "path": "default/key/*"}]}))
        other.start_key_broker("--allow-sample", "--policy", tmp_path / "policy.json")
        worker = other.start_worker(PROPLET_TEE="sample")
        run_encrypted(manager, worker, "KBS_DENIED", encrypted)


def test_sample_evidence_is_refused_unless_the_broker_allows_it(servers, manager, encrypted):
    with s.Stack() as other:
        other.mqtt_port, other.registry_port = servers.mqtt_port, servers.registry_port
        other.start_key_broker()
        worker = other.start_worker(PROPLET_TEE="sample")
        identity, _ = manager.start(worker, image_url=encrypted, encrypted=True)
        error = manager.result(identity)[1]["error"]
        assert error.split(":")[0] in ("KBS_ATTESTATION_REJECTED", "KBS_DENIED"), error


# Registry

def test_a_registry_that_is_down_is_named(manager, sample_worker):
    run_encrypted(manager, sample_worker, "REGISTRY_UNREACHABLE", f"127.0.0.1:{s.free_port()}/team/add:1")


def test_a_registry_that_wants_credentials_says_so(manager, sample_worker):
    def unauthorised(request):
        request.reply(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}',
                      {"WWW-Authenticate": 'Basic realm="private"'})

    with Hostile(unauthorised) as registry:
        run_encrypted(manager, sample_worker, "REGISTRY_UNAUTHORIZED", registry.image())


def test_a_truncated_blob_is_refused(manager, sample_worker, encrypted):
    image = Image.pull(encrypted)

    def truncate(request, content):
        return content[:-5] if request.path.endswith(image.layer["digest"]) else content

    with image.serve(truncate) as registry:
        run_encrypted(manager, sample_worker, "SIZE_MISMATCH", registry.image())


def test_a_registry_that_never_ends_is_cut_off(manager, sample_worker, encrypted):
    image = Image.pull(encrypted)

    def endless(request):
        if "/blobs/" not in request.path:
            return request.reply(200, json.dumps(image.manifest).encode(), {"Content-Type": MANIFEST})
        request.send_response(200)
        request.send_header("Content-Length", str(10 << 30))
        request.end_headers()
        while True:
            request.wfile.write(bytes(1 << 16))

    with Hostile(endless) as registry:
        before = sample_worker.resident_bytes()
        run_encrypted(manager, sample_worker, "SIZE_MISMATCH", registry.image())
        assert sample_worker.resident_bytes() < before + (64 << 20)


def test_a_descriptor_of_ten_gigabytes_is_refused_before_it_is_asked_for(manager, sample_worker, encrypted):
    image = Image.pull(encrypted)
    image.layer["size"] = 10 << 30
    with image.serve() as registry:
        run_encrypted(manager, sample_worker, "SIZE_LIMIT", registry.image())
        assert not any(image.layer["digest"] in path for _, path in registry.requests)


@pytest.mark.parametrize("document", [b"", b"{}", b"[]", b'{"schemaVersion":1}', b'{"schemaVersion":2,"schemaVersion":2}',
                                      b'{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}', b"x" * (5 << 20)],
                         ids=len)
def test_malformed_manifests_are_refused(manager, sample_worker, encrypted, document):
    def handle(request):
        request.reply(200, document, {"Content-Type": MANIFEST})

    with Hostile(handle) as registry:
        identity, _ = manager.start(sample_worker, image_url=registry.image(), encrypted=True)
        error = manager.result(identity)[1]["error"]
        assert error.split(":")[0] in ("MANIFEST_INVALID", "MEDIA_TYPE_UNSUPPORTED", "SIZE_LIMIT"), error


@pytest.mark.parametrize("reference", ["UPPER/case", "a b", "../../etc/passwd", "host:port/x", "x@sha256:12", "-", "a//b"])
def test_malformed_references_are_refused(manager, sample_worker, reference):
    run_encrypted(manager, sample_worker, "REFERENCE_INVALID", reference)


def test_plain_http_is_refused_for_hosts_that_are_not_named(manager, sample_worker):
    """A registry that is not on loopback is spoken to over TLS, and a key broker there is refused."""
    run_encrypted(manager, sample_worker, "REGISTRY_UNREACHABLE", "registry.invalid/team/add:1")


# Guests

@pytest.mark.parametrize("guest, function, code", [
    ("traps.wasm", "unreachable", "GUEST_TRAP"), ("math_reactor.wasm", "no_such_export", None),
    ("missing_import.wasm", "_start", "IMPORT_MISSING"), ("bomb.wasm", "_start", "MEMORY_LIMIT")])
def test_guests_that_fail_say_why(manager, sample_worker, guests, guest, function, code):
    task = {"cli_args": ["--invoke", function]} if code is None else {"name": function}
    refused(manager, sample_worker, code or "EXPORT_NOT_FOUND", file=inline(guests / guest), **task)


def test_bytes_that_are_no_module_are_refused(manager, sample_worker):
    for content in (b"garbage", b"\0asm", b"\0asm\1\0\0\0garbage", b"\x7fELF" + bytes(60), b"(module)"):
        refused(manager, sample_worker, "MODULE_INVALID", file=base64.b64encode(content).decode())


def test_components_are_refused_for_now(manager, sample_worker):
    refused(manager, sample_worker, "UNSUPPORTED", file=base64.b64encode(b"\0asm\x0d\0\1\0").decode())


def test_a_wrong_argument_count_is_told_as_ever(manager, sample_worker, guests):
    error = refused(manager, sample_worker, "ARGUMENT_MISMATCH", file=inline(guests / "math_reactor.wasm"), inputs=["1"])
    assert "Argument count mismatch for function 'add': expected 2 arguments but got 1" in error


def test_an_endless_loop_meets_the_time_limit(servers, manager, guests):
    worker = servers.start_worker(PROPLET_TEE="off", PROPLET_TASK_TIMEOUT="1")
    refused(manager, worker, "TASK_TIMEOUT", file=inline(guests / "spin.wasm"), name="_start")
    worker.stop()


def test_after_all_of_that_the_worker_is_well(servers, manager, sample_worker, encrypted, guests):
    task, _ = manager.start(sample_worker, image_url=encrypted, encrypted=True, inputs=["1", "2"])
    assert manager.result(task)[1]["results"] == "3"
    descriptors = len(list(pathlib.Path(f"/proc/{sample_worker.process.pid}/fd").iterdir()))
    threads = len(list(pathlib.Path(f"/proc/{sample_worker.process.pid}/task").iterdir()))
    assert descriptors < 100 and threads < 60, (descriptors, threads)
