"""Writes and reads the files of a detection-gain run; what they hold is described in `experiments.gain.records`."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deblur.errors import DeblurError
from deblur.runs import write_atomically, write_json, writing_atomically
from detection.scoring import PrecisionRecall
from experiments.common.json_files import decoded, read_json, read_text
from experiments.gain.picture_tables import Boxes, Curve, PictureRow, PictureTruth, Predictions
from experiments.gain.records import FORMAT, TASK, GainRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from experiments.gain.picture_tables import PictureKey


def write_metrics(folder: Path, run: GainRun) -> None:
    """Write ``metrics.json``."""
    write_json(folder / "metrics.json", run.to_json())


def read_metrics(folder: str | Path) -> GainRun:
    """Read ``metrics.json``.

    Raises:
        DeblurError: the folder holds no finished detection-gain run of this format.
    """
    path = Path(folder) / "metrics.json"
    content = read_json(path)
    if content.get("task") != TASK:
        raise DeblurError(f"{path} is not of a detection-gain run; make one with python -m experiments.detection_gain")
    if content.get("format") != FORMAT:
        raise DeblurError(f"{path} has format {content.get('format')}, this program reads {FORMAT}; make the run again")
    return decoded(path, lambda: GainRun.from_json(content))


def write_per_image(folder: Path, rows: Iterable[PictureRow]) -> None:
    """Write ``per_image.csv``; an empty cell stands for None."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [field.name for field in dataclasses.fields(PictureRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(row) for row in rows)
    write_atomically(folder / "per_image.csv", stream.getvalue().encode("utf-8"))


def write_curves(folder: Path, curves: Iterable[Curve]) -> None:
    """Write ``curves.json``."""
    with _writing_document(folder / "curves.json", {}, {}, "curves") as add:
        for curve in curves:
            names = {"detector": curve.detector, "blur": curve.blur, "arm": curve.arm}
            add(names | dataclasses.asdict(curve.values))


def read_curves(folder: str | Path) -> list[Curve]:
    """Read ``curves.json``.

    Raises:
        DeblurError: the file is missing or no such document.
    """
    path = Path(folder) / "curves.json"
    content = read_json(path)
    return decoded(path, lambda: [_curve(entry) for entry in content["curves"]])


@contextlib.contextmanager
def writing_predictions(
    folder: Path, class_names: list[str], truths: Iterable[PictureTruth]
) -> Iterator[Callable[[PictureKey, Boxes], None]]:
    """Write ``predictions.json`` while boxes come, so that those of a large run need not be in memory together.

    The block is given a function that adds the boxes of one picture, in the order of the file. The file appears when
    the block ends, and not at all where it ends by an exception.
    """
    keys = ("detector", "blur", "arm", "picture")
    lists = {"truths": (dataclasses.asdict(truth) for truth in truths)}
    head = {"class_names": class_names}
    with _writing_document(folder / "predictions.json", head, lists, "predictions") as add_entry:

        def add(key: PictureKey, boxes: Boxes) -> None:
            add_entry(dict(zip(keys, key, strict=True)) | dataclasses.asdict(boxes))

        yield add


def read_predictions(folder: str | Path) -> Predictions:
    """Read ``predictions.json``.

    Raises:
        DeblurError: the file is missing or no such document.
    """
    path = Path(folder) / "predictions.json"
    content = read_json(path)
    return decoded(path, lambda: _predictions(content))


def read_restoration(folder: str | Path) -> dict[tuple[str, str, str], dict[str, float | None]]:
    """Read of ``per_image.csv`` how close pictures are to their sharp ones, which is the same whoever detects in them.

    Returns:
        (blur, arm, picture) to ``psnr`` and ``ssim``.

    Raises:
        DeblurError: the file is missing or has other columns.
    """
    path = Path(folder) / "per_image.csv"
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""))

    def number(cell: str) -> float | None:
        return float(cell) if cell else None

    return decoded(
        path,
        lambda: {
            (row["blur"], row["arm"], row["picture"]): {name: number(row[name]) for name in ("psnr", "ssim")}
            for row in rows
        },
    )


def read_environment(folder: str | Path) -> dict[str, Any]:
    """Read ``env.json``.

    Raises:
        DeblurError: the file is missing or no JSON object.
    """
    return read_json(Path(folder) / "env.json")


def _curve(content: dict[str, Any]) -> Curve:
    """A curve of its entry; earlier runs have the precision at IoU .75 there too, which nothing shows."""

    def levels(name: str) -> tuple[float, ...] | None:
        return None if content[name] is None else tuple(content[name])

    values = PrecisionRecall(tuple(content["recall"]), levels("precision"), levels("precision50"))
    return Curve(content["detector"], content["blur"], content["arm"], values)


def _predictions(content: dict[str, Any]) -> Predictions:
    truths = [PictureTruth(**{**truth, "truth": Boxes(**truth["truth"])}) for truth in content["truths"]]
    predicted = {
        (entry["detector"], entry["blur"], entry["arm"], entry["picture"]): Boxes(
            entry["boxes"], entry["classes"], entry["scores"]
        )
        for entry in content["predictions"]
    }
    names = content["class_names"]
    for key, boxes in predicted.items():
        if not all(0 <= number < len(names) for number in boxes.classes):
            raise ValueError(f"a class that is none of the {len(names)}, in {' '.join(filter(None, key))}")
    return Predictions(names, truths, predicted)


def _line(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


@contextlib.contextmanager
def _writing_document(
    path: Path, head: Mapping[str, Any], lists: Mapping[str, Iterable[Any]], last: str
) -> Iterator[Callable[[Any], None]]:
    """Write a JSON object whose long lists have one entry a line: half the size of indented JSON, and still readable.

    The block is given a function that adds an entry to the ``last`` list.
    """
    with writing_atomically(path) as write:

        def begin(key: str) -> Callable[[Any], None]:
            write(f"{json.dumps(key)}: [\n".encode())
            separators = itertools.chain([""], itertools.repeat(",\n"))
            return lambda entry: write(f"{next(separators)}{_line(entry)}".encode())

        write(b"{")
        for key, value in head.items():
            write(f"{json.dumps(key)}: {_line(value)},\n".encode())
        for key, entries in lists.items():
            add = begin(key)
            for entry in entries:
                add(entry)
            write(b"\n],\n")
        yield begin(last)
        write(b"\n]}\n")
