"""The parts of the README that the code itself writes: transcripts and tables.

A block between `<!-- run: COMMAND -->` and `<!-- end -->` holds a command's standard output; one between
`<!-- table: NAME -->` and `<!-- end -->` a table. `python tests/readme.py --write` writes them anew, a test compares.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from dicom2fhir.cli.map import rows
from dicom2fhir.problems import MEANINGS

README = Path(__file__).parent.parent / "README.md"
_SECONDS = re.compile(r"in \d+\.\d s\b")
_BLOCK = re.compile(r"(<!-- (run|table): (.+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def mapping_table() -> str:
    """Every attribute that is read, and where it goes in R4: what `dicom2fhir map` prints, without the rules."""
    places: dict[tuple[str, str], list[str]] = {}
    for row in rows("r4"):
        found = [f"`{place}`" for place in row["element"].split(", ") if place]
        places.setdefault((row["attribute"], row["tag"]), []).extend(found)
    lines = ["| DICOM attribute | tag | R4 |", "|---|---|---|"]
    lines += [f"| {name} | {tag} | {', '.join(found) or '–'} |" for (name, tag), found in places.items()]
    return "\n".join(lines) + "\n"


def code_table() -> str:
    """Every problem code."""
    lines = ["| code | bucket | meaning |", "|---|---|---|"]
    lines += [f"| `{code}` | {m.bucket.value.replace('_', ' ')} | {m.sentence} |" for code, m in MEANINGS.items()]
    return "\n".join(lines) + "\n"


TABLES = {"mapping": mapping_table, "codes": code_table}


def transcript(command: str) -> str:
    """What a command of the README prints, talk included, as a console block."""
    words = shlex.split(command)
    done = subprocess.run(
        [sys.executable, "-m", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=README.parent,
        timeout=60,
    )
    return f"```console\n$ {command}\n{_SECONDS.sub('in 0.9 s', done.stdout)}```\n"


def rewritten(text: str) -> str:
    """The README as the code would write it today."""

    def block(match: re.Match[str]) -> str:
        body = transcript(match[3]) if match[2] == "run" else TABLES[match[3]]()
        return f"{match[1]}{body}{match[5]}"

    return _BLOCK.sub(block, text)


if __name__ == "__main__":
    current = README.read_text(encoding="utf-8")
    wanted = rewritten(current)
    if "--write" in sys.argv:
        README.write_text(wanted, encoding="utf-8")
    sys.exit(0 if current == wanted or "--write" in sys.argv else 1)
