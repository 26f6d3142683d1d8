"""Every test and file that SPECIFICATION.md names exists."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CPP_TEST = re.compile(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", re.MULTILINE)
PYTHON_TEST = re.compile(r"^def (test_\w+)", re.MULTILINE)


class SpecificationTest(unittest.TestCase):
    def test_every_promise_names_tests_that_exist(self):
        names = set()
        for folder in ("src", "apps", "tests"):
            for path in (ROOT / folder).rglob("*"):
                if path.suffix == ".cc":
                    names.update(".".join(match) for match in CPP_TEST.findall(path.read_text()))
                elif path.suffix == ".py":
                    names.update(PYTHON_TEST.findall(path.read_text()))

        promises = 0
        for line in (ROOT / "SPECIFICATION.md").read_text().splitlines():
            if not line.startswith("| ") or line.startswith(("| promise", "| figure")):
                continue
            cited = re.findall(r"`([^`]+)`", line.rstrip("| ").rsplit("|", 1)[1])
            self.assertTrue(cited, f"nothing holds this promise: {line}")
            for name in cited:
                with self.subTest(name):
                    self.assertTrue(name in names or ("/" in name and (ROOT / name).exists()), "no such test")
            promises += 1
        self.assertGreater(promises, 20)


if __name__ == "__main__":
    unittest.main()
