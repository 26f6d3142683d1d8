"""Which function of a module runs, how its arguments are read, and how results are printed, to the byte."""

import base64

import pytest

import stack as s


def run(manager, worker, guest, **fields):
    content = base64.b64encode((s.GUESTS / guest).read_bytes()).decode()
    task, _ = manager.start(worker, file=content, **fields)
    return manager.result(task)[1]


@pytest.mark.parametrize("function, argument, text", [
    ("i32", "2147483647", "2147483647"), ("i32", "-2147483648", "-2147483648"), ("i32", "-1", "-1"),
    ("i32", "+7", "7"), ("i32", "0", "0"), ("i64", "-9223372036854775808", "-9223372036854775808"),
    ("i64", "9223372036854775807", "9223372036854775807"), ("f64", "1.0", "1"), ("f64", "1e21", "1000000000000000000000"),
    ("f64", "0.1", "0.1"), ("f64", "1e-7", "0.0000001"), ("f64", "nan", "NaN"), ("f64", "inf", "inf"),
    ("f64", "-inf", "-inf"), ("f64", "-0", "-0"), ("f64", "123456789.125", "123456789.125"), ("f32", "0.1", "0.1"),
    ("f32", "16777216", "16777216"), ("f32", "nan", "NaN"), ("f32", "-inf", "-inf"), ("f32", "1e10", "10000000000"),
    ("f64", "5e-324", "0." + "0" * 323 + "5"), ("f32", "3.4028235e38", "340282350000000000000000000000000000000")])
def test_numbers_are_printed_as_ever(manager, sample_worker, function, argument, text):
    result = run(manager, sample_worker, "numbers.wasm", name=function, inputs=[argument])
    assert (result["results"], result["error"]) == (text, None)


@pytest.mark.parametrize("function, argument", [
    ("i32", ""), ("i32", " 1"), ("i32", "1 "), ("i32", "0x10"), ("i32", "1.0"), ("i32", "one"), ("i32", "99999999999"),
    ("i64", "1e3"), ("f64", ""), ("f64", " 1"), ("f64", "1 "), ("f64", "one"), ("f64", "1,5"),
    ("takes_reference", "1")])
def test_other_arguments_are_refused(manager, sample_worker, function, argument):
    result = run(manager, sample_worker, "numbers.wasm", name=function, inputs=[argument])
    assert result["results"] == "" and result["error"].startswith("ARGUMENT_MISMATCH: "), result


@pytest.mark.parametrize("function, text", [("two", "1"), ("nothing", ""), ("vector", ""), ("reference", "")])
def test_only_the_first_result_counts_and_only_numbers_have_a_text(manager, sample_worker, function, text):
    result = run(manager, sample_worker, "numbers.wasm", name=function)
    assert (result["results"], result["error"]) == (text, None)


def test_unsigned_results_are_printed_signed(manager, sample_worker):
    result = run(manager, sample_worker, "math_reactor.wasm", name="add", inputs=["2147483647", "2147483647"])
    assert result["results"] == "-2"  # 4294967294 to the guest's author


@pytest.mark.parametrize("inputs", [[], ["1"], ["1", "2", "3"]], ids=len)
def test_a_wrong_argument_count_is_told_in_the_known_words(manager, sample_worker, inputs):
    result = run(manager, sample_worker, "math_reactor.wasm", name="add", inputs=inputs)
    assert (f"Argument count mismatch for function 'add': expected 2 arguments but got {len(inputs)}"
            in result["error"])


def test_the_initializer_runs_once_before_the_function(manager, sample_worker):
    for _ in range(2):  # and in a fresh instance each time
        assert run(manager, sample_worker, "math_reactor.wasm", name="initialized")["results"] == "1"


@pytest.mark.parametrize("name, text", [("other", "3"), ("run", "2"), ("hello world", "1"), ("_start", "1"),
                                        ("fl-round-r1-p1", "1")])
def test_a_name_that_is_no_export_falls_back_to_main(manager, sample_worker, name, text):
    assert run(manager, sample_worker, "entries.wasm", name=name)["results"] == text


def test_the_last_fallback_is_the_command(manager, sample_worker):
    result = run(manager, sample_worker, "hello.wasm", name="display name")
    assert result["error"] is None and "argument 0" in result["results"]


def test_invoke_among_the_runtime_flags_names_the_function(manager, sample_worker):
    result = run(manager, sample_worker, "entries.wasm", name="main", cli_args=["--invoke", "other"])
    assert (result["results"], result["error"]) == ("3", None)


def test_a_command_has_its_environment_and_the_workers_id_and_nothing_else(manager, sample_worker):
    result = run(manager, sample_worker, "environment.wasm", name="_start", env={"A": "b=c", "EMPTY": ""})
    assert sorted(result["results"].splitlines()) == ["A=b=c", "EMPTY=", f"PROPLET_ID={sample_worker.entity}"]
    result = run(manager, sample_worker, "environment.wasm", name="_start", env={"PROPLET_ID": "mine"})
    assert result["results"].splitlines() == ["PROPLET_ID=mine"]


def test_a_commands_output_is_its_result_and_its_input_is_empty(manager, sample_worker):
    result = run(manager, sample_worker, "hello.wasm", name="_start", inputs=["one", "two words"],
                 env={"GREETING": "good day"})
    assert result["error"] is None
    assert "argument 1: one\nargument 2: two words\ngreeting: good day\n" in result["results"]
    assert run(manager, sample_worker, "stdin.wasm", name="_start")["results"] == "0"


def test_exit_codes_mean_what_they_say(manager, sample_worker):
    result = run(manager, sample_worker, "exit.wasm", name="_start", inputs=["0"])
    assert result["error"] is None and result["results"].startswith("some output\n")
    result = run(manager, sample_worker, "exit.wasm", name="_start", inputs=["3"])
    assert result["error"].startswith("GUEST_EXIT: ") and "3" in result["error"]
    assert "reason of the exit" in result["error"]
