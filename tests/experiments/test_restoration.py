"""The scoring command: its figures against independent ones, its files, and what it says to mistakes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from skimage.data import astronaut, coffee
from skimage.metrics import peak_signal_noise_ratio

from deblur import Deblurrer
from deblur.blur import parse_blur, synthesize, synthesize_with_motion
from deblur.deblurrer import MAX_PIXELS
from deblur.exposure.path_files import read_path
from deblur.exposure.paths import felt_path
from deblur.networks import MSTSGMConfig, build
from deblur.path_search import PathSearch
from deblur.pictures import read_picture, write_picture
from deblur.released import save_released
from detection.bootstrap import FEWEST_UNITS, interval
from experiments.restoration import main
from experiments.restoring import pairs as restoring_pairs
from experiments.restoring.differences import differences
from experiments.restoring.methods import NetworkMethod, Output
from experiments.restoring.scores import score_picture, summarize

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from deblur.blur import Motion

TINY = MSTSGMConfig(widths=(8, 8, 8), encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1), frames=2)


def noisy(picture: NDArray[np.uint8], amount: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(amount).integers(-amount, amount + 1, picture.shape)
    return np.clip(picture.astype(int) + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four pairs of two sizes in ``blur`` and ``sharp``, and ``other``, restored a little."""
    root = tmp_path / "data" / "test"
    photographs = {
        "walk/b": astronaut()[:64, 100:180],
        "walk/a": astronaut()[100:164, 100:180],
        "c": coffee()[100:164, 200:280],
        "d": coffee()[40:100, 40:92],
    }
    for number, (key, sharp) in enumerate(photographs.items()):
        write_picture(root / "sharp" / f"{key}.png", sharp)
        write_picture(root / "blur" / f"{key}.png", noisy(sharp, 30 + 5 * number))
        write_picture(root / "other" / f"{key}.png", noisy(sharp, 10 + 5 * number))
    return root


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return save_released(tmp_path / "weights", "tiny", build(TINY).eval(), TINY, {})


def run(data: Path, *arguments: str) -> int:
    folders = ["--blurred", str(data / "blur"), "--sharp", str(data / "sharp")]
    return main([*folders, "--output", str(data.parent.parent / "run"), "--device", "cpu", "--json", *arguments])


