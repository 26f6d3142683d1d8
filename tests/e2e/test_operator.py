"""What an operator does with images and keys: propctl image, key, kbs and keyprovider."""

import base64
import json
import pathlib
import shutil
import subprocess

import pytest

import stack as s

VECTORS = pathlib.Path(__file__).resolve().parents[1] / "vectors" / "ocicrypt"
EXPECTED = json.loads((VECTORS / "expected.json").read_text())
OPENABLE = [(tag, key) for tag, case in EXPECTED.items() for key in case["keys"] if tag != "mixed"]
KEY_ID = "kbs:///default/key/module-kek"


def propctl(*arguments, folder=None, stdin=b"", check=True):
    done = subprocess.run([str(s.BIN / "propctl"), *map(str, arguments)], input=stdin, capture_output=True, timeout=120,
                          cwd=folder, env={"HOME": "/nonexistent", "PATH": "/usr/bin:/bin"})
    if check and done.returncode != 0:
        raise AssertionError(done.stderr.decode())
    return done


def refusal(*arguments, **more):
    done = propctl(*arguments, check=False, **more)
    assert done.returncode == 1
    return done.stderr.decode().removeprefix("error: ").split(":")[0]


def vector(tag):
    return f"oci:{VECTORS}/layout:{tag}"


def inspect(tag, *more):
    return json.loads(propctl("--json", "image", "inspect", vector(tag), *more).stdout)


def test_inspect_says_for_whom_a_layer_is_and_whether_it_opens_here():
    layer = inspect("jwe-multi", "--key", VECTORS / "keys/rsa2.key.pem")["layers"][0]
    assert [each["algorithm"] for each in layer["recipients"]] == ["RSA-OAEP", "ECDH-ES+A256KW", "RSA-OAEP"]
    assert layer["opens"] == "yes"
    assert inspect("jwe-multi", "--key", VECTORS / "keys/ec521.key.pem")["layers"][0]["opens"].startswith(
        "no: UNWRAP_FAILED")
    assert inspect("jwe-multi")["layers"][0]["opens"].startswith("no: KEY_INVALID")

    layer = inspect("wasm-keyprovider")["layers"][0]
    assert layer["recipients"] == [{"scheme": "provider.attestation-agent", "algorithm": "A256GCM", "key_id": KEY_ID,
                                    "readable": True}]
    assert layer["opens"].startswith("not tried")
    assert inspect("pkcs7")["layers"][0]["recipients"][0]["scheme"] == "pkcs7"
    assert inspect("mixed")["verdict"].startswith("PARTLY_ENCRYPTED")
    assert inspect("plain-compat")["layers"][0]["opens"] == "not encrypted"

    text = propctl("image", "inspect", vector("jwe-multi"), "--key", VECTORS / "keys/ec.key.pem").stdout.decode()
    head = next(line for line in text.splitlines() if "LAYER" in line)
    assert head.split() == ["LAYER", "MEDIA", "TYPE", "BYTES", "FOR", "KEY", "ID", "OPENS", "HERE"]
    assert len([line for line in text.splitlines() if "jwe " in line]) == 3


@pytest.mark.parametrize("tag, key", OPENABLE)
def test_every_vector_verifies_and_decrypts_to_what_was_encrypted(tmp_path, tag, key):
    propctl("image", "verify", "--encrypted", vector(tag), "--key", VECTORS / key)
    propctl("image", "decrypt", vector(tag), "--key", VECTORS / key, "--out", tmp_path / "module")
    assert (tmp_path / "module").read_bytes() == (VECTORS / "module.wasm").read_bytes()
    assert (tmp_path / "module").stat().st_mode & 0o777 == 0o600

    propctl("image", "decrypt", vector(tag), "--key", VECTORS / key, "--to", f"oci:{tmp_path}/plain:1")
    index = json.loads((tmp_path / "plain/index.json").read_text())
    blobs = tmp_path / "plain/blobs/sha256"
    manifest = json.loads((blobs / index["manifests"][0]["digest"].removeprefix("sha256:")).read_bytes())
    wanted = [(layer["mediaType"], "sha256:" + layer["sha256"]) for layer in EXPECTED[tag]["layers"]]
    assert [(layer["mediaType"], layer["digest"]) for layer in manifest["layers"]] == wanted
    assert "org.opencontainers.image.enc" not in json.dumps(manifest)
    propctl("image", "verify", f"oci:{tmp_path}/plain:1")


