"""Links or copies of the pictures in DEST, and the manifest that says what they are.

Files already there are compared, never replaced. The manifest is written last: while pictures are being placed a marker
file stands in for it, or beside an earlier one, so an interrupted run is known as such and completed by the next one.
"""

from __future__ import annotations

import json
import os
import reprlib
import shutil
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from deblur.equal_files import sha256_of
from deblur.errors import DeblurError
from deblur.runs import make_folder, refuse_unwritable, to_utf8, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deblur.prepare.checks import Checked
    from deblur.prepare.layouts import Pair

MANIFEST = "manifest.json"
MARKER = ".preparing.json"
_BRIEF = reprlib.Repr()
_BRIEF.maxlist, _BRIEF.maxstring = 3, 160


def picture_record(pair: Pair, checked: Checked, source: Path, blur: str | None) -> dict[str, Any]:
    """The manifest's entry of one pair."""

    def file_record(kind: str, file: Path, sha256: str | None) -> dict[str, Any]:
        return {
            "file": f"{pair.split}/{kind}/{pair.name}{file.suffix}",
            "sha256": sha256,
            "source": file.relative_to(source).as_posix(),
        }

    return {
        "name": pair.name,
        "split": pair.split,
        "scene": pair.scene,
        "width": checked.width,
        "height": checked.height,
        "blur": blur,
        "psnr": checked.psnr,
        "shift": checked.shift and list(checked.shift),
        "blurred": None if pair.blurred is None else file_record("blur", pair.blurred, checked.blurred_sha256),
        "sharp": file_record("sharp", pair.sharp, checked.sharp_sha256),
    }


def refuse_foreign(dest: Path, settings: Mapping[str, Any]) -> None:
    """See that DEST is new, empty, or was begun with the same settings, and can be written to; nothing is written.

    Raises:
        DeblurError: DEST holds something else, or a data set prepared with other settings, or is not the user's.
    """
    for name in (MANIFEST, MARKER):
        if (dest / name).is_file():
            _compare_settings(dest / name, settings)
            return
    refuse_unwritable(dest, str(dest), "choose another DEST")
    if dest.exists() and any(dest.iterdir()):
        raise DeblurError(f"{dest} holds something else already; choose a new or an empty folder")


def place(dest: Path, manifest: Mapping[str, Any], source: Path) -> int:
    """Put every file of the manifest into DEST, then write the manifest.

    Returns:
        How many files were new.

    Raises:
        DeblurError: DEST holds another file under a picture's name, or pictures that the manifest does not know, or a
            link or copy cannot be made.
    """
    link = manifest["settings"]["link"]
    files = [record[side] for record in manifest["pictures"] for side in ("blurred", "sharp") if record[side]]
    _refuse_strangers(dest, {file["file"] for file in files})
    if not (dest / MANIFEST).is_file() or not all(os.path.lexists(dest / file["file"]) for file in files):
        make_folder(dest, "choose another DEST")
        write_atomically(dest / MARKER, _json({"settings": manifest["settings"]}))
    made = 0
    for file in tqdm(files, desc="placing", unit="file", leave=False):
        made += _place_file(source / file["source"], dest / file["file"], file["sha256"], link)
    content = _json(manifest)
    if not (dest / MANIFEST).is_file() or (dest / MANIFEST).read_bytes() != content:
        write_atomically(dest / MANIFEST, content)
    (dest / MARKER).unlink(missing_ok=True)
    return made


def _compare_settings(path: Path, settings: Mapping[str, Any]) -> None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        before = {"split": settings.get("split"), **content["settings"]}  # earlier manifests do not tell the split
        keys = sorted(key for key in {*before, *settings} if before.get(key) != settings.get(key))
        changed = [_difference(key, before.get(key), settings.get(key)) for key in keys]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DeblurError(f"{path} is not a manifest of this program; choose a new or an empty folder") from None
    if changed:
        raise DeblurError(f"{path.parent} was prepared with {', and '.join(changed)}; choose another DEST")


def _difference(key: str, before: object, now: object) -> str:
    """One setting that differs, for a message: there may be hundreds of scenes, and only those of one side are told."""
    if isinstance(before, list) and isinstance(now, list):
        return f"other {key}, differing in {_BRIEF.repr(sorted({*before} ^ {*now}))}"
    return f"{key} {_BRIEF.repr(before)}, not {_BRIEF.repr(now)}"


def _refuse_strangers(dest: Path, expected: set[str]) -> None:
    """Pictures in DEST that are not of this data set would be trained on unnoticed; hidden files nobody reads."""
    for split in ("train", "val", "test"):
        for path in sorted((dest / split).rglob("*")):
            place = path.relative_to(dest)
            is_ours = place.as_posix() in expected or place.suffix == ".part"
            if not (is_ours or path.is_dir() or any(part.startswith(".") for part in place.parts)):
                raise DeblurError(
                    f"{path} is no picture of this data set as it is now in SOURCE; remove it or choose another DEST"
                )


def _place_file(source: Path, target: Path, sha256: str, link: str) -> bool:
    if os.path.lexists(target):
        same = {
            "symlink": lambda: target.is_symlink() and target.readlink() == source,
            "hard": lambda: not target.is_symlink() and target.samefile(source),
            "copy": lambda: not target.is_symlink() and sha256_of(target) == sha256,
        }[link]()
        if not same:
            raise DeblurError(f"{target} is not the {link} of {source} it should be; remove it or choose another DEST")
        return False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if link == "symlink":
            target.symlink_to(source)
        elif link == "hard":
            os.link(source.resolve(), target)
        else:
            part = target.with_name(f".{os.getpid()}.part")  # a name may be as long as a name can be
            shutil.copy2(source, part)
            part.replace(target)
    except OSError as error:
        hint = "; try --link copy" if link != "copy" else ""
        raise DeblurError(f"cannot make {target} as a {link} of {source}: {error.strerror}{hint}") from error
    return True


def _json(content: Mapping[str, Any]) -> bytes:
    return to_utf8(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
