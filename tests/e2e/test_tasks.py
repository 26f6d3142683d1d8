"""What a user sees of tasks, encrypted and plain, through the real broker, registry and key broker."""

import base64
import json
import subprocess
import threading

import stack as s


def inline(path):
    return base64.b64encode(path.read_bytes()).decode()


def test_an_encrypted_image_runs_and_its_result_is_published(servers, manager, sample_worker, guests):
    image = servers.push_encrypted(guests / "math_reactor.wasm", "e2e:add", "kbs:///default/key/e2e-add")
    task, _ = manager.start(sample_worker, image_url=image, encrypted=True, inputs=["10", "20"])
    _, result = manager.result(task)
    assert result == {"task_id": task, "proplet_id": sample_worker.entity, "results": "30", "error": None}


def test_the_task_may_name_the_key_and_the_function_as_for_an_external_runtime(servers, manager, sample_worker, guests):
    image = servers.push_encrypted(guests / "math_reactor.wasm", "e2e:named", "kbs:///default/key/e2e-named")
    task, _ = manager.start(sample_worker, image_url=image, encrypted=True, name="whatever", inputs=["1", "2"],
                            cli_args=["--invoke", "add"], kbs_resource_path="default/key/e2e-named")
    assert manager.result(task)[1]["results"] == "3"


def test_oci_reference_is_a_synonym_of_image_url(servers, manager, sample_worker, guests):
    image = servers.push_plain(guests / "math_reactor.wasm", "e2e:synonym")
    task, _ = manager.start(sample_worker, oci_reference=image, inputs=["4", "5"])
    assert manager.result(task)[1]["results"] == "9"


def test_a_plain_inline_module_runs(manager, sample_worker, guests):
    task, _ = manager.start(sample_worker, file=inline(guests / "math_reactor.wasm"), inputs=["-1", "1"])
    _, result = manager.result(task)
    assert (result["results"], result["error"]) == ("0", None)


def test_a_digest_reference_runs_and_a_tag_beside_it_does_not_count(servers, manager, sample_worker, guests):
    servers.push_plain(guests / "math_reactor.wasm", "e2e:digest")
    shown = json.loads(servers.propctl("--json", "image", "inspect", servers.image("e2e:digest")).stdout)
    pinned = servers.image("e2e:no-such-tag") + "@" + shown["digest"]
    task, _ = manager.start(sample_worker, image_url=pinned, inputs=["7", "8"])
    assert manager.result(task)[1]["results"] == "15"


def test_a_worker_answers_only_what_is_addressed_to_it(servers, manager, sample_worker, guests):
    other = servers.start_worker(PROPLET_TEE="off")
    task, _ = manager.start(other, file=inline(guests / "math_reactor.wasm"), inputs=["1", "1"])
    assert manager.result(task)[1]["proplet_id"] == other.entity
    task, _ = manager.start(sample_worker, file=inline(guests / "math_reactor.wasm"), inputs=["1", "1"], broadcast=True)
    both = {manager.result(task)[1]["proplet_id"] for _ in range(2)}
    assert both == {other.entity, sample_worker.entity}
    assert other.stop() == 0


def test_a_running_task_is_stopped_at_once_and_answered_once(manager, sample_worker, guests):
    for guest in ("spin.wasm", "sleep.wasm"):
        task, _ = manager.start(sample_worker, file=inline(guests / guest), name="_start")
        threading.Event().wait(0.5)
        manager.publish("control/manager/stop", {"id": task, "proplet_id": sample_worker.entity})
        _, result = manager.result(task, seconds=5)
        assert result["error"].startswith("TASK_STOPPED"), result
        assert manager.results_within(0.5) == []


def test_a_duplicate_of_a_running_task_is_not_answered(manager, sample_worker, guests):
    task, _ = manager.start(sample_worker, file=inline(guests / "spin.wasm"), name="_start")
    manager.start(sample_worker, id=task, file=inline(guests / "math_reactor.wasm"), inputs=["1", "1"])
    assert manager.results_within(0.5) == []
    manager.publish("control/manager/stop", {"id": task})
    assert manager.result(task, 5)[1]["error"].startswith("TASK_STOPPED")


def test_stages_are_reported_only_when_asked_for(servers, manager, sample_worker, guests):
    image = servers.push_encrypted(guests / "math_reactor.wasm", "e2e:stages", "kbs:///default/key/e2e-stages")
    task, _ = manager.start(sample_worker, image_url=image, encrypted=True, inputs=["1", "2"], report="stages")
    stages = manager.result(task)[1]["stages"]
    assert {"resolve", "pull", "key", "decrypt", "compile", "run"} <= set(stages)


def test_discovery_and_heartbeat_name_the_sample_tee(servers, manager):
    worker = servers.start_worker(ready=False, PROPLET_TEE="sample", PROPLET_TAGS="lab, rack-2")
    _, discovery = manager.next("control/proplet/create", 20, lambda message: message["proplet_id"] == worker.entity)
    assert {"lab", "rack-2", "encrypted", "tee", "tee:sample", "wasm:p1"} <= set(discovery["metadata"]["tags"])
    _, alive = manager.next("control/proplet/alive", 20, lambda message: message["proplet_id"] == worker.entity)
    assert alive == {"proplet_id": worker.entity, "status": "alive", "namespace": "default"}
    assert worker.stop() == 0


