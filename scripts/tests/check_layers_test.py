"""scripts/check-layers accepts a good tree and reports each kind of bad one."""

import pathlib
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).parent.parent / "check-layers"

GOOD = {
    "src/CMakeLists.txt": "foreach(layer base crypto net cli)\nendforeach()\n",
    "src/base/CMakeLists.txt": "proplet_layer(base)\n",
    "src/base/a.h": "#pragma once\n#include <string>\n",
    "src/crypto/CMakeLists.txt": "proplet_layer(crypto USES base LINKS OpenSSL::Crypto)\n",
    "src/crypto/b.h": '#include "base/a.h"\n',
    "src/crypto/b.cc": '#include <openssl/evp.h>\n#include "crypto/b.h"\n',
    "src/net/CMakeLists.txt": "proplet_layer(net\n  USES base crypto\n  LINKS CURL::libcurl)\n",
    "src/net/c.h": '#include "crypto/b.h"\n',
    "src/cli/d.cc": '#include <CLI/App.hpp>\n#include "net/c.h"\n',
    "src/net/c_test.cc": '#include "support/server.h"\n',
    "tests/support/server.h": "#pragma once\n",
    "apps/tool/main.cc": '#include "net/c.h"\n#include "wiring.h"\n',
    "apps/tool/wiring.h": '#include "base/a.h"\n',
}


class CheckLayersTest(unittest.TestCase):
    def run_on(self, changes):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**GOOD, **changes}.items():
                path = pathlib.Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return subprocess.run([SCRIPT, folder], capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def test_accepts_a_good_tree(self):
        result = self.run_on({})
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_reports_each_kind_of_violation(self):
        cases = [
            ("a header above", {"src/base/x.cc": '#include "net/c.h"\n'}, 'src/base/x.cc: "net/c.h" is above base'),
            ("a test that looks up", {"src/crypto/x_test.cc": '#include "net/c.h"\n'}, "is above crypto"),
            ("a header in a sub-folder", {"src/base/in/x.h": '#include "crypto/b.h"\n'}, "src/base/in/x.h"),
            ("a library outside its wall", {"src/net/x.h": "#include <openssl/sha.h>\n"}, "<openssl/sha.h>"),
            ("a library in quotes", {"src/net/x.h": '#include "openssl/sha.h"\n'}, "behind the wall of crypto"),
            ("a library in an app", {"apps/tool/x.cc": "#include <mosquitto.h>\n"}, "behind the wall of propeller"),
            ("spaces in the directive", {"src/base/x.cc": '  #  include  "net/c.h"\n'}, "is above base"),
            ("a relative include", {"src/crypto/x.cc": '#include "b.h"\n'}, "not a header in src/"),
            ("a source file included", {"src/crypto/x.cc": '#include "crypto/b.cc"\n'}, "includes the source file"),
            ("a test helper in a product", {"src/net/x.cc": '#include "support/server.h"\n'}, "not a header in src/"),
            ("a violation beside a main", {"apps/tool/wiring.h": "#include <mosquitto.h>\n"}, "apps/tool/wiring.h"),
            ("a cycle", {"src/base/a.h": '#include "base/z.h"\n', "src/base/z.h": '#include "base/a.h"\n'}, "cycle"),
            ("a target above", {"src/crypto/CMakeLists.txt": "proplet_layer(crypto USES base net)\n"}, "uses net"),
            ("a folder nobody listed", {"src/extra/x.h": "\n"}, "src/extra: not in the list"),
        ]
        for name, changes, expected in cases:
            with self.subTest(name):
                result = self.run_on(changes)
                self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
                self.assertIn(expected, result.stdout)


if __name__ == "__main__":
    unittest.main()
