"""Programs in every common language do what they do under the wasmtime command line. tests/guests/README.md tells what."""

import base64
import re

import pytest

import stack as s

LANGUAGES = ["c", "cpp", "go", "rust", "assemblyscript", "text"]

# What a bug looks like from outside differs: an abort is a trap with a name, a Go panic is exit code 2. After it come
# the innermost functions and the end of stderr.
DEATHS = {
    "c": r"GUEST_TRAP: unreachable instruction executed in abort < .*: err$",
    "cpp": r"GUEST_TRAP: unreachable instruction executed in abort < .*: err",
    "go": r"GUEST_EXIT: guest exited with code 2: err.*panic: boom.*main\.main",
    "rust": r"GUEST_TRAP: unreachable instruction executed in .*: err.*panicked at 'boom'",
    "assemblyscript": r"GUEST_EXIT: guest exited with code 255: err.*abort: boom",
    "text": r"GUEST_TRAP: unreachable instruction executed in die < .*: err$",
}

CASES = [
    # inputs, env, result, error
    (["args", "one", "two words", "", "ü=✓", "-x"], {}, "one\ntwo words\n\nü=✓\n-x\n", None),
    (["args"], {}, "", None),
    (["env", "GREETING"], {"GREETING": "good day=now", "OTHER": "x"}, "good day=now\n", None),
    (["env", "GREETING"], {}, "(unset)\n", None),
    (["env", "PATH"], {}, "(unset)\n", None),  # nothing of the worker's own environment
    (["stdin"], {}, "0\n", None),
    ([], {}, "out\n", None),
    (["return"], {}, "out\n", None),
    (["exit", "0"], {}, "out\n", None),
    (["exit", "3"], {}, "", r"GUEST_EXIT: guest exited with code 3: err$"),
    (["exit", "130"], {}, "", r"GUEST_EXIT: guest exited with code 130: err$"),
]


def run(manager, worker, language, inputs, env):
    module = base64.b64encode((s.GUESTS / f"matrix_{language}.wasm").read_bytes()).decode()
    task, _ = manager.start(worker, file=module, name="_start", inputs=inputs, env=env)
    return manager.result(task, 180)[1]  # a Go program is large to compile where others work too


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("inputs, env, result, error", CASES, ids=["-".join(case[0][:2]) or "nothing" for case in CASES])
def test_a_program_behaves_alike_in_every_language(manager, sample_worker, language, inputs, env, result, error):
    answer = run(manager, sample_worker, language, inputs, env)
    assert answer["results"] == result, answer
    if error is None:
        assert answer["error"] is None
    else:
        assert re.match(error, answer["error"]), answer


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_bug_in_a_program_is_told_by_name_with_the_end_of_its_stderr(manager, sample_worker, language):
    answer = run(manager, sample_worker, language, ["die"], {})
    assert answer["results"] == ""
    assert re.match(DEATHS[language], answer["error"]), answer["error"]
    assert "\n" not in answer["error"]