def test_verify_and_decrypt_refuse_what_a_worker_refuses(tmp_path):
    rsa1 = VECTORS / "keys/rsa1.key.pem"
    assert refusal("image", "verify", "--encrypted", vector("plain-compat")) == "NOT_ENCRYPTED"
    assert refusal("image", "verify", vector("mixed"), "--key", rsa1) == "PARTLY_ENCRYPTED"
    assert refusal("image", "verify", vector("jwe-rsa")) == "KBS_NOT_CONFIGURED"
    assert refusal("image", "verify", vector("jwe-rsa"), "--key", VECTORS / "keys/rsa2.key.pem") == "UNWRAP_FAILED"
    for target in (["--out", tmp_path / "m"], ["--to", f"oci:{tmp_path}/o"]):
        assert refusal("image", "decrypt", vector("plain-compat"), "--key", rsa1, *target) == "NOT_ENCRYPTED"
    assert not list(tmp_path.iterdir())


def test_copy_keeps_every_byte_of_an_index_and_its_images(servers, tmp_path):
    there, back = servers.image("copied:1"), f"oci:{tmp_path}/back:1"
    propctl("image", "copy", vector("index"), there)
    propctl("image", "copy", there, back)
    index = json.loads((tmp_path / "back/index.json").read_text())
    assert index["manifests"][0]["digest"] == EXPECTED["index"]["manifest"]
    propctl("image", "verify", "--encrypted", back, "--key", VECTORS / "keys/rsa1.key.pem")