def ssim_of_the_paper(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Wang et al. 2004, by colour: Gaussian windows of 11x11 pixels, only where they lie within the picture."""
    line = torch.exp(-(torch.arange(-5.0, 6, dtype=torch.float64) ** 2) / (2 * 1.5**2))
    window = torch.outer(line, line)[None, None] / line.sum() ** 2
    x, y = (torch.from_numpy(each).permute(2, 0, 1)[:, None].double() for each in (a, b))
    mean_x, mean_y, of_xx, of_yy, of_xy = (F.conv2d(each, window) for each in (x, y, x * x, y * y, x * y))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    likeness = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * (of_xy - mean_x * mean_y) + c2) / (of_xx - mean_x**2 + of_yy - mean_y**2 + c2)
    return (likeness * structure).mean().item()


def test_figures_agree_with_independent_ones(
    data: Path, weights: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(data, "--deblurrer", str(weights), "--restored", f"other={data / 'other'}") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["n"] == 4
    assert result["limit"] is None
    deblurrer = Deblurrer.load(weights, device="cpu")
    keys = ["c", "d", "walk/a", "walk/b"]
    sharp = {key: read_picture(data / "sharp" / f"{key}.png") for key in keys}
    blurred = {key: read_picture(data / "blur" / f"{key}.png") for key in keys}
    arms = {
        "input": blurred,
        "other": {key: read_picture(data / "other" / f"{key}.png") for key in keys},
        "tiny": {key: deblurrer(blurred[key]) for key in keys},
    }
    for name, pictures in arms.items():
        found = result["input"] if name == "input" else result["methods"][name]
        psnr = np.mean([peak_signal_noise_ratio(sharp[key], pictures[key], data_range=255) for key in keys])
        assert found["psnr"] == pytest.approx(psnr, abs=1e-9)
        assert found["ssim"] == pytest.approx(np.mean([ssim_of_the_paper(sharp[key], pictures[key]) for key in keys]))
        assert found["n_exact"] == 0
    floats = []
    with torch.inference_mode():
        for key in keys:
            x = torch.from_numpy(blurred[key]).permute(2, 0, 1)[None].float() / 255
            y = build_like(weights)(x).picture.clamp(0, 1)[0].permute(1, 2, 0).double().numpy()
            floats.append(-10 * np.log10(np.mean((y - sharp[key].astype(np.float64) / 255) ** 2)))
    assert result["methods"]["tiny"]["psnr_float"] == pytest.approx(np.mean(floats), abs=1e-3)
    assert result["methods"]["other"]["psnr_float"] is None
    assert result["methods"]["other"]["ms_per_picture"] is None
    assert result["methods"]["tiny"]["ms_per_picture"] > 0
    assert "psnr" in result["protocol"]
    assert json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8")) == result


def build_like(weights: Path) -> torch.nn.Module:
    from deblur.released import load_released

    return load_released(weights)[0].eval()


def test_the_run_folder_holds_rows_pictures_and_settings(data: Path, weights: Path, tmp_path: Path) -> None:
    assert run(data, "--deblurrer", str(weights), "--examples", "1", "--save-restored") == 0
    folder = tmp_path / "run"
    rows = pd.read_csv(folder / "per_image.csv")
    assert sorted(rows["method"].unique()) == ["input", "tiny"]
    assert rows["picture"].tolist() == ["c", "c", "d", "d", "walk/a", "walk/a", "walk/b", "walk/b"]
    assert len(rows.dropna(subset=["milliseconds"])) == 2  # two sizes: the first of each is warm-up
    tiny = rows[rows["method"] == "tiny"].set_index("picture")
    gains = tiny["psnr"] - rows[rows["method"] == "input"].set_index("picture")["psnr"]
    np.testing.assert_allclose(tiny["psnr_gain"], gains)
    order = gains.sort_values().index.str.replace("/", "_").tolist()
    names = sorted(path.name for path in (folder / "examples" / "tiny").iterdir())
    best = [f"best-1-{order[-1]}.png"] if gains.max() > 0 else []
    assert names == [*best, f"worst-1-{order[0]}.png"]
    panels = read_picture(folder / "examples" / "tiny" / names[0])
    assert panels.shape[1] >= 3 * 52
    restored = read_picture(folder / "restored" / "tiny" / "walk" / "a.png")
    expected = Deblurrer.load(weights, device="cpu")(read_picture(data / "blur" / "walk" / "a.png"))
    assert np.array_equal(restored, expected)
    for name in ("config.yaml", "env.json", "log.txt", "table.txt"):
        assert (folder / name).stat().st_size > 0


def test_sharp_against_itself_is_exact_and_never_averaged(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, "--restored", f"itself={data / 'sharp'}", "--align") == 0
    text = capsys.readouterr().out
    result = json.loads(text)
    assert (result["n_exact"], result["n_psnr"]) == ({"input": 0, "itself": 4}, 0)
    itself = result["methods"]["itself"]
    assert (itself["psnr"], itself["n_exact"]) == (None, 4)
    assert itself["ssim"] == pytest.approx(1)
    assert "Infinity" not in text
    assert "NaN" not in text


def test_rows_are_averaged_over_the_same_pictures(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "other" / "c.png").write_bytes((data / "sharp" / "c.png").read_bytes())
    (data / "blur" / "d.png").write_bytes((data / "sharp" / "d.png").read_bytes())
    assert run(data, "--restored", f"other={data / 'other'}", f"same={data / 'blur'}") == 0
    result = json.loads(capsys.readouterr().out)
    shared = ("walk/a", "walk/b")

    def mean(folder: str) -> float:
        pairs = [[read_picture(data / each / f"{key}.png") for each in ("sharp", folder)] for key in shared]
        return float(np.mean([peak_signal_noise_ratio(*pair, data_range=255) for pair in pairs]))

    assert (result["n"], result["n_psnr"]) == (4, 2)
    assert result["n_exact"] == {"input": 1, "other": 1, "same": 1}
    assert result["input"]["psnr"] == pytest.approx(mean("blur"))
    other, same = result["methods"]["other"], result["methods"]["same"]
    assert other["psnr"] == pytest.approx(mean("other"))
    assert other["psnr_gain"] == pytest.approx(mean("other") - mean("blur"))
    assert other["ssim_gain"] == pytest.approx(other["ssim"] - result["input"]["ssim"])  # of all four: 1 is a score
    assert (same["psnr_gain"], same["ssim_gain"]) == (0, 0)
    gained, _, over_other = result["differences"]["psnr"]
    assert gained["mean"] == pytest.approx(other["psnr_gain"])
    assert (over_other["method"], over_other["over"], over_other["better"]) == ("same", "other", 0)
    table = (data.parent.parent / "run" / "table.txt").read_text(encoding="utf-8").splitlines()
    assert table[0] == "4 pictures; PSNR over the 2 of 1 scene (too few for intervals) that no row has exactly"
    assert result["protocol"]["differences"]["n_units"] == 1
    drawn = {score: {each["n_units"] for each in rows} for score, rows in result["differences"].items()}
    assert drawn == {"psnr": {1}, "ssim": {3}}
    assert f"{other['psnr_gain']:+.3f}" in table[3]
    assert table[7].split()[:3] == ["other", "input", f"{other['psnr_gain']:.3f}"]


def test_no_picture_is_restored_twice(data: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search for the path takes minutes: what is shown was kept."""
    restored = []
    restore = NetworkMethod.restore

    def counted(self: NetworkMethod, key: str, blurred: NDArray[np.uint8]) -> Output:
        restored.append(key)
        return restore(self, key, blurred)

    monkeypatch.setattr(NetworkMethod, "restore", counted)
    assert run(data, "--deblurrer", str(weights), "--examples", "2") == 0
    assert restored == ["c", "d", "walk/a", "walk/b"]


@pytest.mark.parametrize("saving", [[], ["--save-restored"]])
def test_a_stopped_run_goes_on_where_it_was(
    data: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    saving: list[str],
) -> None:  # fmt: skip
    restored: list[str] = []
    restore, stop_before = NetworkMethod.restore, ["walk/a"]

    def stopped(self: NetworkMethod, key: str, blurred: NDArray[np.uint8]) -> Output:
        if key in stop_before:
            raise KeyboardInterrupt
        restored.append(key)
        return restore(self, key, blurred)

    monkeypatch.setattr(NetworkMethod, "restore", stopped)
    given = ["--deblurrer", str(weights), "--restored", f"other={data / 'other'}", "--examples", "1", *saving]
    assert run(data, *given) == 130
    assert restored == ["c", "d"]
    assert not (tmp_path / "run" / "metrics.json").exists()
    stop_before.clear()
    restored.clear()
    capsys.readouterr()
    write_picture(tmp_path / "run/examples/tiny/worst-1-before.png", np.zeros((4, 4, 3), np.uint8))
    goes_on = ["--resume", str(tmp_path / "run")]
    with pytest.raises(SystemExit, match="2"):
        main([*goes_on, "--output", str(tmp_path / "other")])
    assert "--resume and --output both name the run's folder: give one" in capsys.readouterr().err
    assert main([*goes_on, "--json"]) == 0
    # What is shown of those before is made again, where it was not saved.
    assert restored[:2] == ["walk/a", "walk/b"]
    assert set(restored[2:]) <= (set() if saving else {"c", "d"})
    resumed = json.loads(capsys.readouterr().out)
    assert len(json.loads((tmp_path / "run" / "env.json").read_text())["earlier"]) == 1
    whole = tmp_path / "whole"
    folders = ["--blurred", str(data / "blur"), "--sharp", str(data / "sharp"), "--output", str(whole)]
    assert main([*folders, *given, "--device", "cpu", "--json"]) == 0
    once = json.loads(capsys.readouterr().out)
    for result in (resumed, once):
        del result["run"], result["methods"]["tiny"]["ms_per_picture"]
    assert resumed == once
    rows, others = (pd.read_csv(folder / "per_image.csv") for folder in (tmp_path / "run", whole))
    pd.testing.assert_frame_equal(rows.drop(columns="milliseconds"), others.drop(columns="milliseconds"))
    for kind in ("examples", "restored"):
        files = [sorted((folder / kind).rglob("*.png")) for folder in (tmp_path / "run", whole)]
        assert [file.name for file in files[0]] == [file.name for file in files[1]]
        assert all(one.read_bytes() == other.read_bytes() for one, other in zip(*files, strict=True))
    # What has changed since is restored again; other options are another run's.
    write_picture(data / "blur" / "d.png", noisy(read_picture(data / "sharp" / "d.png"), 3))
    restored.clear()
    assert main(goes_on) == 0
    assert restored[0] == "d"
    assert main([*goes_on, "--align"]) == 1
    assert "other options (--align)" in capsys.readouterr().err
    assert main([*goes_on, "--device", "auto"]) == 0


def test_a_time_is_of_the_hardware_of_the_last_sitting(
    data: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def milliseconds() -> float | None:
        return json.loads(capsys.readouterr().out)["methods"]["tiny"]["ms_per_picture"]

    assert run(data, "--deblurrer", str(weights)) == 0
    first = milliseconds()
    assert first is not None
    goes_on = ["--resume", str(tmp_path / "run"), "--json"]
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("experiments.restoring.pairs.hardware", lambda device: "cuda NVIDIA H200")
        assert main(goes_on) == 0
        assert milliseconds() is None
    assert main(goes_on) == 0
    assert milliseconds() == first


@pytest.mark.parametrize(
    ("changed", "anew"),
    [
        ("nothing", []),
        ("a sharp picture", ["d"]),
        ("a picture that was saved", ["d"]),
        ("the code that restores", ["c", "d", "walk/a", "walk/b"]),
        ("the code that scores", ["c", "d", "walk/a", "walk/b"]),
    ],
)
def test_what_has_changed_since_is_restored_again(
    data: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, anew: list[str]
) -> None:
    restored: list[str] = []
    restore = NetworkMethod.restore

    def counted(self: NetworkMethod, key: str, blurred: NDArray[np.uint8]) -> Output:
        restored.append(key)
        return restore(self, key, blurred)

    monkeypatch.setattr(NetworkMethod, "restore", counted)
    code = tmp_path / "code"
    code.mkdir()
    for name in restoring_pairs._SCORING:
        (code / name).write_text("# one way to score")
    monkeypatch.setattr(restoring_pairs, "__file__", str(code / "pairs.py"))
    assert run(data, "--deblurrer", str(weights), "--save-restored") == 0
    restored.clear()
    if changed == "a sharp picture":
        write_picture(data / "sharp" / "d.png", noisy(read_picture(data / "sharp" / "d.png"), 3))
    elif changed == "a picture that was saved":
        (tmp_path / "run" / "restored" / "tiny" / "d.png").unlink()
    elif changed == "the code that restores":
        monkeypatch.setattr(restoring_pairs, "state_of_code", lambda: "another")
    elif changed == "the code that scores":
        (code / "scores.py").write_text("# another way")
    assert main(["--resume", str(tmp_path / "run")]) == 0
    assert restored == anew


def test_saved_pictures_are_of_the_weights_that_are_scored(data: Path, weights: Path, tmp_path: Path) -> None:
    files = [weights, weights.with_suffix(".json")]
    first = [file.read_bytes() for file in files]
    goes_on = ["--resume", str(tmp_path / "run")]

    def saved() -> list[bytes]:
        return [file.read_bytes() for file in sorted((tmp_path / "run" / "restored").rglob("*.png"))]

    assert run(data, "--deblurrer", str(weights), "--save-restored") == 0
    of_first = saved()
    torch.manual_seed(1)
    save_released(tmp_path / "weights", "tiny", build(TINY).eval(), TINY, {})
    assert main(goes_on) == 0
    assert saved() != of_first
    for file, content in zip(files, first, strict=True):
        file.write_bytes(content)
    assert main(goes_on) == 0
    assert saved() == of_first


def test_one_picture_under_two_keys_is_restored_along_the_path_of_each(tmp_path: Path, data: Path) -> None:
    for kind in ("blur", "sharp"):
        for file in (data / kind).rglob("*.png"):
            if file.name != "c.png":
                file.unlink()
        (data / kind / "e.png").write_bytes((data / kind / "c.png").read_bytes())
    for key, shift in (("c", 3), ("e", 9)):
        record = tmp_path / "gyro" / f"{key}.csv"
        record.parent.mkdir(exist_ok=True)
        record.write_text(f"t,x,y\n0,0,0\n1,{shift},0\n")
    assert run(data, "--deblurrer", "mstsgm-guided+gyro", "--motion", str(tmp_path / "gyro")) == 0
    scores = pd.read_csv(tmp_path / "run" / "per_image.csv").set_index(["method", "picture"])["psnr"]
    assert scores["input", "c"] == scores["input", "e"]
    assert scores["mstsgm-guided+gyro", "c"] != scores["mstsgm-guided+gyro", "e"]


def test_an_example_is_blurred_restored_and_sharp(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[tuple[str, NDArray[np.uint8]]]] = []

    def beside(panels: list[tuple[str, NDArray[np.uint8]]]) -> NDArray[np.uint8]:
        drawn.append(panels)
        return panels[0][1]

    monkeypatch.setattr("detection.drawing.side_by_side", beside)
    assert run(data, "--restored", f"other={data / 'other'}", "--limit", "1", "--examples", "1") == 0
    (panels,) = drawn
    assert [words.split()[0] for words, _ in panels] == ["blurred", "other", "sharp"]
    for (_, picture), folder in zip(panels, ("blur", "other", "sharp"), strict=True):
        np.testing.assert_array_equal(picture, read_picture(data / folder / "c.png"))


def test_a_picture_that_lost_is_no_best_one(data: Path, tmp_path: Path) -> None:
    """However close to the sharp picture it still is."""
    sharp = read_picture(data / "sharp" / "c.png")
    write_picture(data / "blur" / "c.png", noisy(sharp, 2))
    write_picture(data / "other" / "c.png", noisy(sharp, 4))
    write_picture(data / "other" / "d.png", read_picture(data / "sharp" / "d.png"))
    assert run(data, "--restored", f"other={data / 'other'}", f"same={data / 'blur'}", "--examples", "2") == 0
    examples = tmp_path / "run" / "examples"
    names = sorted(path.name for path in (examples / "other").iterdir())
    assert names[0] == "best-1-d.png"  # exact
    assert names[2] == "worst-1-c.png"
    assert sorted(path.name[:8] for path in (examples / "same").iterdir()) == ["worst-1-", "worst-2-"]


def test_a_shifted_picture_scores_well_once_aligned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data" / "test"
    photograph = astronaut()
    write_picture(data / "sharp" / "a.png", photograph[50:178, 100:260])
    write_picture(data / "blur" / "a.png", photograph[52:180, 103:263])
    folders = ["--blurred", str(data / "blur"), "--sharp", str(data / "sharp"), "--json"]
    assert main([*folders, "--output", str(tmp_path / "plain")]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert main([*folders, "--output", str(tmp_path / "aligned"), "--align"]) == 0
    aligned = json.loads(capsys.readouterr().out)
    assert aligned["input"]["psnr"] > plain["input"]["psnr"] + 15
    assert aligned["input"]["ssim"] > 0.98
    assert aligned["input"]["n_not_aligned"] == 0
    assert aligned["protocol"]["alignment"] != plain["protocol"]["alignment"] == "none"


def test_pictures_whose_names_are_no_utf8(data: Path, weights: Path, garbled_name: str, tmp_path: Path) -> None:
    (data / "sharp" / "c.png").rename(data / "sharp" / f"{garbled_name}.png")
    given = ["--sharp", str(data / "sharp"), "--blur", "shake:8", "--deblurrer", str(weights), "--device", "cpu"]
    run = tmp_path / garbled_name
    assert main([*given, "--output", str(run), "--save-restored", "--json"]) == 0
    rows = pd.read_csv(run / "per_image.csv")
    assert r"caf\udce9" in set(rows["picture"])
    assert (run / "restored" / "tiny" / f"{garbled_name}.png").is_file()
    assert r"caf\udce9" in (run / "log.txt").read_text(encoding="utf-8")


def test_blurred_pictures_are_not_blurred_again(data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for folder in (data, data.parent):
        given = ["--sharp", str(folder), "--blur", "shake:8", "--limit", "1", "--output", str(tmp_path / "run")]
        assert main(given) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"--sharp {folder}: {data} holds blur/ beside sharp/" in line
        assert f"give --sharp {data / 'sharp'}, or score its own blur by --blurred {data / 'blur'}" in line
    assert not (tmp_path / "run").exists()


def test_what_others_restored_is_needed_of_the_pictures_that_are_scored(
    data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = data / "other"
    for name in ("a", "b"):
        (other / "walk" / f"{name}.png").unlink()
    assert run(data, "--limit", "2", "--restored", f"other={other}") == 0
    assert json.loads(capsys.readouterr().out)["methods"]["other"]["psnr"] > 20
    assert main(["--blurred", str(data / "blur"), "--sharp", str(data / "sharp"), "--restored", f"other={other}"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"2 of 4 pictures that are scored have no file in {other}, the first is walk/a" in line


def test_limit_is_marked(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, "--limit", "2") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["n"], result["limit"], result["n_available"]) == (2, 2, 4)
    assert "2 pictures (--limit, of 4)" in (data.parent.parent / "run" / "table.txt").read_text(encoding="utf-8")


def test_the_blur_comes_from_the_manifest_or_the_user(
    data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    manifest = {"data_set": "gopro", "blur": "gamma"}
    (data.parent / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert run(data) == 0
    said = json.loads(capsys.readouterr().out)["data"]
    assert (said["data_set"], said["blur"]) == ("gopro", "gamma")
    folders = ["--blurred", str(data / "blur"), "--sharp", str(data / "sharp")]
    assert main([*folders, "--data-blur", "linear", "--json", "--output", str(tmp_path / "second")]) == 0
    again = json.loads(capsys.readouterr().out)["data"]
    assert again["blur"] == "linear"
    assert again["sha256"] == said["sha256"]
    (data.parent / "manifest.json").write_text("[]", encoding="utf-8")
    assert main([*folders, "--output", str(tmp_path / "third")]) == 1
    assert "is not a manifest of deblur.prepare" in capsys.readouterr().err
    assert not (tmp_path / "third").exists()  # found before the first picture was scored


def test_blur_that_is_made_here_has_its_own_name_or_the_user_s(
    data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = ["--sharp", str(data / "sharp"), "--blur", "shake:8", "--limit", "1", "--json", "--device", "cpu"]
    for named, said in (([], "shake:8"), (["--data-blur", "night"], "night")):
        assert main([*given, *named, "--output", str(tmp_path / said)]) == 0
        assert json.loads(capsys.readouterr().out)["data"]["blur"] == said


def test_the_data_hash_changes_with_one_file(data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folders = ["--blurred", str(data / "blur"), "--sharp", str(data / "sharp"), "--json"]
    hashes = []
    for name in ("one", "two"):
        assert main([*folders, "--output", str(tmp_path / name)]) == 0
        hashes.append(json.loads(capsys.readouterr().out)["data"]["sha256"])
        write_picture(data / "blur" / "c.png", noisy(read_picture(data / "sharp" / "c.png"), 99))
    assert hashes[0] != hashes[1]


def test_kernels_that_are_not_there_leave_no_run(
    data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = ["--sharp", str(data / "sharp"), "--blur", "measured:8,kernels=nowhere.npz", "--output"]
    assert main([*given, str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err.startswith("error: cannot read blur kernels from nowhere.npz")
    assert not (tmp_path / "run").exists()


def test_tiles_of_another_size_restore_anew(data: Path, weights: Path, tmp_path: Path) -> None:
    assert run(data, "--deblurrer", str(weights)) == 0
    first = json.loads((tmp_path / "run" / "metrics.json").read_text())["methods"]["tiny"]
    card = json.loads(weights.with_suffix(".json").read_text())
    weights.with_suffix(".json").write_text(json.dumps(card | {"max_pixels": 400_000}))
    again = ["--resume", str(tmp_path / "run")]
    assert main(again) == 0
    second = json.loads((tmp_path / "run" / "metrics.json").read_text())["methods"]["tiny"]
    assert (first["max_pixels"], second["max_pixels"]) == (MAX_PIXELS, 400_000)
    assert second["ms_per_picture"] != first["ms_per_picture"], "what was kept was of other tiles"


def test_a_picture_that_goes_in_tiles_is_scored_as_it_is_restored(weights: Path) -> None:
    deblurrer = Deblurrer.load(weights, device="cpu", max_pixels=320**2)
    method = NetworkMethod("tiny", deblurrer)
    small, large = astronaut()[:64, :80], astronaut()[:321, :321]
    assert method.restore("small", small).unrounded is not None
    output = method.restore("large", large)
    np.testing.assert_array_equal(output.picture, deblurrer(large))
    assert output.unrounded is None


def test_mistakes_are_named_in_one_line(data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def error_of(*arguments: str) -> str:
        assert run(data, *arguments) == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1
        return lines[0]

    (data / "other" / "c.png").unlink()
    assert "the first is c;" in error_of("--restored", f"other={data / 'other'}")
    assert "two methods are named 'x'" in error_of("--restored", f"x={data / 'sharp'}", f"x={data / 'blur'}")
    assert "no-such" in error_of("--deblurrer", "no-such")
    write_picture(data / "other" / "c.png", np.zeros((30, 40, 3), np.uint8))
    assert "c.png is 40x30, the blurred picture is 80x64" in error_of("--restored", f"other={data / 'other'}")
    write_picture(data / "blur" / "c.png", np.zeros((30, 40, 3), np.uint8))
    message = error_of()
    assert "c.png is 40x30" in message
    assert "80x64" in message
    assert not (tmp_path / "run").exists()  # found before the first picture was scored
    write_picture(data / "blur" / "c.png", read_picture(data / "sharp" / "c.png"))
    assert run(data) == 0
    assert f"is a run already: go on with it by --resume {tmp_path / 'run'}" in error_of()


def test_weights_that_training_calls_alike_are_scored_under_names_of_their_own(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    files = [str(save_released(tmp_path / run, "best", build(TINY).eval(), TINY, {})) for run in "ab"]
    assert run(data, "--deblurrer", *files) == 1
    assert "two methods are named 'best'; call one otherwise, by NAME=FILE" in capsys.readouterr().err
    for given in (["--deblurrer", f"input={files[0]}"], ["--restored", f"input={data / 'sharp'}"]):
        assert run(data, *given) == 1
        assert "'input' is what results call the blurred pictures" in capsys.readouterr().err
    assert run(data, "--deblurrer", f"one={files[0]}", files[1], "--save-restored") == 0
    methods = json.loads(capsys.readouterr().out)["methods"]
    assert [(name, method["weights"]) for name, method in methods.items()] == [("one", "best"), ("best", "best")]
    assert methods["one"]["sha256"] != methods["best"]["sha256"]
    for folder in ("examples", "restored"):
        assert sorted(path.name for path in (tmp_path / "run" / folder).iterdir()) == ["best", "one"]


@pytest.mark.parametrize("text", ["folder", "=folder", "name=", "..=folder", "a/b=folder"])
def test_restored_needs_a_name_and_a_folder(text: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--blurred", "a", "--sharp", "b", "--restored", text])
    assert stopped.value.code == 2


def test_a_picture_smaller_than_the_window_has_psnr_alone() -> None:
    sharp = astronaut()[:8, :8]
    score = score_picture(noisy(sharp, 9), sharp)
    assert score.ssim is None
    assert score.psnr is not None
    assert summarize({"input": [score]}, "input")["input"]["ssim"] is None
    with pytest.raises(ValueError, match="cannot be compared"):
        score_picture(sharp, astronaut()[:9, :9])


def test_the_command_line_wins_over_the_configuration(
    data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "scores.yaml"
    config.write_text(f"restored: [first={data / 'missing'}]\nlimit: 3\n", encoding="utf-8")
    others = [f"{name}={data / 'other'}" for name in ("a", "b")]
    assert run(data, "--config", str(config), "--restored", others[0], "--restored", others[1]) == 0
    result = json.loads(capsys.readouterr().out)
    assert sorted(result["methods"]) == ["a", "b"]
    assert result["n"] == 3


def rows_of(**scores: list[float | None]) -> pd.DataFrame:
    return pd.DataFrame(
        {"picture": f"p{place}", "method": name, "psnr": score}
        for name, row in scores.items()
        for place, score in enumerate(row)
    )


def test_differences_are_taken_by_picture_with_an_interval() -> None:
    before = [20, 30, 25, 22, 23, 24, 28, 26]
    second = [24, 30, *(value + 1 for value in before[2:7]), None]
    found = differences(rows_of(input=before, first=[value + 1 for value in before], second=second))
    assert [(each["method"], each["over"]) for each in found] == [
        ("first", "input"),
        ("second", "input"),
        ("second", "first"),
    ]
    # Every picture gains one decibel: however far apart the pictures lie, nothing about the mean is unsure.
    assert (found[0]["mean"], found[0]["low"], found[0]["high"]) == (1, 1, 1)
    over = found[2]  # of the seven pictures that every row has: 3, -1 and five times 0
    assert over["mean"] == pytest.approx(2 / 7)
    assert (over["better"], over["worse"], over["least"]) == (1, 1, -1)
    assert -1 < over["low"] < 0 < over["high"] < 1.5


def test_an_interval_of_differences_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        gained = 0.3 + generator.normal(size=40)
        (found,) = differences(rows_of(input=[0.0] * 40, net=gained.tolist()))
        held += found["low"] < 0.3 < found["high"]
    assert 180 <= held <= 198


def frames_of(gained: NDArray[np.float64]) -> pd.DataFrame:
    """Rows of (scenes, frames) gains, in GoPro's names."""
    names = [f"GOPR{scene:04}_11_00_{frame:06}" for scene, frame in np.ndindex(gained.shape)]
    rows = rows_of(input=[20.0] * len(names), net=(20 + gained).ravel().tolist())
    return rows.assign(picture=names * 2)


def test_intervals_of_frames_hold_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        (found,) = differences(frames_of(0.3 + generator.normal(size=(11, 1)) + generator.normal(size=(11, 20))))
        held += found["low"] < 0.3 < found["high"]
    assert held >= 83  # frames drawn one by one hold it some 44 times


def test_scenes_are_drawn_whole_with_however_many_pictures() -> None:
    rows = frames_of(np.repeat(np.arange(8.0)[:, None], 6, axis=1))
    rows = rows[~rows["picture"].isin([f"GOPR0007_11_00_{frame:06}" for frame in range(1, 6)])]
    (found,) = differences(rows)
    drawn = np.random.default_rng(0).integers(8, size=(2000, 8))
    sizes = np.array([6] * 7 + [1])
    means = (np.arange(8) * sizes)[drawn].sum(1) / sizes[drawn].sum(1)
    assert (found["low"], found["high"]) == pytest.approx(np.quantile(means, [0.025, 0.975]).tolist())
    assert (found["better"], found["mean"]) == (37, pytest.approx((6 * 21 + 7) / 43))
    (few,) = differences(frames_of(np.ones((FEWEST_UNITS - 1, 30))))
    assert (few["mean"], few["low"], few["high"]) == (1, None, None)


def test_pictures_whose_names_tell_no_scenes_are_drawn_as_ever() -> None:
    generator = np.random.default_rng(0)
    gained = generator.normal(size=40)
    rows = rows_of(input=[0.0] * 40, net=gained.tolist())
    rows["picture"] = rows["picture"].map(lambda name: f"{int(name[1:]) * 577:012}")  # as COCO numbers its pictures
    (found,) = differences(rows)
    draws = gained[np.random.default_rng(0).integers(40, size=(2000, 40))].mean(1)
    expected = interval(float(gained.mean()), draws)
    assert [found["mean"], found["low"], found["high"]] == [expected.value, expected.low, expected.high]


def test_the_run_says_how_its_intervals_are_made(
    data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(data, "--restored", f"other={data / 'other'}") == 0
    made = json.loads(capsys.readouterr().out)["protocol"]["differences"]
    assert made == {
        "resamples": 2000,
        "confidence": 0.95,
        "interval": "percentile",
        "unit": "scene, the same draws for every pair of rows",  # walk/a and walk/b are of one
        "n_units": 3,
        "seed": 0,
    }
    table = (tmp_path / "run" / "table.txt").read_text(encoding="utf-8")
    assert table.startswith("4 pictures of 3 scenes (too few for intervals)\n")


def test_few_pictures_have_no_interval_and_none_no_mean() -> None:
    for count in (1, FEWEST_UNITS - 1):
        (few,) = differences(rows_of(input=[20.0] * count, net=[21.5] * count))
        assert (few["mean"], few["low"], few["high"], few["better"]) == (1.5, None, None, count)
    (none,) = differences(rows_of(input=[20.0], net=[None]))
    assert (none["mean"], none["low"], none["least"], none["better"]) == (None, None, None, 0)
    assert differences(rows_of(input=[20.0, 21.0])) == []


def test_means_over_nothing_are_none() -> None:
    nothing = {"psnr": None, "psnr_float": None, "ssim": None, "ms_per_picture": None, "n_exact": 0}
    gains = {"psnr_gain": None, "ssim_gain": None}
    assert summarize({"input": [], "net": []}, "input") == {"input": nothing, "net": nothing | gains}


def test_psnr_before_rounding_is_of_the_same_pictures_or_none() -> None:
    sharp = astronaut()[:64, :64]
    restored = noisy(sharp, 9)
    small, large = (score_picture(restored, sharp, unrounded=each) for each in (np.float32(restored), None))
    before = [score_picture(noisy(sharp, 20), sharp)] * 2
    rows = summarize({"input": before, "whole": [small, small], "in tiles": [small, large]}, "input")
    assert rows["whole"]["psnr_float"] == pytest.approx(small.psnr_float)
    assert rows["in tiles"]["psnr_float"] is None


def test_psnr_before_rounding_is_of_the_unrounded_picture_where_pictures_are_aligned() -> None:
    sharp = astronaut()[:96, :96]
    near = np.float32(noisy(sharp, 2))
    score = score_picture(noisy(sharp, 30), sharp, unrounded=near, aligned=True)
    assert score.aligned
    assert score.psnr_float == score_picture(noisy(sharp, 2), sharp, aligned=True).psnr
    assert (score.psnr_float or 0) > (score.psnr or 0) + 10


def test_a_time_is_the_median() -> None:
    score = score_picture(noisy(astronaut()[:32, :32], 9), astronaut()[:32, :32])
    timed = [replace(score, milliseconds=time) for time in (1.0, 2.0, None, 9.0)]
    assert summarize({"input": [score] * 4, "net": timed}, "input")["net"]["ms_per_picture"] == 2


def test_rounding_is_what_separates_psnr_from_psnr_float() -> None:
    sharp = astronaut()[:64, :64]
    unrounded = sharp.astype(np.float32) + np.float32(0.4)
    score = score_picture(np.rint(unrounded).clip(0, 255).astype(np.uint8), sharp, unrounded=unrounded)
    assert score.exact
    assert score.psnr is None
    assert score.psnr_float == pytest.approx(20 * np.log10(255 / 0.4), abs=1e-3)


def test_blur_is_made_of_the_sharp_pictures_the_same_for_a_seed(tmp_path: Path, data: Path, weights: Path) -> None:
    common = ["--sharp", str(data / "sharp"), "--deblurrer", str(weights), "--device", "cpu", "--limit", "3"]
    spec = "straight:15,light=srgb"
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        assert main([*common, "--blur", spec, "--seed", seed, "--output", str(tmp_path / name)]) == 0
    first, same, other = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in "abc")
    assert first["data"]["blur"] == spec
    assert first["data"]["sha256"] == same["data"]["sha256"] != other["data"]["sha256"]
    assert first["input"]["psnr"] < 40
    blurred = read_picture(tmp_path / "a" / "blurred" / "walk" / "a.png")
    sharp = read_picture(data / "sharp" / "walk" / "a.png")
    np.testing.assert_array_equal(blurred, synthesize(sharp, parse_blur(spec), 0, "walk/a"))


def test_a_network_is_told_the_path_of_blur_that_is_made_here(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    networks = ["--deblurrer", "mstsgm-guided", "mstsgm-guided+gyro", "--device", "cpu"]
    assert (
        main(["--sharp", str(data / "sharp"), *networks, "--blur", "straight:60", "--output", str(tmp_path / "a")]) == 0
    )
    scores = json.loads((tmp_path / "a" / "metrics.json").read_text())
    assert scores["methods"]["mstsgm-guided+gyro"]["psnr"] != scores["methods"]["mstsgm-guided"]["psnr"]
    capsys.readouterr()
    assert run(data, *networks) == 1
    assert "mstsgm-guided+gyro: the camera's path is known only of blur that --blur makes" in capsys.readouterr().err


def test_what_a_network_is_told_is_of_the_very_blur_of_the_picture(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Motion] = []

    class Told:
        """Restores nothing, and keeps the paths that it is told."""

        def __init__(self) -> None:
            self.card = {"name": "told"}
            self.device = torch.device("cpu")
            self.max_pixels = MAX_PIXELS

        def describe(self) -> dict[str, Any]:
            return {"name": "told"}

        def unrounded(self, picture: NDArray[np.uint8], path: Motion) -> NDArray[np.float32]:
            told.append(path)
            return picture.astype(np.float32)

    monkeypatch.setattr("deblur.deblurrer.load_told", lambda text, device: (Told(), True))
    given = ["--sharp", str(data / "sharp"), "--blur", "shake:60", "--deblurrer", "net+gyro", "--seed", "5"]
    assert main([*given, "--device", "cpu", "--output", str(tmp_path / "run")]) == 0
    for path, key in zip(told, ("c", "d", "walk/a", "walk/b"), strict=True):
        height, width = read_picture(data / "sharp" / f"{key}.png").shape[:2]
        true = felt_path(parse_blur("shake:60"), 5, key, width, height)
        np.testing.assert_array_equal(path.path, true.path)
        assert (path.center, path.shutter) == (true.center, true.shutter)


@pytest.fixture
def records(tmp_path: Path, data: Path) -> Path:
    """A path in pixels for each blurred picture, all unlike."""
    for number, file in enumerate(sorted((data / "blur").rglob("*.png"))):
        record = tmp_path / "gyro" / file.relative_to(data / "blur").with_suffix(".csv")
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(f"t,x,y\n0,0,0\n1,{4 + number},3\n")
    return tmp_path / "gyro"


def test_a_network_is_told_recorded_paths_of_real_blur(
    tmp_path: Path, data: Path, records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--deblurrer", "mstsgm-guided", "mstsgm-guided+gyro", "--motion", str(records), "--save-restored"]
    assert run(data, *given) == 0
    methods = json.loads(capsys.readouterr().out)["methods"]
    assert "paths" not in methods["mstsgm-guided"]
    told = Deblurrer.load("mstsgm-guided", "cpu")
    for key in ("c", "d", "walk/a", "walk/b"):
        blurred = read_picture(data / "blur" / f"{key}.png")
        height, width = blurred.shape[:2]
        restored = read_picture(tmp_path / "run" / "restored" / "mstsgm-guided+gyro" / f"{key}.png")
        np.testing.assert_array_equal(restored, told(blurred, read_path(records / f"{key}.csv", width, height)))
    # Another record is another method: what is scored already does not stand for it.
    (records / "c.csv").write_text("t,x,y\n0,0,0\n1,-9,3\n")
    assert main(["--resume", str(tmp_path / "run"), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["methods"]
    assert again["mstsgm-guided"]["psnr"] == methods["mstsgm-guided"]["psnr"]
    for figure in ("paths", "psnr"):
        assert again["mstsgm-guided+gyro"][figure] != methods["mstsgm-guided+gyro"][figure]


def test_records_that_cannot_be_used_are_refused_before_there_is_a_run(
    tmp_path: Path, data: Path, records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["--deblurrer", "mstsgm-guided+gyro", "--motion", str(records)]
    assert run(data, "--deblurrer", "mstsgm-guided", "--motion", str(records)) == 1
    assert "--motion has no effect: give a network that is told paths, --deblurrer NAME+gyro" in capsys.readouterr().err
    (records / "walk" / "b.csv").write_text("t,x,y\n0,0,0\n1,999,3\n")
    assert run(data, *told) == 1
    assert f"{records / 'walk' / 'b.csv'} moves the picture by up to" in capsys.readouterr().err
    (records / "walk" / "b.csv").unlink()
    assert run(data, *told) == 1
    assert f"1 of 4 sources have no file in {records}, the first is 'walk/b'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    with pytest.raises(SystemExit) as stopped:
        main(["--sharp", str(data / "sharp"), "--blur", "shake:8", *told])
    assert stopped.value.code == 2
    assert "--motion is for --blurred" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(data, "--deblurrer", "mstsgm-guided", "--focal-length", "800")
    assert "are for --motion" in capsys.readouterr().err


@pytest.mark.parametrize("given", [["--save-restored"], ["--save-restored", "--restored", "a=b"], ["--examples", "3"]])
def test_what_would_do_nothing_without_a_method_is_refused(
    data: Path, given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--sharp", str(data / "sharp"), "--blur", "shake:8", *given])
    assert stopped.value.code == 2
    assert f"{given[0]} needs --deblurrer" in capsys.readouterr().err


def test_a_network_searches_for_the_path_of_every_picture_where_it_is_asked_to(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The search itself takes half a minute; here it finds some path at once."""
    found: list[Motion] = []

    def find(_: object, picture: NDArray[np.uint8], restore: object) -> Motion:
        found.append(synthesize_with_motion(picture, parse_blur("straight:99"), 0, "any")[1])
        return found[-1]

    monkeypatch.setattr(PathSearch, "__call__", find)
    assert run(data, "--deblurrer", "mstsgm-guided+search", "--save-restored") == 0
    method = json.loads(capsys.readouterr().out)["methods"]["mstsgm-guided+search"]
    assert method["search"] == PathSearch.load().describe()
    told = Deblurrer.load("mstsgm-guided", "cpu")
    for key, path in zip(("c", "d", "walk/a", "walk/b"), found, strict=True):
        restored = read_picture(tmp_path / "run" / "restored" / "mstsgm-guided+search" / f"{key}.png")
        np.testing.assert_array_equal(restored, told(read_picture(data / "blur" / f"{key}.png"), path))


@pytest.mark.parametrize("given", [[], ["--blur", "shake:8", "--blurred", "x"]])
def test_blurred_pictures_come_from_one_place(data: Path, given: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--sharp", str(data / "sharp"), *given])
    assert stopped.value.code == 2
