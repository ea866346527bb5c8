"""Blur real photographs, restore them, and detect objects in both: ``python -m pipelines.demo``, or ``make demo``.

The photographs come with packages that the project needs anyway; `PHOTOGRAPHS` names the origin of each.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from deblur.cli import (
    EXIT_DONE,
    Collect,
    add_config_option,
    add_device_option,
    add_seed_option,
    blur_text,
    given_path,
    parse_args,
    positive_int,
    run,
)
from deblur.errors import DeblurError
from deblur.naming import GYROSCOPE
from detection.errors import DetectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from deblur.blur import BlurSpec
    from pipelines.chain import DeblurDetect
    from pipelines.demo_report import Trial

CONFIDENCE = 0.25
NOT_RESTORED = ("blurred", "sharp")  # copies beside those that are called after their deblurrer
BESIDE_COPIES = ("side-by-side", "demo.jpg", "detections.json", "table.txt", "config.yaml", "env.json")
LONGEST_SIDE = 960  # pixels; larger photographs are scaled down, so that two cores need seconds


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph inside an installed package, and where it comes from."""

    name: str
    package: str
    file: str
    origin: str


PHOTOGRAPHS = (
    Photograph("bus", "ultralytics", "assets/bus.jpg", "ultralytics (AGPL-3.0), its example picture"),
    Photograph("zidane", "ultralytics", "assets/zidane.jpg", "ultralytics (AGPL-3.0), its example picture"),
    Photograph("astronaut", "skimage", "data/astronaut.png", "scikit-image; NASA, public domain"),
    Photograph("chelsea", "skimage", "data/chelsea.png", "scikit-image; Stefan van der Walt, CC0"),
    Photograph("coffee", "skimage", "data/coffee.png", "scikit-image; Rachel Michetti, CC0"),
    Photograph(
        "motorcycle",
        "skimage",
        "data/motorcycle_left.png",
        "scikit-image; Middlebury 2014 stereo set, Scharstein et al.",
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo.

    Args:
        argv: arguments without the program's name; those of the process by default.

    Returns:
        Exit code: 0 done, 1 failed, 2 usage (raised by argparse as ``SystemExit``), 130 interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.demo",
        description="Blur real photographs as a shaken camera would, restore them, detect objects in all copies.",
    )
    parser.add_argument(
        "--blur",
        type=blur_text,
        default="shake:16",
        metavar="SPEC",
        help="kind:length, docs/blur.md (default: shake:16)",
    )
    parser.add_argument(
        "--deblurrer",
        nargs="+",
        action=Collect,
        default=["default", "default+gyro"],
        metavar="NAME|FILE|NAME=FILE",
        help="networks that restore; NAME=FILE calls weights of your own NAME; NAME+gyro is told the camera's path "
        "with simulated sensor errors; NAME+search searches for it (default: default default+gyro)",
    )
    parser.add_argument(
        "--detector", default="yolo26n", metavar="NAME|FILE|NAME=FILE", help="YOLO weights (default: yolo26n)"
    )
    parser.add_argument(
        "--output", type=given_path, metavar="DIR", help="a new or empty folder (default: runs/demo[-N])"
    )
    parser.add_argument("--limit", type=positive_int, metavar="N", help="only the first N photographs")
    parser.add_argument("--json", action="store_true", help="print detections.json on stdout, and nothing else there")
    add_device_option(parser)
    add_seed_option(parser)
    add_config_option(parser)
    args = parse_args(parser, argv)
    return run(lambda: demo(args), expected=(DeblurError, DetectionError))


def demo(args: argparse.Namespace) -> int:
    """Do what the options say; see `main`.

    Raises:
        DeblurError: the blur, the deblurrer, the device or the output folder is not there or cannot be used.
        DetectionError: the detector is not there.
    """
    from deblur.blur import parse_blur
    from deblur.blur.motion import check_kernels
    from deblur.deblurrer import load_told
    from deblur.devices import resolve_device
    from deblur.runs import printable, write_atomically, write_json
    from detection.yolo import YoloDetector
    from pipelines.chain import DeblurDetect
    from pipelines.demo_report import report_lines, summarise
    from pipelines.run_folder import check_output, output_folder, record_run

    spec = parse_blur(args.blur)
    check_kernels(spec)
    check_output(args.output)
    device = str(resolve_device(args.device))
    loaded = [load_told(name, device) for name in args.deblurrer]
    names = [deblurrer.name + GYROSCOPE * told for deblurrer, told in loaded]
    _check_names(names)
    detector = YoloDetector(args.detector, device=device, confidence=CONFIDENCE)
    chains = {
        name: (DeblurDetect(deblurrer, detector), told) for name, (deblurrer, told) in zip(names, loaded, strict=True)
    }
    folder = output_folder(args.output, "", "demo")
    record_run(folder, args, device, [deblurrer for deblurrer, _ in loaded], detector)
    detect_only = DeblurDetect(None, detector)
    trials = _try_and_write(
        PHOTOGRAPHS[: args.limit],
        lambda photograph: try_photograph(photograph, spec, args.seed, chains, detect_only),
        folder,
    )
    document = {
        "run": printable(str(folder)),
        "blur": str(spec),
        "seed": args.seed,
        "deblurrers": names,
        "detector": detector.name,
        "confidence": CONFIDENCE,
        **summarise(trials, detector.class_names, CONFIDENCE),
    }
    if args.limit is not None:
        document["limit"] = args.limit
    write_json(folder / "detections.json", document)
    report = "\n".join(report_lines(document))
    write_atomically(folder / "table.txt", f"{report}\n".encode())
    print(json.dumps(document, allow_nan=False) if args.json else report)
    return EXIT_DONE


def _check_names(names: Sequence[str]) -> None:
    """Refuse networks whose copies would be called as one another's, or as what the demo writes beside them."""
    if len({*names, *NOT_RESTORED}) < len(names) + len(NOT_RESTORED):
        copies = ", ".join([*names, *NOT_RESTORED])
        raise DeblurError(f"the copies would be called {copies}: give each network once, or a name, NAME=FILE")
    lost = next((name for name in names if name in BESIDE_COPIES), None)
    if lost is not None:
        raise DeblurError(f"the demo writes a {lost} itself: give the network another name, NAME=FILE")


def _try_and_write(
    photographs: Sequence[Photograph], try_one: Callable[[Photograph], Trial], folder: Path
) -> list[Trial]:
    """Try each photograph and write its copies, side by side too, and then the sheet of all of them."""
    from tqdm import tqdm

    from deblur.pictures import write_picture
    from pipelines.demo_report import sheet

    trials = []
    for photograph in tqdm(photographs, desc="demo", unit=" photographs", file=sys.stderr, dynamic_ncols=True):
        trial = try_one(photograph)
        for copy, picture in trial.pictures.items():
            write_picture(folder / copy / f"{trial.name}.png", picture)
        write_picture(folder / "side-by-side" / f"{trial.name}.jpg", trial.panels())
        trials.append(trial)
    write_picture(folder / "demo.jpg", sheet(trials), quality=90)
    return trials


def read_photograph(photograph: Photograph) -> NDArray[np.uint8]:
    """Read a photograph out of its package, RGB uint8 (H, W, 3), the longer side at most `LONGEST_SIDE`.

    Raises:
        DeblurError: the package is not installed, or this version of it has no such file.
    """
    from deblur.pictures import read_picture, scale_down

    package = find_spec(photograph.package)
    if package is None or package.origin is None:
        raise DeblurError(f"the package {photograph.package} is not installed: pip install -r requirements.txt")
    return scale_down(read_picture(Path(package.origin).parent / photograph.file), LONGEST_SIDE)


def try_photograph(
    photograph: Photograph,
    spec: BlurSpec,
    seed: int,
    chains: Mapping[str, tuple[DeblurDetect, bool]],
    detect_only: DeblurDetect,
) -> Trial:
    """Blur a photograph, restore it by every chain, those that are to be told the camera's path too, and detect."""
    from deblur.blur import synthesize
    from deblur.exposure.paths import felt_path
    from deblur.metrics import psnr_of_values
    from pipelines.demo_report import Trial

    sharp = read_photograph(photograph)
    blurred = synthesize(sharp, spec, seed, photograph.name)
    height, width = sharp.shape[:2]
    path = felt_path(spec, seed, photograph.name, width, height)
    restored = {name: chain(blurred, path if told else None) for name, (chain, told) in chains.items()}
    results = {"blurred": detect_only(blurred), **restored, "sharp": detect_only(sharp)}
    pictures = {copy: result.restored for copy, result in results.items()}
    return Trial(
        name=photograph.name,
        origin=photograph.origin,
        pictures=pictures,
        detections={copy: result.detections for copy, result in results.items()},
        psnr={copy: psnr_of_values(picture, sharp) for copy, picture in pictures.items() if copy != "sharp"},
    )


if __name__ == "__main__":
    sys.exit(main())
