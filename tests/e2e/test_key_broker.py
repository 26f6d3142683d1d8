"""The key broker's protocol 0.4.0: our server as the official client sees it, our client as a scripted server sees it."""

import base64
import hashlib
import http.client
import json
import pathlib
import re
import secrets

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

import stack as s
from hostile import Hostile

RECORDINGS = pathlib.Path(__file__).resolve().parents[1] / "vectors" / "kbs"
ERRORS = "https://github.com/confidential-containers/kbs/errors/"
HASHES = ["sha256", "sha384", "sha512", "sm3"]
REQUEST = {"version": "0.4.0", "tee": "sample", "extra-params": {"supported-hash-algorithms": HASHES}}


def b64url(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def unb64url(text):
    assert "=" not in text
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def report_data(nonce, key, additional=""):
    text = json.dumps({"additional-evidence": additional, "nonce": nonce, "tee-pubkey": key}, sort_keys=True,
                      separators=(",", ":"))
    return base64.b64encode(hashlib.sha384(text.encode()).digest()).decode()


class Client:
    """The official client's behaviour, written from the protocol's description."""

    def __init__(self, port):
        self.port, self.cookie = port, None
        self.private = ec.generate_private_key(ec.SECP256R1())
        point = self.private.public_key().public_numbers()
        self.key = {"kty": "EC", "crv": "P-256", "alg": "ECDH-ES+A256KW", "x": b64url(point.x.to_bytes(32, "big")),
                    "y": b64url(point.y.to_bytes(32, "big"))}

    def call(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if self.cookie and "Cookie" not in headers:
            headers["Cookie"] = self.cookie
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        content = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        connection.request(method, "/kbs/v0/" + path, content, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    def auth(self, request=None):
        status, headers, content = self.call("POST", "auth", request or REQUEST)
        assert status == 200, content
        self.cookie = headers["Set-Cookie"].split(";")[0]
        return headers, json.loads(content)

    def attestation(self, nonce, **evidence):
        return {"init-data": None, "runtime-data": {"nonce": nonce, "tee-pubkey": self.key},
                "tee-evidence": {"primary_evidence": {"svn": "1", "report_data": report_data(nonce, self.key), **evidence},
                                 "additional_evidence": ""}}

    def handshake(self):
        challenge = self.auth()[1]
        status, headers, content = self.call("POST", "attest", self.attestation(challenge["nonce"]))
        assert status == 200, content
        return headers, json.loads(content)

    def open(self, content):
        message = json.loads(content)
        assert list(message) == ["protected", "encrypted_key", "iv", "ciphertext", "tag"]
        header = json.loads(unb64url(message["protected"]))
        epk = header["epk"]
        point = ec.EllipticCurvePublicNumbers(*(int.from_bytes(unb64url(epk[c]), "big") for c in "xy"), ec.SECP256R1())
        secret = self.private.exchange(ec.ECDH(), point.public_key())
        info = bytes.fromhex("0000000e454344482d45532b413235364b57000000000000000000000100")
        kek = hashlib.sha256(b"\0\0\0\1" + secret + info).digest()
        key = aes_key_unwrap(kek, unb64url(message["encrypted_key"]))
        # The official client builds the authenticated text anew, in this order.
        again = {"alg": header["alg"], "enc": header["enc"], "epk": {name: epk[name] for name in ("crv", "kty", "x", "y")}}
        rebuilt = b64url(json.dumps(again, separators=(",", ":")).encode())
        assert rebuilt == message["protected"]
        return AESGCM(key).decrypt(unb64url(message["iv"]), unb64url(message["ciphertext"]) + unb64url(message["tag"]),
                                   rebuilt.encode())


@pytest.fixture
def client(servers):
    return Client(servers.kbs_port)


@pytest.fixture(scope="module")
def resource(servers):
    content = secrets.token_bytes(32)
    (servers.folder / "resource").write_bytes(content)
    servers.propctl("kbs", "put-resource", "default/key/add", servers.folder / "resource", "--kbs", servers.kbs_url,
                    "--kbs-admin-key", servers.folder / "kbs" / "admin.key")
    return content


def refused(answer, variant, detail=None, status=401):
    body = json.loads(answer[2])
    assert (answer[0], body["type"]) == (status, ERRORS + variant), body
    assert set(body) == {"type", "detail"} and (detail is None or body["detail"] == detail), body


def test_challenge_and_cookie_have_the_shapes_clients_expect(client):
    headers, challenge = client.auth()
    assert set(challenge) == {"nonce", "extra-params"} and challenge["extra-params"] == ""
    assert len(challenge["nonce"]) == 44 and len(base64.b64decode(challenge["nonce"], validate=True)) == 32
    assert re.fullmatch(r"kbs-session-id=[0-9a-f]{32}; Expires=\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT",
                        headers["Set-Cookie"])
    assert headers["Content-Type"].startswith("application/json")


def test_the_token_is_signed_and_bound_to_the_clients_key(client):
    token = client.handshake()[1]["token"]
    header, payload, signature = token.split(".")
    key, claims = json.loads(unb64url(header))["jwk"], json.loads(unb64url(payload))
    assert (json.loads(unb64url(header))["alg"], key["crv"]) == ("ES256", "P-256")
    numbers = [int.from_bytes(unb64url(key[c]), "big") for c in "xy"]
    raw = unb64url(signature)
    ec.EllipticCurvePublicNumbers(*numbers, ec.SECP256R1()).public_key().verify(
        encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")),
        f"{header}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))
    assert isinstance(claims["exp"], int) and claims["exp"] > claims["iat"]
    evidence = claims["submods"]["cpu0"]["ear.veraison.annotated-evidence"]
    assert evidence["runtime_data_claims"]["tee-pubkey"] == client.key


def test_a_resource_comes_by_cookie_or_by_token(servers, client, resource):
    token = client.handshake()[1]["token"]
    assert client.open(client.call("GET", "resource/default/key/add")[2]) == resource
    client.cookie = None
    refused(client.call("GET", "resource/default/key/add"), "TokenNotFound", "Attestation Token not found")
    status, headers, content = client.call("GET", "resource/default/key/add", headers={"Authorization": "Bearer " + token})
    assert (status, client.open(content)) == (200, resource) and headers["Set-Cookie"] is None
    for bad in ("x.y.z", token[:-8] + "AAAAAAAA"):
        refused(client.call("GET", "resource/default/key/add", headers={"Authorization": "Bearer " + bad}),
                "TokenVerifierError", "Token Verifier error")


def recorded_refusals():
    skip = ("3 MiB body",)
    return [pytest.param(e, id=e["note"]) for e in json.loads((RECORDINGS / "errors.json").read_text())["exchanges"]
            if e["path"].endswith("/auth") and e["status"] != 200 and e["note"] not in skip]


@pytest.mark.parametrize("exchange", recorded_refusals())
def test_what_a_real_broker_refuses_at_auth_is_refused_in_the_same_words(client, exchange):
    body = exchange["request"]
    content = base64.b64decode(body["base64"]) if "base64" in body else body
    refused(client.call("POST", "auth", content), "AttestationError", exchange["response"]["detail"])


def test_attestations_that_do_not_fit_are_refused_without_a_reason(client):
    detail = "Attestation error: RCAR handshake Attest failed"
    refused(client.call("POST", "attest", {}), "AttestationError", detail)
    refused(client.call("POST", "attest", {}, {"Cookie": "kbs-session-id=0123"}), "AttestationError", detail)
    for wrong in (lambda a: a["runtime-data"].update(nonce="AAAA"),
                  lambda a: a["tee-evidence"]["primary_evidence"].update(report_data=base64.b64encode(bytes(48)).decode()),
                  lambda a: a["tee-evidence"].update(primary_evidence="text"),
                  lambda a: a["tee-evidence"].update(additional_evidence={})):
        attestation = client.attestation(client.auth()[1]["nonce"])
        wrong(attestation)
        refused(client.call("POST", "attest", attestation), "AttestationError", detail)
        refused(client.call("GET", "resource/default/key/add"), "TokenNotFound")


@pytest.mark.parametrize("path", ["default/key/none", "default/key", "default/key/a/b", "..%2f/x/y", "a%20b/x/y"])
def test_what_is_not_there_is_a_plugin_error(client, path):
    client.handshake()
    refused(client.call("GET", "resource/" + path), "PluginInternalError", "Plugin internal error")


def test_what_a_real_broker_tolerates_is_tolerated(client):
    for change in (lambda a: a.pop("init-data"), lambda a: a["runtime-data"]["tee-pubkey"].update(use="enc")):
        attestation = json.loads(json.dumps(client.attestation(client.auth()[1]["nonce"])))
        change(attestation)
        assert client.call("POST", "attest", attestation)[0] == 200
    for params in ("", None, {}):
        client.auth({"version": "0.4.0+build", "tee": "sample", "extra-params": params})


def test_a_session_attested_again_keeps_its_token_and_its_cookie_wins(client, resource):
    attestation = client.attestation(client.auth()[1]["nonce"])
    first, again = (json.loads(client.call("POST", "attest", attestation)[2]) for _ in range(2))
    assert first == again
    answer = client.call("GET", "resource/default/key/add", headers={"Authorization": "Bearer x.y.z"})
    assert client.open(answer[2]) == resource


def test_a_body_beyond_the_limit_is_not_read(client):
    assert client.call("POST", "auth", b" " * (3 << 20))[0] == 413


def test_unknown_plugins_and_uploads_without_a_token(client):
    refused(client.call("GET", "nothing/x"), "PluginNotFound", "Plugin nothing not found", 404)
    refused(client.call("POST", "resource/default/key/add", b"x"), "AdminAuthInitialization")


def test_our_client_speaks_as_the_official_one(servers, manager):
    image = servers.push_encrypted(s.GUESTS / "math_reactor.wasm", "kbs:client", "kbs:///default/key/client")
    calls, nonce, cookie = [], base64.b64encode(secrets.token_bytes(32)).decode(), "kbs-session-id=" + secrets.token_hex(16)

    def script(request):
        calls.append((request.path, dict(request.headers), request.body))
        if request.path.endswith("/auth"):
            return request.reply(200, json.dumps({"nonce": nonce, "extra-params": ""}).encode(), {
                "Set-Cookie": cookie + "; Expires=Thu, 01 Jan 1970 00:00:00 GMT"})  # a client with a fast clock
        variant = "AttestationError" if request.path.endswith("/attest") else "TokenNotFound"
        return request.reply(401, json.dumps({"type": ERRORS + variant, "detail": "no"}).encode())

    with Hostile(script) as broker:
        worker = servers.start_worker(PROPLET_TEE="sample", PROPLET_KBS_URI=f"http://127.0.0.1:{broker.port}/")
        task, _ = manager.start(worker, image_url=image, encrypted=True, inputs=["1", "2"])
        assert manager.result(task)[1]["error"].startswith("KBS_ATTESTATION_REJECTED: ")
        assert worker.stop() == 0
    posts = {path: (headers, json.loads(body)) for path, headers, body in calls if body}
    assert set(posts) == {"/kbs/v0/auth", "/kbs/v0/attest"}
    for headers, _ in posts.values():
        assert headers["Content-Type"] == "application/json" and headers["User-Agent"]
    request = posts["/kbs/v0/auth"][1]
    offered = request["extra-params"]["supported-hash-algorithms"]
    assert {**request, "extra-params": None} == {**REQUEST, "extra-params": None}
    assert "sha384" in offered and offered == [name for name in HASHES if name in offered]
    headers, body = posts["/kbs/v0/attest"]
    key = body["runtime-data"]["tee-pubkey"]
    assert headers["Cookie"] == cookie
    assert set(key) == {"kty", "crv", "alg", "x", "y"} and len(unb64url(key["x"])) == len(unb64url(key["y"])) == 32
    assert (key["kty"], key["crv"], key["alg"]) == ("EC", "P-256", "ECDH-ES+A256KW")
    assert body.get("init-data") is None and body["runtime-data"]["nonce"] == nonce
    assert body["tee-evidence"] == {"primary_evidence": {"svn": "1", "report_data": report_data(nonce, key)},
                                    "additional_evidence": ""}