def test_sigterm_publishes_what_runs_and_leaves(servers, manager, guests):
    worker = servers.start_worker(PROPLET_TEE="off", PROPLET_DRAIN_SECONDS="1")
    task, _ = manager.start(worker, file=inline(guests / "spin.wasm"), name="_start")
    threading.Event().wait(0.5)
    assert worker.stop() == 0
    assert manager.result(task)[1]["error"].startswith("TASK_STOPPED")


def test_skopeo_encrypts_for_our_key_and_the_worker_runs_it(servers, manager, sample_worker, guests, tmp_path):
    servers.propctl("key", "generate", "--type", "rsa", "--out", tmp_path / "key.pem")
    servers.propctl("kbs", "put-resource", "default/key/e2e-skopeo", tmp_path / "key.pem", "--kbs", servers.kbs_url,
                    "--kbs-admin-key", servers.folder / "kbs" / "admin.key")
    layout = make_tar_image(tmp_path, guests / "math_reactor.wasm")
    skopeo("copy", "--encryption-key", f"jwe:{tmp_path}/key.pem.pub", f"oci:{layout}:plain",
           f"docker://{servers.image('e2e:skopeo')}", "--dest-tls-verify=false")
    task, _ = manager.start(sample_worker, image_url=servers.image("e2e:skopeo"), encrypted=True, inputs=["20", "3"],
                            kbs_resource_path="default/key/e2e-skopeo")
    _, result = manager.result(task)
    assert (result["results"], result["error"]) == ("23", None)


def test_skopeo_decrypts_what_we_encrypt_for_its_key(servers, guests, tmp_path):
    for kind in ("rsa", "p256", "p521"):
        key = tmp_path / f"{kind}.pem"
        servers.propctl("key", "generate", "--type", kind, "--out", key)
        servers.propctl("image", "encrypt", guests / "math_reactor.wasm", "--to", servers.image(f"e2e:jwe-{kind}"),
                        "--recipient", f"jwe:{key}.pub")
        skopeo("copy", "--src-tls-verify=false", "--decryption-key", key,
               f"docker://{servers.image(f'e2e:jwe-{kind}')}", f"dir:{tmp_path}/{kind}")
        manifest = json.loads((tmp_path / kind / "manifest.json").read_text())
        layer = manifest["layers"][0]
        assert layer["mediaType"] == "application/vnd.wasm.content.layer.v1+wasm"
        assert (tmp_path / kind / layer["digest"].split(":")[1]).read_bytes() == (guests / "math_reactor.wasm").read_bytes()


def test_propctl_sends_a_task_and_fails_when_the_task_fails(servers, sample_worker, guests):
    broker = ["--mqtt", f"tcp://127.0.0.1:{servers.mqtt_port}", "--tenant", s.TENANT, "--channel", s.CHANNEL, "--user",
              "operator"]
    task = ["task", "start", *broker, "--worker", sample_worker.entity, "--file", guests / "math_reactor.wasm",
            "--invoke", "add", "--wait"]
    done = servers.propctl("--json", *task, "--input", "2", "--input", "-44")
    answer = json.loads(done.stdout)
    assert (answer["results"], answer["error"]) == ("-42", None) and "publish" in answer["stages_ms"]
    failed = servers.propctl(*task, "--input", "2", check=False)
    assert failed.returncode == 1
    assert "ARGUMENT_MISMATCH" in failed.stdout and "TASK_FAILED" in failed.stderr
    starved = servers.propctl(*task, "--input", "2", "--input", "3", "--cli-arg=-W", "--cli-arg=fuel=1", check=False)
    assert starved.returncode == 1 and "out of fuel" in starved.stdout
    listed = servers.propctl("--json", "task", "list-workers", *broker, "--for", "6")
    assert sample_worker.entity in [worker["id"] for worker in json.loads(listed.stdout)["workers"]]


def test_propctl_run_needs_no_server_for_a_file(servers, guests):
    assert servers.propctl("run", guests / "math_reactor.wasm", "--invoke", "add", "--", "40", "2").stdout == "42\n"


def test_propctl_run_opens_an_encrypted_layout_with_a_given_key(servers, guests, tmp_path):
    servers.propctl("key", "generate", "--out", tmp_path / "kek")
    servers.propctl("image", "encrypt", guests / "math_reactor.wasm", "--to", f"oci:{tmp_path}/layout:v1", "--key",
                    tmp_path / "kek", "--key-id", "kbs:///default/key/local")
    done = servers.propctl("run", f"oci:{tmp_path}/layout:v1", "--encrypted", "--key", tmp_path / "kek", "--invoke",
                           "add", "--", "1", "2")
    assert done.stdout == "3\n"


def skopeo(*arguments):
    subprocess.run(["skopeo", "--insecure-policy", *map(str, arguments)], check=True, capture_output=True, timeout=60,
                   stdin=subprocess.DEVNULL)


def make_tar_image(folder, wasm):
    """An ordinary one-layer image with /module.wasm, as docker or buildah would make it, in an OCI layout."""
    import hashlib
    import io
    import tarfile
    layout = folder / "layout"
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content, media_type):
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(content)}

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(wasm, "module.wasm")
    layer = blob(archive.getvalue(), "application/vnd.oci.image.layer.v1.tar")
    config = blob(json.dumps({"architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/module.wasm"]},
                              "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}).encode(),
                  "application/vnd.oci.image.config.v1+json")
    manifest = blob(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                                "config": config, "layers": [layer]}).encode(),
                    "application/vnd.oci.image.manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "plain"}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return layout
