"""Every relative link in a Markdown file leads to a file that exists, and every heading link to a heading."""

import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(path):
    """The anchors that headings of a Markdown file get on GitHub."""
    headings = re.findall(r"^#+ +(.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


class LinksTest(unittest.TestCase):
    def test_every_relative_link_resolves(self):
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
        pages = [ROOT / name for name in names if name and (ROOT / name).exists()]
        self.assertGreater(len(pages), 5)
        broken = []
        for page in pages:
            prose = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
            for link in LINK.findall(prose):
                if re.match(r"[a-z]+:", link):
                    continue
                name, _, anchor = link.partition("#")
                target = (page.parent / name) if name else page
                if not target.exists():
                    broken.append(f"{page.relative_to(ROOT)}: {link}")
                elif anchor and anchor not in anchors(target):
                    broken.append(f"{page.relative_to(ROOT)}: {link} (no such heading)")
        self.assertEqual(broken, [])


if __name__ == "__main__":
    unittest.main()
