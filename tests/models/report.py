"""Writes docs/models.md from a full comparison with torchvision.

Run from the repository, with torchvision installed:
`pytest -m torchvision --full --junitxml=models.xml tests/models`, then
`python -m tests.models.report models.xml`; parts run one by one can be given together.
"""

from __future__ import annotations

import collections
import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).parents[2]
COLUMNS = [
    "evaluation",
    "training float64",
    "statistics float64",
    "training float32",
    "statistics float32",
]
HEAD = """\
# Models against torchvision

Random weights with randomised scales, biases and running statistics; images of 71x65 pixels
(inception_v3: 299x303). Relative L2 error of the logits in evaluation (float32, against torch's
float32) and after a training forward pass with batches of 4 (against torch's float64; `statistics`:
the worst running mean or variance). float64 shows that the function is the same, float32, for the
smallest of each family, how it rounds: batch norm over few values amplifies rounding, so that a
training pass may exceed 1e-5 where PyTorch's own float32 does. Keys, shapes, parameter counts and
printed trees are equal for every model, and .pt and .safetensors files return from the round trip
bit by bit.

Made by `pytest -m torchvision --full --junitxml=models.xml tests/models` and
`python -m tests.models.report models.xml`; {passed} of {total} tests passed.

| model | parameters | {columns} |
|---|---|{rules}|
"""


def main(*reports: Path) -> None:
    """Writes the table."""
    cases = [case for report in reports for case in ET.parse(report).getroot().iter("testcase")]
    errors: dict[str, dict[str, str]] = collections.defaultdict(dict)
    for case in cases:
        name = re.sub(r".*\[([a-z0-9_]+).*", r"\1", case.get("name", ""))
        for row in case.iter("property"):
            error = float(row.get("value", "nan"))
            errors[name][row.get("name", "")] = f"{error:.0e}" if error else "0"
    failed = [case.get("name") for case in cases if case.find("failure") is not None]
    known = json.loads((ROOT / "tests/golden/models.json").read_text())["models"]
    text = HEAD.format(
        passed=len(cases) - len(failed),
        total=len(cases),
        columns=" | ".join(COLUMNS),
        rules="|".join("---" for _ in COLUMNS),
    )
    for name, golden in known.items():
        cells = [errors[name].get(column, "") for column in COLUMNS]
        text += f"| {name} | {golden['parameters']:,} | {' | '.join(cells)} |\n"
    (ROOT / "docs/models.md").write_text(text)
    print("\n".join(map(str, failed)) or "every test passed")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
