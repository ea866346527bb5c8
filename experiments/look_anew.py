"""Begin a detection-gain run with the pictures of an earlier one, whose second looks are detected in anew.

    python -m experiments.look_anew RUN NEW
    python -m experiments.detection_gain --resume NEW

What an earlier commit restored is taken over where this one restores the same but for rounding; how long the blur is,
which earlier records lack, is looked at. Pictures that were restored along paths are taken over where their record
says how far the path was believed, and restored anew by the second command elsewhere. A command of this commit alone.
"""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from deblur.cli.options import parse_resumable
from deblur.exposure.paths import felt_path
from experiments.common.cache import Cache, state_of_code
from experiments.gain.arms import build_arms
from experiments.gain.loading import tools_on
from experiments.gain.options import build_parser, settings_of
from experiments.gain.picture_sets import MadeSet
from experiments.gain.plan import plan

if TYPE_CHECKING:
    from experiments.gain.settings import LoadedDeblurrer


def take_over(run: Path, output: Path) -> None:
    """Fill the cache of ``output``, which is made, with what that of ``run`` holds."""
    output.mkdir()
    shutil.copy(run / "config.yaml", output / "config.yaml")
    settings = settings_of(parse_resumable(build_parser(), ["--resume", str(output)]))
    planned = plan(settings, tools_on("cpu", settings.image_size))
    (old,) = (place.parent for place in (run / "cache").glob("*/detections"))
    shutil.copytree(run / "cache", output / "cache", copy_function=os.link, ignore=lambda *_: [old.name])
    was, cache = Cache(run / "cache", old.name), Cache(output / "cache", state_of_code())
    for kind in ("detections", "restoration"):
        shutil.copytree(old / kind, cache.folder / kind, copy_function=os.link)
    arms = build_arms(planned, cache, output / "cache")
    by_arm = {f"{way}:{one.name}": one for one in planned.deblurrers for way in ("deblurred", "sharp-through")}
    specs: dict[str, Any] = {str(spec): spec for spec in settings.blurs}
    for pictures in arms.sets:
        if not isinstance(pictures, MadeSet):
            continue
        deblurrer = by_arm.get(pictures.arm)
        spec: Any = specs.get(pictures.blur)
        taken = 0
        for stem in tqdm(planned.truths.stems, desc=f"{pictures.arm} {pictures.blur}"):
            record = was.get("pictures", pictures._key(stem))
            if record is None or not pictures.path(stem).is_file():
                continue
            if deblurrer is None:
                said: dict[str, Any] | None = {"believed": None, "spread": None}
            elif deblurrer.takes_path and spec is None:
                said = None
            else:
                path_of = partial(felt_path, spec, settings.seed) if deblurrer.takes_path else None
                said = _said(record, deblurrer, pictures, stem, path_of)
            if said is not None:
                cache.put("pictures", pictures._key(stem), record | said)
                taken += 1
        print(pictures.arm, pictures.blur, taken, "taken over", flush=True)


def _said(
    record: dict[str, Any], deblurrer: LoadedDeblurrer, pictures: MadeSet, stem: str, path_of: Any
) -> dict[str, Any] | None:
    restore: Any = deblurrer.restore
    searches = restore.search is not None
    if (path_of is not None or searches) and "believed" not in record:
        return None
    source = pictures._source.pixels(stem)
    path = None if path_of is None else path_of(stem, source.shape[1], source.shape[0])
    return {"believed": record.get("believed"), "spread": restore.spread(source, path)}


if __name__ == "__main__":
    take_over(Path(sys.argv[1]), Path(sys.argv[2]))
