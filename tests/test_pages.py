"""What the pages of docs/ show is run, where a page alone would not tell that it has gone wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parent.parent


def code_of(page: str, heading: str) -> str:
    """The Python blocks below a heading of a page, up to the next heading, joined."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))


def test_annotations_are_restricted_to_the_pictures_of_the_committed_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    official = tmp_path / "coco/annotations/instances_val2017.json"
    official.parent.mkdir(parents=True)
    images = [{"id": number, "file_name": f"{number:012}.jpg"} for number in range(600, 1500)]
    official.write_text(json.dumps({"images": images, "annotations": [{"image_id": 724}, {"image_id": 725}]}))
    exec(code_of("detection-gain.md", "Which pictures of COCO"), {})
    restricted = json.loads((tmp_path / "val2017-280.json").read_text(encoding="utf-8"))
    assert [image["id"] for image in restricted["images"]] == [632, 724]
    assert restricted["annotations"] == [{"image_id": 724}]
