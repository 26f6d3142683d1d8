"""The libraries inside current skopeo as the other side: images they encrypt open here, and ours open there.

`copier` is a small program on them (tests/peers/copier); scripts/build-peers.sh builds it once for the machine.
"""

import json
import pathlib
import shutil
import subprocess

import pytest

import stack as s

ROOT = pathlib.Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors" / "ocicrypt"
MODULE = (VECTORS / "module.wasm").read_bytes()
PLAIN = f"oci:{VECTORS}/layout:plain-compat"
KEY_ID = "kbs:///default/key/peers"


@pytest.fixture(scope="session")
def copier():
    script = ROOT / "scripts" / "build-peers.sh"
    subprocess.run([script], check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=1800)
    folder = subprocess.run([script, "--print-path"], check=True, capture_output=True, text=True).stdout.strip()
    return pathlib.Path(folder) / "copier"


class Desk:
    """A folder with a key and a key provider configuration, and the two programs run in it."""

    def __init__(self, folder, copier):
        self.folder, self.copier = folder, copier
        shutil.copy(VECTORS / "keys/kek.bin", folder / "kek")
        provider = {"cmd": {"path": str(s.BIN / "propctl"), "args": ["keyprovider"]}}
        (folder / "provider.json").write_text(json.dumps({"key-providers": {"attestation-agent": provider}}))

    def run(self, program, *arguments, check=True):
        done = subprocess.run([program, *map(str, arguments)], cwd=self.folder, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=120,
                              env={"OCICRYPT_KEYPROVIDER_CONFIG": "provider.json", "PATH": "/usr/bin:/bin",
                                   "HOME": str(self.folder)})
        assert not check or done.returncode == 0, done.stderr
        return done

    def copy(self, *arguments, **more):
        return self.run(self.copier, *arguments, **more)

    def propctl(self, *arguments, **more):
        return self.run(s.BIN / "propctl", *arguments, **more)

    def layer(self, name):
        """Descriptor and content of the first layer of the one image in a layout."""
        blobs = self.folder / name / "blobs" / "sha256"
        index = json.loads((self.folder / name / "index.json").read_text())
        manifest = json.loads((blobs / index["manifests"][0]["digest"].removeprefix("sha256:")).read_text())
        layer = manifest["layers"][0]
        return layer, (blobs / layer["digest"].removeprefix("sha256:")).read_bytes()


@pytest.fixture
def desk(tmp_path, copier):
    return Desk(tmp_path, copier)


def test_the_libraries_wrap_and_unwrap_through_our_key_provider(desk):
    recipient = f"provider:attestation-agent:keypath=kek::keyid={KEY_ID}::algorithm=A256GCM"
    desk.copy("-encrypt", recipient, PLAIN, "oci:encrypted:1")
    descriptor, _ = desk.layer("encrypted")
    assert descriptor["mediaType"].endswith("+encrypted")
    desk.propctl("image", "verify", "--encrypted", "oci:encrypted:1", "--key", "kek", "--kbs-resource-path", KEY_ID)

    desk.copy("-decrypt", "provider:attestation-agent:keypath=kek", "oci:encrypted:1", "oci:decrypted:1")
    descriptor, content = desk.layer("decrypted")
    assert not descriptor["mediaType"].endswith("+encrypted")
    assert MODULE in content


def test_the_libraries_open_a_module_that_we_encrypted_for_a_key_broker(desk):
    desk.propctl("image", "encrypt", VECTORS / "module.wasm", "--to", "oci:ours:1", "--key", "kek", "--key-id", KEY_ID)
    desk.copy("-decrypt", "provider:attestation-agent:keypath=kek", "oci:ours:1", "oci:decrypted:1")
    descriptor, content = desk.layer("decrypted")
    assert (descriptor["mediaType"], content) == ("application/vnd.wasm.content.layer.v1+wasm", MODULE)
    (desk.folder / "kek").write_bytes(bytes(range(32)))
    done = desk.copy("-decrypt", "provider:attestation-agent:keypath=kek", "oci:ours:1", "oci:no:1", check=False)
    assert done.returncode == 1


@pytest.mark.parametrize("recipients, keys", [
    (["jwe:rsa1.pub.pem"], ["rsa1"]),
    (["jwe:ec.pub.pem"], ["ec"]),
    (["jwe:rsa1.pub.pem", "jwe:ec521.pub.pem", "jwe:rsa2.pub.pem"], ["rsa1", "ec521", "rsa2"]),
    (["pkcs7:rsa1.cert.pem"], ["rsa1"]),
])
def test_what_the_libraries_encrypt_for_recipients_opens_with_each_key(desk, recipients, keys):
    for key in (VECTORS / "keys").iterdir():
        shutil.copy(key, desk.folder)
    desk.copy(*[word for recipient in recipients for word in ("-encrypt", recipient)], PLAIN, "oci:encrypted:1")
    for key in keys:
        desk.propctl("image", "verify", "--encrypted", "oci:encrypted:1", "--key", f"{key}.key.pem")
    done = desk.propctl("image", "verify", "--encrypted", "oci:encrypted:1", "--key", "kek", check=False)
    assert done.returncode == 1


def test_the_libraries_open_what_we_encrypt_for_recipients(desk):
    desk.propctl("image", "encrypt", VECTORS / "module.wasm", "--to", "oci:ours:1",
                 *[word for key in ("rsa1", "ec", "ec521") for word in ("--recipient", f"jwe:{VECTORS}/keys/{key}.pub.pem")])
    for key in ("rsa1", "ec", "ec521"):
        desk.copy("-decrypt", VECTORS / "keys" / f"{key}.key.pem", "oci:ours:1", f"oci:{key}:1")
        assert desk.layer(key)[1] == MODULE
    done = desk.copy("-decrypt", VECTORS / "keys/rsa2.key.pem", "oci:ours:1", "oci:no:1", check=False)
    assert done.returncode == 1
