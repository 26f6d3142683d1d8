"""Nothing secret is left behind: a canary in the key and one in the module are looked for everywhere afterwards."""

import array
import pathlib
import re
import secrets
import subprocess

import stack as s

# A key that is recognisable as bytes, as base64 and as hexadecimal.
CANARY_KEY = b"canary-key-" + secrets.token_hex(10).encode() + b"#"
PAGE = 4096
SHADOW = 1 << 38  # bytes; only the address sanitizer's own book-keeping is a mapping that large
CANARY_TEXT = "canary-module-" + secrets.token_hex(12)


def forms(canary):
    import base64
    return [canary, base64.b64encode(canary)[:-4], base64.urlsafe_b64encode(canary)[:-4], canary.hex().encode()]


def build_guest(folder):
    """A command whose data segment holds the canary, and which proves that it runs without printing it."""
    source = folder / "canary.c"
    source.write_text('#include <stdio.h>\n#include <string.h>\n'
                      f'static const char canary[] = "{CANARY_TEXT}";\n'
                      'int main(int argc, char** argv) { volatile const char* p = canary; int sum = 0;\n'
                      '  while (*p) sum += *p++; printf("%d", sum > 0 && argc == 1); return 0; }\n')
    subprocess.run(["clang", "--target=wasm32-wasi", "-O1", source, "-o", folder / "canary.wasm"], check=True)
    assert CANARY_TEXT.encode() in (folder / "canary.wasm").read_bytes()
    return folder / "canary.wasm"


def present_runs(pid, start, end):
    """The parts of a mapping that are in memory or swapped out, from pagemap (Linux, admin-guide/mm/pagemap)."""
    with open(f"/proc/{pid}/pagemap", "rb", 0) as pagemap:
        pagemap.seek(start // PAGE * 8)
        run = None
        while start < end:
            entries = array.array("Q", pagemap.read(min(end - start, 4096 * PAGE) // PAGE * 8))
            for entry in entries:
                if entry >> 62 and run is None:
                    run = start
                elif not entry >> 62 and run is not None:
                    yield run, start
                    run = None
                start += PAGE
            if not entries:
                break
        if run is not None:
            yield run, start


def memory_of(pid):
    """Every byte of a process that is anywhere but in a program's file."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            # Not even the kernel can read secretmem; that it is wiped is tested in src/base/secret_arena_test.cc.
            if not match or "[v" in line or "/secretmem" in line:
                continue
            start, end = (int(part, 16) for part in match.groups())
            if end - start > SHADOW:
                continue
            for first, last in present_runs(pid, start, end):
                memory.seek(first)
                yield memory.read(last - first)


def assert_absent(content, where):
    for canary in forms(CANARY_KEY) + forms(CANARY_TEXT.encode()):
        assert canary not in content, f"{where} holds a secret"


def test_no_secret_reaches_a_file_a_log_or_stays_in_memory(servers, manager, tmp_path):
    state, temporary = tmp_path / "state", tmp_path / "tmp"
    state.mkdir(mode=0o700)
    temporary.mkdir()
    (tmp_path / "kek").write_bytes(CANARY_KEY)
    assert len(CANARY_KEY) == 32
    guest = build_guest(tmp_path)
    servers.propctl("image", "encrypt", guest, "--to", servers.image("attack:canary"), "--key", tmp_path / "kek",
                    "--key-id", "kbs:///default/key/canary", "--kbs", servers.kbs_url, "--kbs-admin-key",
                    servers.folder / "kbs" / "admin.key")
    worker = servers.start_worker(PROPLET_TEE="sample", PROPLET_LOG_LEVEL="trace", TMPDIR=temporary,
                                  PROPLET_LAYER_STORE_PATH=state)
    for _ in range(3):
        task, _ = manager.start(worker, name="_start", image_url=servers.image("attack:canary"), encrypted=True)
        assert manager.result(task)[1]["results"] == "1"
    # The same with a key that does not fit, so that the error paths are seen too.
    (tmp_path / "other").write_bytes(CANARY_KEY[::-1])
    servers.propctl("kbs", "put-resource", "default/key/canary", tmp_path / "other", "--kbs", servers.kbs_url,
                    "--kbs-admin-key", servers.folder / "kbs" / "admin.key")
    task, _ = manager.start(worker, name="_start", image_url=servers.image("attack:canary"), encrypted=True)
    assert manager.result(task)[1]["error"].startswith("UNWRAP_FAILED")

    s.wait_until(lambda: "task failed" in worker.log_text(), what="the log line")
    assert_absent(worker.log.read_bytes(), "the log")
    assert any(state.iterdir()), "the layer store was not used"
    for folder in (state, temporary):
        for file in folder.rglob("*"):
            if file.is_file():
                assert_absent(file.read_bytes(), file)
    carry = b""
    scanned = 0
    for chunk in memory_of(worker.process.pid):
        assert_absent(carry + chunk, "the worker's memory")
        carry = chunk[-256:]
        scanned += len(chunk)
    assert scanned > 1 << 20, "the scan did not see the process"
    assert worker.stop() == 0


def test_the_scan_would_find_a_canary(tmp_path):
    """The test above can fail: a process that holds the text is caught."""
    program = f"import sys; canary = {CANARY_TEXT!r}; print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen(["python3", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        assert any(CANARY_TEXT.encode() in chunk for chunk in memory_of(holder.pid))
        holder.stdin.close()


def test_the_worker_can_neither_be_dumped_nor_read_by_its_own_user(sample_worker):
    limits = pathlib.Path(f"/proc/{sample_worker.process.pid}/limits").read_text()
    assert re.search(r"Max core file size\s+0\s+0", limits)
    # A process that is not dumpable belongs to root in /proc, whoever runs it.
    assert pathlib.Path(f"/proc/{sample_worker.process.pid}/mem").stat().st_uid == 0