def test_keys_are_read_in_every_form_and_shown_without_their_secret(tmp_path):
    kek = (VECTORS / "keys/kek.bin").read_bytes()
    shown = set()
    for form in ("raw", "base64", "hex", "jwk"):
        propctl("key", "import", VECTORS / "keys/kek.b64", "--form", form, "--out", tmp_path / form)
        propctl("key", "import", tmp_path / form, "--out", tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == kek
        text = propctl("key", "show", tmp_path / form).stdout.decode()
        assert kek.hex() not in text and base64.b64encode(kek).decode() not in text
        shown.add(text.split("check value ")[1])
    assert len(shown) == 1
    propctl("key", "import", VECTORS / "keys/ec.key.pem", "--out", tmp_path / "private")
    text = propctl("key", "show", tmp_path / "private").stdout.decode()
    assert "P-256" in text and "PRIVATE" not in text
    assert text.splitlines()[1:] == propctl("key", "show", VECTORS / "keys/ec.pub.pem").stdout.decode().splitlines()[1:]
    (tmp_path / "text").write_text("nothing of the kind")
    assert refusal("key", "show", tmp_path / "text") == "KEY_INVALID"


def unwrap_request(packet, parameters="Enabled"):
    encoded = base64.b64encode(parameters.encode()).decode()
    return json.dumps({"op": "keyunwrap", "keywrapparams": {"ec": None, "optsdata": None}, "keyunwrapparams": {
        "dc": {"Parameters": {"attestation-agent": [encoded]}},
        "annotation": base64.b64encode(packet).decode()}}).encode()


def test_the_key_provider_wraps_what_it_unwraps(tmp_path):
    shutil.copy(VECTORS / "keys/kek.bin", tmp_path)
    request = (VECTORS / "kp/cmd-wrap.in.json").read_bytes()
    answer = json.loads(propctl("keyprovider", folder=tmp_path, stdin=request).stdout)
    packet = bytes(answer["keywrapresults"]["annotation"])
    assert list(json.loads(packet)) == ["kid", "wrapped_data", "iv", "wrap_type"]
    assert json.loads(packet)["kid"] == KEY_ID

    for arguments, parameters in ((["--key", "kek.bin"], "Enabled"), ([], "keypath=kek.bin")):
        answer = json.loads(propctl("keyprovider", *arguments, folder=tmp_path,
                                    stdin=unwrap_request(packet, parameters)).stdout)
        options = base64.b64decode(json.loads(request)["keywrapparams"]["optsdata"])
        assert json.loads(bytes(answer["keyunwrapresults"]["optsdata"])) == json.loads(options)


def test_the_key_provider_opens_what_skopeo_captured(tmp_path):
    answer = json.loads(propctl("keyprovider", "--key", VECTORS / "keys/kek.bin",
                                stdin=(VECTORS / "kp/cmd-unwrap.in.json").read_bytes()).stdout)
    assert answer == json.loads((VECTORS / "kp/cmd-unwrap.out-array.json").read_text())


def test_the_key_provider_says_nothing_on_stdout_when_it_refuses(tmp_path):
    (tmp_path / "other").write_bytes(bytes(range(32)))
    packet = (VECTORS / "kp/cmd-unwrap.in.json").read_bytes()
    for code, arguments, stdin in (("MESSAGE_INVALID", [], b"{}"), ("UNWRAP_FAILED", ["--key", tmp_path / "other"], packet),
                                   ("KBS_NOT_CONFIGURED", [], packet)):
        done = propctl("keyprovider", *arguments, stdin=stdin, check=False)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.decode().startswith(f"error: {code}")


def test_a_key_provider_with_a_broker_uploads_before_it_answers(servers, tmp_path):
    admin = ["--kbs", servers.kbs_url, "--kbs-admin-key", servers.folder / "kbs" / "admin.key"]
    request = json.loads((VECTORS / "kp/cmd-wrap.in.json").read_bytes())
    parameters = base64.b64encode(b"keyid=kbs:///default/provider/fresh").decode()
    request["keywrapparams"]["ec"]["Parameters"]["attestation-agent"] = [parameters]
    answer = json.loads(propctl("keyprovider", *admin, stdin=json.dumps(request).encode()).stdout)
    packet = bytes(answer["keywrapresults"]["annotation"])
    propctl("keyprovider", "--kbs", servers.kbs_url, "--tee", "sample", stdin=unwrap_request(packet))
    propctl("kbs", "get", "default/provider/fresh", "--kbs", servers.kbs_url, "--tee", "sample", "--out", tmp_path / "k")
    assert len((tmp_path / "k").read_bytes()) == 32
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600

    stranger = tmp_path / "stranger"
    propctl("key", "generate", "--type", "ed25519", "--out", stranger)
    done = propctl("keyprovider", "--kbs", servers.kbs_url, "--kbs-admin-key", stranger,
                   stdin=json.dumps(request).encode(), check=False)
    assert (done.returncode, done.stdout) == (1, b"")


def test_put_and_policy_work_under_their_short_names_and_without_a_token_nothing_does(servers, tmp_path):
    admin = ["--kbs", servers.kbs_url, "--kbs-admin-key", servers.folder / "kbs" / "admin.key"]
    (tmp_path / "secret").write_bytes(b"content")
    propctl("kbs", "put", "default/short/name", tmp_path / "secret", *admin)
    assert refusal("kbs", "put", "default/short/name", tmp_path / "secret", "--kbs", servers.kbs_url) == "KBS_DENIED"
    propctl("kbs", "get", "default/short/name", "--kbs", servers.kbs_url, "--tee", "sample", "--out", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"content"


@pytest.mark.parametrize("tag, key", [("wasm-keyprovider", "keys/kek.b64"), ("pkcs7", "keys/rsa1.key.pem")])
def test_a_key_file_opens_images_where_there_is_no_tee(servers, manager, tmp_path, tag, key):
    shutil.copy(VECTORS / key, tmp_path / "key")
    (tmp_path / "key").chmod(0o600)
    propctl("image", "copy", vector(tag), servers.image(f"keyfile:{tag}"))
    worker = servers.start_worker(PROPLET_KEY_FILE=str(tmp_path / "key"))
    task, _ = manager.start(worker, image_url=servers.image(f"keyfile:{tag}"), inputs=["40", "2"], encrypted=True)
    result = manager.result(task)[1]
    assert (result["results"], result["error"]) == ("42", None)
    assert "key from a file" in worker.log_text()
    assert worker.stop() == 0


def test_a_new_key_replaces_no_file(tmp_path):
    propctl("key", "generate", "--out", tmp_path / "kek")
    before = (tmp_path / "kek").read_bytes()
    assert refusal("key", "generate", "--out", tmp_path / "kek") == "IO_FAILED"
    assert refusal("key", "generate", "--type", "rsa", "--out", tmp_path / "kek") == "IO_FAILED"
    assert (tmp_path / "kek").read_bytes() == before


def test_a_module_file_that_is_missing_is_no_image_of_a_registry(tmp_path):
    assert refusal("image", "push", tmp_path / "nothing.wasm", "--to", f"oci:{tmp_path}/image:1") == "IO_FAILED"


@pytest.mark.parametrize("tee, code", [("off", "TEE_UNAVAILABLE"), ("tdx", "CONFIG_INVALID"), ("sample", "CONFIG_INVALID")])
def test_a_key_file_takes_the_place_of_no_tee_that_was_named(servers, manager, tmp_path, tee, code):
    shutil.copy(VECTORS / "keys/kek.bin", tmp_path / "key")
    (tmp_path / "key").chmod(0o600)
    worker = servers.start_worker(PROPLET_TEE=tee, PROPLET_KEY_FILE=str(tmp_path / "key"))
    task, _ = manager.start(worker, image_url=servers.image("keyfile:any"), encrypted=True)
    assert manager.result(task)[1]["error"].startswith(code + ": ")
    assert worker.stop() == 0


def test_a_key_file_that_others_may_read_is_refused(servers, manager, tmp_path):
    shutil.copy(VECTORS / "keys/kek.bin", tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    worker = servers.start_worker(PROPLET_KEY_FILE=str(tmp_path / "key"))
    task, _ = manager.start(worker, image_url=servers.image("keyfile:any"), encrypted=True)
    assert manager.result(task)[1]["error"].startswith("CONFIG_INVALID")
    assert worker.stop() == 0
