"""Images of every shape and every encrypted vector, in the real registry, run by the worker."""

import gzip
import io
import json
import pathlib
import subprocess
import tarfile
import urllib.request

import pytest

import stack as s
from hostile import MANIFEST, MODULE, digest

VECTORS = pathlib.Path(__file__).resolve().parents[1] / "vectors" / "ocicrypt"
EXPECTED = json.loads((VECTORS / "expected.json").read_text())
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG, LAYER = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar"
COMPONENT_LAYER = "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm"


def request(method, url, body, media_type):
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": media_type}, method=method)) as done:
        return done.headers


def push_blob(servers, content, media_type, **more):
    base = f"http://127.0.0.1:{servers.registry_port}/v2/shape/blobs/uploads/"
    location = request("POST", base, b"", "application/octet-stream")["Location"]
    request("PUT", f"{location}&digest={digest(content)}", content, "application/octet-stream")
    return {"mediaType": media_type, "digest": digest(content), "size": len(content), **more}


def push_manifest(servers, tag, document, media_type=MANIFEST):
    body = json.dumps(document).encode()
    request("PUT", f"http://127.0.0.1:{servers.registry_port}/v2/shape/manifests/{tag}", body, media_type)
    return {"mediaType": media_type, "digest": digest(body), "size": len(body)}


def push(servers, tag, layer, layer_type, config=b"{}", config_type="application/vnd.wasm.config.v1+json", typed=True,
         layer_more=None, **more):
    document = {"schemaVersion": 2, "config": push_blob(servers, config, config_type),
                "layers": [push_blob(servers, layer, layer_type, **(layer_more or {}))], **more}
    return push_manifest(servers, tag, {**document, "mediaType": MANIFEST} if typed else document)


def tarred(path):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(s.GUESTS / "math_reactor.wasm", path)
    return archive.getvalue()


def image_config(tar, path, system="linux", machine="amd64"):
    return json.dumps({"architecture": machine, "os": system, "config": {"Entrypoint": [path]},
                       "rootfs": {"type": "layers", "diff_ids": [digest(tar)]}}).encode()


def shapes(servers):
    module = (s.GUESTS / "math_reactor.wasm").read_bytes()
    titled = {"annotations": {"org.opencontainers.image.title": "module.wasm"}}
    cncf = json.dumps({"created": "2026-01-01T00:00:00Z", "author": None, "architecture": "wasm", "os": "wasip1",
                       "layerDigests": [digest(module)], "component": None}).encode()
    compat = {"annotations": {"module.wasm.image/variant": "compat"}}
    tar, other = tarred("module.wasm"), tarred("bin/app.wasm")
    runwasi = json.dumps({"os": "wasip1", "architecture": "wasm", "rootfs": {"type": "layers",
                          "diff_ids": [digest(module)]}}).encode()
    push(servers, "wasm-to-oci", module, MODULE, typed=False, layer_more=titled)
    push(servers, "cncf", module, "application/wasm", cncf, "application/vnd.wasm.config.v0+json")
    push(servers, "oras-artifact", module, "application/wasm", b"{}", "application/vnd.oci.empty.v1+json",
         layer_more=titled, artifactType="application/vnd.unknown.artifact.v1")
    push(servers, "tar", tar, LAYER, image_config(tar, "/module.wasm"), CONFIG, **compat)
    push(servers, "tar-gzip", gzip.compress(other), LAYER + "+gzip", image_config(other, "/bin/app.wasm"), CONFIG,
         **compat)
    push(servers, "runwasi", module, COMPONENT_LAYER, runwasi, CONFIG)
    entry = push(servers, "entry", module, "application/wasm", runwasi, CONFIG)
    linux = push(servers, "linux", tarred("etc/motd"), LAYER, image_config(tarred("etc/motd"), "/sh"), CONFIG)
    push_manifest(servers, "index", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {**linux, "platform": {"os": "linux", "architecture": "amd64"}},
        {**entry, "platform": {"os": "wasip1", "architecture": "wasm"}}]}, INDEX)


@pytest.fixture(scope="module")
def shaped(servers):
    shapes(servers)
    return servers


@pytest.mark.parametrize("tag", ["wasm-to-oci", "cncf", "oras-artifact", "tar", "tar-gzip", "runwasi", "index"])
def test_every_plain_shape_runs(shaped, manager, sample_worker, tag):
    task, _ = manager.start(sample_worker, image_url=shaped.image(f"shape:{tag}"), inputs=["20", "3"])
    result = manager.result(task)[1]
    assert (result["results"], result["error"]) == ("23", None)


def put(servers, path, file):
    servers.propctl("kbs", "put-resource", path, file, "--kbs", servers.kbs_url, "--kbs-admin-key",
                    servers.folder / "kbs" / "admin.key")


def run_vector(servers, manager, worker, tag, **task):
    if task.get("encrypted"):
        task["kbs_resource_path"] = task.get("kbs_resource_path", "default/key/module-kek")
    subprocess.run(["skopeo", "--insecure-policy", "copy", "--all", "--dest-tls-verify=false",
                    f"oci:{VECTORS}/layout:{tag}", f"docker://{servers.image('vector:' + tag)}"], check=True,
                   capture_output=True, timeout=60)
    identity, _ = manager.start(worker, image_url=servers.image(f"vector:{tag}"), inputs=["40", "2"], **task)
    return manager.result(identity)[1]


@pytest.mark.parametrize("tag", [tag for tag, case in EXPECTED.items() if not case["keys"]])
def test_every_plain_vector_runs(servers, manager, sample_worker, tag):
    assert run_vector(servers, manager, sample_worker, tag)["results"] == "42"


RECIPIENTS = [(tag, key) for tag, case in EXPECTED.items() for key in case["keys"]
       if key.endswith(".pem") and tag != "mixed"]


@pytest.mark.parametrize("tag, key", RECIPIENTS)
def test_every_recipients_vector_runs_with_every_key_that_opens_it(servers, manager, sample_worker, tag, key):
    path = "default/jwe/" + pathlib.Path(key).name.split(".")[0]
    put(servers, path, VECTORS / key)
    result = run_vector(servers, manager, sample_worker, tag, encrypted=True, kbs_resource_path=path)
    assert (result["results"], result["error"]) == ("42", None)


@pytest.mark.parametrize("tag", ["keyprovider", "wasm-keyprovider"])
@pytest.mark.parametrize("form", ["bin", "b64", "b64-newline", "hex"])
def test_key_provider_vectors_run_with_the_key_in_every_form(servers, manager, sample_worker, tmp_path, tag, form):
    (tmp_path / "kek").write_bytes((VECTORS / f"keys/kek.{form.split('-')[0]}").read_bytes()
                                   + (b"\n" if "newline" in form else b""))
    put(servers, "default/key/module-kek", tmp_path / "kek")
    result = run_vector(servers, manager, sample_worker, tag, encrypted=True)
    assert (result["results"], result["error"]) == ("42", None)


@pytest.mark.parametrize("tag, code", [("mixed", "PARTLY_ENCRYPTED"), ("wasm-w2o-plain", "NOT_ENCRYPTED")])
def test_other_vectors_are_refused_as_encrypted_tasks(servers, manager, sample_worker, tag, code):
    put(servers, "default/jwe/rsa1", VECTORS / "keys/rsa1.key.pem")
    result = run_vector(servers, manager, sample_worker, tag, encrypted=True, kbs_resource_path="default/jwe/rsa1")
    assert result["results"] == "" and result["error"].startswith(code), result
