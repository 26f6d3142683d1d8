"""Says at the end of a run, for each statement of statements.py that its tests hold, whether they passed."""

import collections

import pytest
from statements import STATEMENTS

OUTCOMES = collections.defaultdict(list)


def pytest_configure(config):
    config.addinivalue_line("markers", "states(*numbers): the statements of the protocol that a test holds")


def stated(item):
    return [number for mark in item.iter_markers("states") for number in mark.args]


def pytest_collection_modifyitems(items):
    unknown = {number for item in items for number in stated(item)} - set(STATEMENTS)
    assert not unknown, f"no such statements: {unknown}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" or report.failed:
        for number in stated(item):
            OUTCOMES[number].append(report.passed)


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("the protocol's statements")
    for number, words in STATEMENTS.items():
        if passed := OUTCOMES.get(number):
            verdict = "pass" if all(passed) else "FAIL"
            terminalreporter.line(f"{verdict}  {number:6} {words} ({sum(passed)} of {len(passed)} tests)")
