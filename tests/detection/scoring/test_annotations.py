"""Reading annotations: what is mapped, what is left out, and that each is on the report."""

from __future__ import annotations

import json
import threading
import unicodedata
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin

import deblur.pictures
import detection.annotations.yolo as yolo_reader
from detection.annotations.class_names import NameMap
from detection.annotations.coco import read_coco
from detection.annotations.records import GroundTruth, TruthObjects, TruthPicture
from detection.annotations.voc import read_voc, write_voc
from detection.annotations.yolo import PICTURE_SUFFIXES
from detection.errors import DetectionError
from detection.truth import read_truth, report_lines

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("person", "motorcycle", "potted plant", "tv", "backpack")


def coco(**changes: Any) -> dict[str, Any]:
    """A sound annotation file of one picture and one person, with ``changes``."""
    return {
        "images": [{"id": 5, "file_name": "a.jpg", "width": 100, "height": 80}],
        "categories": [{"id": 3, "name": "person"}, {"id": 7, "name": "kart"}],
        "annotations": [{"id": 9, "image_id": 5, "category_id": 3, "bbox": [1.5, 2, 10, 20], "area": 77.0}],
    } | changes


def picture(stem: str, image_id: int) -> TruthPicture:
    return TruthPicture(stem, f"{stem}.png", 100, 80, image_id)


def annotation(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 5, "category_id": 3, "bbox": [1, 2, 10, 20]} | changes


def write_json(folder: Path, content: Any) -> Path:
    path = folder / "truth.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def voc(*objects: str, size: str = "<size><width>100</width><height>80</height></size>", name: str = "a.jpg") -> str:
    return f"<annotation><filename>{name}</filename>{size}{''.join(objects)}</annotation>"


def voc_object(name: str = "person", box: str = "1 2 30 40", extra: str = "") -> str:
    edges = "".join(
        f"<{key}>{edge}</{key}>" for key, edge in zip(("xmin", "ymin", "xmax", "ymax"), box.split(), strict=True)
    )
    return f"<object><name>{name}</name>{extra}<bndbox>{edges}</bndbox></object>"


def write_xml(folder: Path, content: str, name: str = "a.xml", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode(encoding))
    return folder


# Names


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("person", "person"),
        (" Person ", "person"),
        ("personw", "person"),
        ("person、", "person"),
        ("\uff50\uff45rson\u3002", "person"),
        ("\u201cperson\u201d", "person"),
        ("potted_plant", "potted plant"),
        ("potted-plant", "potted plant"),
        ("Potted  plant", "potted plant"),
        ("pottedplant", "potted plant"),
        ("motorbike", "motorcycle"),
        ("tvmonitor", "tv"),
        ("persn", None),
        ("kart", None),
        ("、", None),
        ("", None),
    ],
)
def test_names_are_mapped_by_rules_and_never_by_likeness(raw, name):
    assert NameMap(NAMES).find(raw) == name


def test_synonyms_work_towards_a_voc_detector_too():
    names = NameMap(["aeroplane", "sofa", "diningtable"])
    assert [names.find(name) for name in ("airplane", "couch", "dining table")] == ["aeroplane", "sofa", "diningtable"]


def test_the_detectors_own_name_comes_before_any_rule():
    names = NameMap(["motorcycle", "motorbike", "personw", "Person", "person"])
    assert [names.find(name) for name in ("motorbike", "personw", "Person", "person")] == [
        "motorbike",
        "personw",
        "Person",
        "person",
    ]


def test_classes_that_differ_in_what_tidying_takes_off_are_not_mixed_up():
    names = NameMap(["+", "-", "Battery+", "battery-", "TV", "tv", "television", "Resistor+"])
    for name in ("+", "-", "Battery+", "battery-", "TV", "tv"):
        assert names.find(name) == name
    for name in ("", "\u00f7", "battery", "Battery", "BATTERY+", "Tv"):
        assert names.find(name) is None
    assert names.find("resistor") == "Resistor+"
    assert NameMap(["+", "person"]).find("\u00f7") is None


def test_threads_that_read_sizes_leave_no_filter_of_warnings(tmp_path, monkeypatch):
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    together = threading.Barrier(3)

    def meet(*given):
        together.wait(20)
        return False

    monkeypatch.setattr(yolo_reader, "_says_orientation", meet)
    before = list(warnings.filters)
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(yolo_reader._upright_size, [tmp_path / "a.png"] * 3)) == [(4, 3)] * 3
    assert list(warnings.filters) == before


def test_one_name_is_no_list_of_classes(tmp_path):
    (tmp_path / "truth.json").write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(TypeError, match="class_names is a list of names, not the one name 'person'"):
        read_truth(tmp_path / "truth.json", "person")


def test_every_mapping_and_every_unknown_name_is_counted():
    names = NameMap(NAMES)
    for raw in ("person", "personw", "personw", "persn", "zzz", "zzz"):
        names.resolve(raw)
    assert names.mapped() == {"personw": {"name": "person", "count": 2}}
    assert names.unknown() == {
        "persn": {"count": 1, "nearest": "person"},
        "zzz": {"count": 2, "nearest": None},
    }


# COCO


def test_coco_is_read_as_it_is(tmp_path):
    truth = read_coco(write_json(tmp_path, coco()), NAMES)
    assert truth.stems == ("a",)
    picture = truth.pictures[0]
    assert (picture.file_name, picture.width, picture.height, picture.image_id) == ("a.jpg", 100, 80, 5)
    objects = truth.objects["a"]
    assert objects.boxes.tolist() == [[1.5, 2.0, 11.5, 22.0]]
    assert objects.class_names == ("person",)
    assert objects.areas.tolist() == [77.0]
    assert not objects.iscrowd.any()
    assert truth.class_names == NAMES
    assert truth.category_ids == {"person": 3, "motorcycle": 4, "potted plant": 5, "tv": 6, "backpack": 7}


@pytest.mark.parametrize("area", [-1, -523.4])
def test_an_area_below_0_is_the_boxs_and_listed(tmp_path, area):
    truth = read_coco(write_json(tmp_path, coco(annotations=[annotation(area=area)])), NAMES)
    assert truth.objects["a"].areas.tolist() == [200.0]
    assert not truth.objects["a"].difficult.any()
    assert "areas below 0, the box's taken for them: 1 (a: person 1, 2, 11, 22)" in report_lines(truth.report)


def test_coco_keeps_crowds_and_fills_in_the_area(tmp_path):
    rows = [annotation(iscrowd=1), annotation(id=2, bbox=[50, 50, 4, 5])]
    objects = read_coco(write_json(tmp_path, coco(annotations=rows)), NAMES).objects["a"]
    assert objects.iscrowd.tolist() == [True, False]
    assert objects.areas.tolist() == [200.0, 20.0]


def test_coco_objects_are_left_out_only_with_a_word(tmp_path):
    rows = [
        annotation(),
        annotation(id=2, category_id=7),
        annotation(id=3, bbox=[5, 5, 0, 9]),
        annotation(id=4, bbox=[90, 70, 30, 30]),
        annotation(id=5),
    ]
    truth = read_coco(write_json(tmp_path, coco(annotations=rows)), NAMES)
    # Outside the picture or twice there: kept, so that figures agree with pycocotools on the same file.
    assert truth.objects["a"].boxes.tolist() == [[1, 2, 11, 22], [90, 70, 120, 100], [1, 2, 11, 22]]
    assert truth.report["unknown_names"] == {"kart": {"count": 1, "nearest": None}}
    assert truth.report["degenerate_boxes"] == ["a: person 5, 5, 5, 14"]
    assert truth.report["duplicates"] == ["a: person 1, 2, 11, 22"]
    assert truth.report["duplicates_kept"] is True
    assert truth.report["n_objects"] == 3


def test_coco_numbers_may_be_written_as_pandas_does(tmp_path):
    content = coco(
        images=[{"id": 5.0, "file_name": "a.jpg"}, {"id": 6, "file_name": "b.jpg"}],
        categories=[{"id": 3.0, "name": "person"}, {"id": 963, "name": "tv"}],
        annotations=[annotation(), annotation(id=2, image_id=6.0, category_id=963.0)],
    )
    truth = read_coco(write_json(tmp_path, content), NAMES)
    assert [truth.objects[stem].class_names for stem in truth.stems] == [("person",), ("tv",)]
    written = truth.to_coco()
    numbers = [image["id"] for image in written["images"]] + [entry["id"] for entry in written["categories"][:1]]
    assert numbers == [5, 6, 3]
    assert all(type(number) is int for number in numbers)


def test_coco_class_numbers_stay_apart_from_new_ones(tmp_path):
    truth = read_coco(
        write_json(tmp_path, coco(categories=[{"id": 2, "name": "tv"}, {"id": 3, "name": "person"}])), NAMES
    )
    assert truth.category_ids == {"person": 3, "motorcycle": 4, "potted plant": 5, "tv": 2, "backpack": 6}


def test_strict_refuses_unknown_names(tmp_path):
    path = write_json(tmp_path, coco(annotations=[annotation(category_id=7)]))
    with pytest.raises(DetectionError, match=r"class names that the detector does not have: 'kart' \(1 objects\)"):
        read_truth(path, NAMES, strict=True)


@pytest.mark.parametrize(
    ("rows", "renumbered"),
    [
        ([annotation(id=0)], 1),
        ([annotation(id=4), annotation(id=4, bbox=[5, 5, 5, 5])], 2),
        ([{key: value for key, value in annotation().items() if key != "id"}], 1),
        ([annotation(id=4)], None),
    ],
)
def test_annotation_numbers_that_break_pycocotools_are_made_anew(tmp_path, rows, renumbered):
    truth = read_coco(write_json(tmp_path, coco(annotations=rows)), NAMES)
    assert truth.report.get("renumbered_annotations") == renumbered
    assert [entry["id"] for entry in truth.to_coco()["annotations"]] == list(range(1, len(rows) + 1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "a mapping with 'images'"),
        ({"images": []}, "it has no list 'categories'"),
        (coco(images={}), "it has no list 'images'"),
        (coco(images=[3]), r"images\[0\] is not a mapping"),
        (coco(images=[]), "image_id 5 is not among 'images'"),
        (coco(images=[], annotations=[]), "no annotated pictures"),
        (coco(images=[{"id": 5}]), "file_name is None"),
        (coco(images=[{"id": "5", "file_name": "a.jpg"}]), "id is '5', not a whole number"),
        (coco(images=[{"id": 5, "file_name": "a.jpg"}, {"id": 5, "file_name": "b.jpg"}]), "a second picture"),
        (coco(images=[{"id": 5, "file_name": "a.jpg"}, {"id": 5.0, "file_name": "b.jpg"}]), "a second picture"),
        (coco(categories=[{"id": 3, "name": "person"}, {"id": 3, "name": "tv"}]), "a second category"),
        (coco(annotations=[annotation(category_id=8)]), "category_id 8 is not among 'categories'"),
        (coco(annotations=[annotation(image_id=None)]), "image_id is None"),
        (coco(annotations=[annotation(category_id=3.5)]), r"annotations\[0\]: category_id is 3\.5, not a whole number"),
        (coco(annotations=[annotation(category_id="3")]), "category_id is '3', not a whole number"),
        (coco(annotations=[annotation(image_id=float("nan"))]), "image_id is nan, not a whole number"),
        (coco(annotations=[annotation(image_id=float("inf"))]), "image_id is inf, not a whole number"),
        (coco(annotations=[annotation(image_id=-5.0)]), r"image_id is -5\.0, not a whole number"),
        (coco(annotations=[annotation(image_id=True)]), "image_id is True, not a whole number"),
        (coco(annotations=[annotation(bbox=None, segmentation=[[1, 2, 9, 2, 9, 9]])]), "but no bbox, which is needed"),
        (coco(annotations=[annotation(bbox=None)]), "bbox is None, not"),
        (coco(annotations=[annotation(bbox=[1, 2, 3])]), r"bbox is \[1, 2, 3\]"),
        (coco(annotations=[annotation(bbox=[1, 2, 3, float("nan")])]), "not a finite number"),
        (coco(annotations=[annotation(bbox=[1, 2, 10**400, 4])]), "not a finite number"),
        (coco(annotations=[annotation(iscrowd="0")]), "iscrowd is '0', neither 0 nor 1"),
        (coco(annotations=[annotation(iscrowd=[1])]), "iscrowd is .1., neither 0 nor 1"),
        (coco(annotations=[annotation(area="large")]), "area is 'large'"),
    ],
)
def test_a_bad_coco_file_is_one_clear_line(tmp_path, content, message):
    path = write_json(tmp_path, content)
    with pytest.raises(DetectionError, match=message) as caught:
        read_truth(path, NAMES)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["[" * 100_000, "1" * 5000])
def test_json_beyond_what_is_read_is_one_clear_line(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DetectionError, match=r"a\.json is not JSON"):
        read_truth(tmp_path / "a.json", NAMES)


def test_what_is_no_json_or_not_there_is_one_clear_line(tmp_path):
    (tmp_path / "half.json").write_text('{"images": [')
    with pytest.raises(DetectionError, match=r"half.json is not JSON: .* line 1"):
        read_truth(tmp_path / "half.json", NAMES)
    with pytest.raises(DetectionError, match=r"no annotations at .*none.json"):
        read_truth(tmp_path / "none.json", NAMES)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DetectionError, match=r"notes.txt is no annotation file"):
        read_truth(tmp_path / "notes.txt", NAMES)
    with pytest.raises(DetectionError, match="only YOLO data files have splits"):
        read_truth(write_json(tmp_path, coco()), NAMES, split="train")


# Stems


def images(*names: str) -> dict[str, Any]:
    return coco(images=[{"id": number, "file_name": name} for number, name in enumerate(names)], annotations=[])


def test_one_stem_twice_is_an_error_that_names_both(tmp_path):
    with pytest.raises(DetectionError, match=r"pictures x\.jpg and x\.png have the same stem x"):
        read_coco(write_json(tmp_path, images("x.jpg", "x.png")), NAMES)


def test_folders_tell_pictures_of_one_stem_apart(tmp_path):
    truth = read_coco(write_json(tmp_path, images("a/x.jpg", "b\\x.png", "./c.v2.jpg")), NAMES)
    assert truth.stems == ("a/x", "b/x", "c.v2")
    assert truth.match(["a/x", "b/x"]) == {"a/x": "a/x", "b/x": "b/x"}


def test_an_accent_is_the_same_however_it_is_written(tmp_path):
    one, two = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert read_coco(write_json(tmp_path, images(f"{two}.jpg")), NAMES).stems == (one,)


def test_pictures_match_by_stem_in_whatever_folder(tmp_path):
    truth = read_coco(write_json(tmp_path, images("val/x.jpg", "y.jpg", "z.jpg")), NAMES)
    assert truth.match(["x", "restored/y", "q"]) == {"val/x": "x", "y": "restored/y"}


@pytest.mark.parametrize(
    ("names", "keys", "message"),
    [
        (("a/x.jpg", "b/x.png"), ["x"], r"x may be a/x or b/x"),
        (("x.jpg",), ["p/x", "q/x"], r"pictures p/x and q/x both match the annotated picture x"),
    ],
)
def test_a_match_that_is_not_certain_is_an_error(tmp_path, names, keys, message):
    truth = read_coco(write_json(tmp_path, images(*names)), NAMES)
    for order in (keys, keys[::-1]):
        with pytest.raises(DetectionError, match="x"):
            truth.match(order)
    with pytest.raises(DetectionError, match=message):
        truth.match(keys)


def test_the_same_path_comes_before_the_same_stem(tmp_path):
    truth = read_coco(write_json(tmp_path, images("x.jpg")), NAMES)
    assert truth.match(["p/x", "x", "q/x"]) == {"x": "x"}


def test_where_paths_fit_a_like_name_elsewhere_is_another_picture(tmp_path):
    truth = read_coco(write_json(tmp_path, images("000/1.png", "000/2.png", "010/1.png")), NAMES)
    found = {"000/1": "000/1", "010/1": "010/1"}
    assert truth.match(["000/1", "010/1", "020/1", "020/2"]) == found  # of 000/2 there is no file


def test_a_subset_of_pictures(tmp_path):
    truth = read_coco(write_json(tmp_path, images("a.jpg", "b.jpg", "c.jpg")), NAMES)
    assert truth.subset(["c", "a"]).stems == ("a", "c")
    with pytest.raises(DetectionError, match="d, e are not among the 3 annotated pictures"):
        truth.subset(["a", "d", "e"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pictures": (picture("a", 1), picture("a", 2))}, "each stem is there once, and 'a' 2 times"),
        ({"pictures": (picture("a", 1), picture("b", 1))}, "each image_id is there once, and 1 2 times"),
        ({"class_names": ("cat", "cat")}, "each class is there once, and 'cat' 2 times"),
        ({"category_ids": {"cat": 1, "dog": 1}}, "each category number is there once, and 1 2 times"),
        ({"category_ids": {"cat": 1}}, "class_names and category_ids are of the same: 'dog'"),
        ({"objects": {"a": TruthObjects.none()}}, "pictures and objects are of the same: 'b'"),
        ({"objects": dict.fromkeys("abc", TruthObjects.none())}, "pictures and objects are of the same: 'c'"),
        ({"class_names": ("dog",), "category_ids": {"dog": 2}}, "objects of 'cat', which is none of the class_names"),
    ],
)
def test_truth_made_in_memory_is_checked(changes: dict[str, Any], message: str):
    nothing = np.zeros(1, bool)
    cat = TruthObjects(np.array([[1.0, 2, 3, 4]]), ("cat",), np.array([-4.0]), nothing, nothing)
    truth = GroundTruth(
        (picture("a", 1), picture("b", 2)),
        ("cat", "dog"),
        {"a": cat, "b": TruthObjects.none()},
        {"cat": 1, "dog": 2},
        {},
    )
    with pytest.raises(ValueError, match=message):
        replace(truth, **changes)


def test_boxes_of_truth_are_not_turned_inside_out():
    nothing = np.zeros(1, bool)
    for box in ([3.0, 2, 1, 4], [1.0, 4, 3, 2], [1.0, 2, np.nan, 4]):
        with pytest.raises(ValueError, match="x1 <= x2 and y1 <= y2"):
            TruthObjects(np.array([box]), ("cat",), np.ones(1), nothing, nothing)


def test_annotations_may_be_given_by_name_alone(tmp_path: Path):
    truth = read_coco(str(write_json(tmp_path, coco())), NAMES)
    write_voc(truth, str(tmp_path / "voc"))
    assert read_voc(str(tmp_path / "voc"), NAMES).stems == truth.stems


def test_truth_cannot_be_changed(tmp_path):
    truth = read_coco(write_json(tmp_path, coco()), NAMES)
    with pytest.raises(ValueError, match="read-only"):
        truth.objects["a"].boxes[0, 0] = 3
    with pytest.raises(AttributeError):
        truth.pictures = ()


# VOC


def test_the_authors_files(shared):
    truth = read_truth(shared / "data" / "gopro_samples" / "labels_voc", NAMES)
    assert truth.stems == ("GOPR0869_11_00-approx000010", "GOPR0881_11_01-000205")
    picture = truth.pictures[1]
    assert (picture.file_name, picture.width, picture.height) == ("GOPR0881_11_01-000205.png", 1280, 720)
    objects = truth.objects[picture.stem]
    assert objects.class_names == ("person",) * 3 + ("backpack",) + ("potted plant",) * 3
    assert objects.boxes[0].tolist() == [608, 380, 707, 624]
    assert objects.boxes[-1].tolist() == [761, 640, 936, 720]
    assert truth.report["unknown_names"] == {"bench": {"count": 2, "nearest": None}}
    assert truth.report["renamed_pictures"][1] == "GOPR0881_11_01-000205.xml: GOPR0881_11_01_000205.png"


def test_the_report_has_everything_that_was_changed(tmp_path):
    write_xml(
        tmp_path,
        voc(
            voc_object("personw"),
            voc_object("person、", "50 2 60 40"),
            voc_object("kart"),
            voc_object("person", "5 5 5 9"),
            voc_object("person", "9 9 3 30"),
            voc_object("person", "90 70 104 80"),
            voc_object("person", "1 2 30 40"),
            voc_object("tv", "3 3 9 9", "<difficult>1</difficult>"),
        ),
    )
    write_xml(tmp_path, voc(size="<size><width>0</width><height>0</height></size>", name="b.jpg"), "b.xml")
    truth = read_voc(tmp_path, NAMES)
    assert truth.objects["a"].boxes.tolist() == [[1, 2, 30, 40], [50, 2, 60, 40], [90, 70, 100, 80], [3, 3, 9, 9]]
    assert truth.objects["a"].difficult.tolist() == [False, False, False, True]
    assert truth.objects["a"].areas[2] == 100
    assert truth.report == {
        "format": "voc",
        "n_pictures": 2,
        "n_objects": 4,
        "n_crowd": 0,
        "n_difficult": 1,
        "mapped_names": {"personw": {"name": "person", "count": 1}, "person、": {"name": "person", "count": 1}},
        "unknown_names": {"kart": {"count": 1, "nearest": None}},
        "classes_not_annotated": [name for name in NAMES if name not in {"person", "tv"}],
        "degenerate_boxes": ["a: person 5, 5, 5, 9", "a: person 9, 9, 3, 30"],
        "clipped_boxes": ["a: person 90, 70, 104, 80"],
        "duplicates": ["a: person 1, 2, 30, 40"],
        "duplicates_kept": False,
        "pictures_without_truth": ["b"],
        "pictures_without_size": ["b"],
    }
    text = "\n".join(report_lines(truth.report))
    for part in ("'personw' read as 'person'", "'kart' is not", "left out: 2", "clipped to their picture: 1"):
        assert part in text
    assert "difficult objects, ignored in scoring: 1" in text
    assert "pictures without a size: 1 (b)" in text


def test_classes_that_a_file_does_not_know_are_said(tmp_path):
    content = images("a.jpg") | {"categories": [{"id": 4, "name": "peson"}, {"id": 9, "name": "kart"}]}
    truth = read_coco(write_json(tmp_path, content), ["tv", "person", "bus"])
    assert truth.report["classes_not_annotated"] == ["tv", "bus"]  # a class without an object was looked for
    assert truth.annotated == ("person",)
    said = "the detector's classes that are not annotated, whose boxes do not count: 2 (tv, ...)"
    assert said in report_lines(truth.report)
    nothing = content | {"categories": [{"id": 9, "name": "kart"}]}
    assert read_coco(write_json(tmp_path, nothing), ["tv", "bus"]).annotated == ("tv", "bus")


def test_a_class_was_looked_for_where_all_its_objects_are_left_out(tmp_path):
    write_xml(tmp_path, voc(voc_object("person"), voc_object("tv", "9 9 9 30")))
    truth = read_voc(tmp_path, NAMES)
    assert truth.objects["a"].class_names == ("person",)
    assert truth.annotated == ("person", "tv")


@pytest.mark.parametrize("box", [[1e308, 1, 1e308, 30], [0, 0, 1e200, 1e200]])
def test_a_box_without_a_finite_area_is_refused(tmp_path, box):
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 100}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": box}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    with pytest.raises(DetectionError, match=r"truth\.json: the box a: person .* is larger than numbers can say"):
        read_coco(tmp_path / "truth.json", NAMES)


def test_aliases_of_lists_are_refused_before_they_are_written_out(tmp_path):
    levels = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}' if i else 'a'] * 10)}]" for i in range(12))
    (tmp_path / "data.yaml").write_text(f"{levels}\nnames: [*l11]\nval: .\n")
    with pytest.raises(DetectionError, match=r"is not YAML: \*l0 stands for a list or a mapping: write it out"):
        read_truth(tmp_path / "data.yaml", NAMES)


def test_one_based_boxes_of_the_devkit(tmp_path):
    write_xml(tmp_path, voc(voc_object(box="1 2 100 80")))
    assert read_voc(tmp_path, NAMES, one_based=True).objects["a"].boxes.tolist() == [[0, 1, 100, 80]]


def test_what_is_hidden_in_a_voc_folder_is_left_out(tmp_path):
    write_xml(tmp_path, voc(voc_object()))
    (tmp_path / "._a.xml").write_bytes(b"a Mac's notes on a.xml")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    write_xml(tmp_path / ".ipynb_checkpoints", voc(voc_object()), "a-checkpoint.xml")
    assert read_voc(tmp_path, NAMES).stems == ("a",)


def test_a_voc_tree_is_read_from_its_annotations_folder(tmp_path):
    write_xml(tmp_path, voc(voc_object()), "Annotations/day/a.xml")
    write_xml(tmp_path, "<other/>", "elsewhere.xml")
    truth = read_truth(tmp_path, NAMES)
    assert truth.stems == ("day/a",)
    assert truth.pictures[0].file_name == "day/a.jpg"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_documents_with_entities_are_refused(tmp_path, encoding):
    bomb = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]>' + voc(voc_object("&y;"))
    write_xml(tmp_path, f'<?xml version="1.0" encoding="{encoding}"?>{bomb}', encoding=encoding)
    with pytest.raises(DetectionError, match=r"a\.xml has a document type"):
        read_voc(tmp_path, NAMES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation>", "is not XML"),
        ("", "is not XML"),
        ("<html/>", "its root is <html>"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "unknown encoding"),
        (voc(voc_object(box="1 2 x 4")), "<xmax> of object 'person' is 'x', not a number"),
        (voc(voc_object(box="1 2 nan 4")), "not a number"),
        (voc("<object><name>person</name></object>"), "<xmin> of object 'person' is None"),
    ],
)
def test_a_bad_voc_file_is_one_clear_line(tmp_path, content, message):
    write_xml(tmp_path, content)
    with pytest.raises(DetectionError, match=message) as caught:
        read_truth(tmp_path, NAMES)
    assert "a.xml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_annotations_is_one_clear_line(tmp_path):
    with pytest.raises(DetectionError, match=r"no \.xml files in"):
        read_truth(tmp_path, NAMES)


def test_voc_to_coco_and_back(tmp_path):
    write_xml(
        tmp_path / "first",
        voc(voc_object(), voc_object("tv", "3.25 3 9 9.5", "<difficult>1</difficult>"), name="a.png"),
        "day/a.xml",
    )
    write_xml(tmp_path / "first", voc(voc_object(extra="<iscrowd>1</iscrowd>"), name="b.png"), "b.xml")
    first = read_voc(tmp_path / "first", NAMES)
    as_coco = read_coco(write_json(tmp_path, first.to_coco()), NAMES)
    written = write_voc(as_coco, tmp_path / "second")
    assert [path.relative_to(tmp_path / "second").as_posix() for path in written] == ["b.xml", "day/a.xml"]
    second = read_voc(tmp_path / "second", NAMES)
    for truth in (as_coco, second):
        assert truth.pictures == first.pictures
        assert truth.category_ids == first.category_ids
        for stem, objects in first.objects.items():
            assert truth.objects[stem].class_names == objects.class_names
            for field in ("boxes", "areas", "iscrowd", "difficult"):
                assert np.array_equal(getattr(truth.objects[stem], field), getattr(objects, field))
    with pytest.raises(DetectionError, match=r"b\.xml exists"):
        write_voc(first, tmp_path / "second")


# YOLO


def yolo(
    folder: Path,
    labels: str | None,
    data: str,
    size: tuple[int, int] = (200, 100),
    orientation: int = 1,
    suffix: str = ".jpg",
) -> Path:
    (folder / "images" / "val").mkdir(parents=True)
    (folder / "labels" / "val").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size).save((folder / "images" / "val" / "a").with_suffix(suffix), exif=exif)
    if labels is not None:
        (folder / "labels" / "val" / "a.txt").write_text(labels)
    (folder / "data.yaml").write_text(data)
    return folder


DATA = "path: .\nval: images/val\nnames: [person, tvmonitor, kart]\n"


@pytest.mark.parametrize(
    "names",
    [
        "[person, tvmonitor, kart]",
        "{0: person, 1: tvmonitor, 2: kart}",
        """{"0": person, '1': tvmonitor, 2: kart}""",
    ],
)
def test_yolo_rows_are_fractions_of_the_picture(tmp_path, names):
    folder = yolo(
        tmp_path, "0 0.5 0.5 0.2 0.4\n\n1 0.25 0.5 0.1 0.2\n2 0.5 0.5 0.1 0.1\n", f"val: images/val\nnames: {names}"
    )
    truth = read_truth(folder, NAMES)
    assert truth.stems == ("a",)
    assert (truth.pictures[0].width, truth.pictures[0].height) == (200, 100)
    assert truth.objects["a"].class_names == ("person", "tv")
    assert truth.objects["a"].boxes == pytest.approx(np.array([[80, 30, 120, 70], [40, 40, 60, 60]]))
    assert truth.report["unknown_names"] == {"kart": {"count": 1, "nearest": None}}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_yolo_pictures_are_upright(tmp_path, suffix):
    truth = read_truth(yolo(tmp_path, "0 0.5 0.5 1 1", DATA, orientation=6, suffix=suffix), NAMES)
    assert truth.objects["a"].boxes.tolist() == [[0, 0, 100, 200]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_yolo_pictures_lie_on_their_side_in_four_orientations_of_eight(tmp_path, orientation):
    truth = read_truth(yolo(tmp_path, "0 0.5 0.5 1 1", DATA, orientation=orientation), NAMES)
    assert truth.objects["a"].boxes.tolist() == [[0, 0, *((100, 200) if orientation > 4 else (200, 100))]]


@pytest.mark.parametrize(("behind", "says"), [(True, True), (False, True), (False, False)])
def test_a_yolo_png_is_upright_and_decoded_only_where_an_orientation_lies_behind_its_pixels(
    tmp_path, monkeypatch, behind, says
):
    folder = yolo(tmp_path, "0 0.5 0.5 1 1", DATA, orientation=6 if says else 1, suffix=".png")
    picture = folder / "images" / "val" / "a.png"
    png = picture.read_bytes()
    at = png.find(b"eXIf") - 4
    if says:
        chunk = png[at : at + 12 + int.from_bytes(png[at : at + 4])]
        rest = png[:at] + png[at + len(chunk) :]
        end = rest.rindex(b"IEND") - 4
        picture.write_bytes(rest[:end] + chunk + rest[end:] if behind else png)
    decoded = []
    load = ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: (decoded.append(image), load(image))[1])
    assert read_truth(folder, NAMES).objects["a"].boxes.tolist() == [[0, 0, *((100, 200) if says else (200, 100))]]
    assert bool(decoded) is behind


@pytest.mark.parametrize("chunk", ["XML:com.adobe.xmp", "Raw profile type exif"])
def test_a_yolo_png_may_tell_its_orientation_in_a_text(tmp_path, chunk):
    folder = yolo(tmp_path, "0 0.5 0.5 1 1", DATA)
    kept = folder / "images" / "val" / "a.jpg"
    kept.unlink()
    exif = Image.Exif()
    exif[0x0112] = 6
    content = exif.tobytes()
    texts = {
        "XML:com.adobe.xmp": '<x:xmpmeta tiff:Orientation="6"/>',
        "Raw profile type exif": f"\nexif\n{len(content):8}\n{content.hex()}\n",
    }
    info = PngImagePlugin.PngInfo()
    info.add_itxt(chunk, texts[chunk])
    Image.new("RGB", (200, 100)).save(kept.with_suffix(".png"), pnginfo=info)
    assert deblur.pictures.read_picture(kept.with_suffix(".png")).shape == (200, 100, 3)
    assert read_truth(folder, NAMES).objects["a"].boxes.tolist() == [[0, 0, 100, 200]]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_yolo_picture_whose_exif_is_damaged_counts_as_it_is_stored(tmp_path, suffix):
    folder = yolo(tmp_path, "0 0.5 0.5 1 1", DATA)
    kept = folder / "images" / "val" / "a.jpg"
    kept.unlink()
    Image.new("RGB", (200, 100)).save(kept.with_suffix(suffix), exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert read_truth(folder, NAMES).objects["a"].boxes.tolist() == [[0, 0, 200, 100]]


def test_a_yolo_split_that_is_no_path_is_one_clear_line(tmp_path):
    folder = yolo(tmp_path, None, f"val: {'x' * 300}\nnames: [person]\n")
    with pytest.raises(DetectionError, match=r"val is 'x+\.\.\.: File name too long"):
        read_truth(folder, NAMES)


@pytest.mark.parametrize(
    ("data", "listed", "stem"),
    [
        ("path: .\nval: images\\val\n", None, "a"),
        ("path: ..\\set\nval: images\\val\n", None, "a"),
        ("path: .\nval: images\\val.txt\n", ".\\val\\a.jpg", "a"),
        ("path: .\nval: val.txt\n", "images\\val\\a.jpg", "val/a"),
    ],
)
def test_paths_of_a_yolo_set_may_be_written_on_windows(tmp_path, data, listed, stem):
    folder = yolo(tmp_path / "set", "0 0.5 0.5 1 1", f"{data}names: [person]\n")
    if listed is not None:
        (folder / ("images/val.txt" if "images" in data else "val.txt")).write_text(f"{listed}\r\n")
    truth = read_truth(folder, NAMES)
    assert truth.stems == (stem,)
    assert len(truth.objects[stem].class_names) == 1


def test_a_name_of_a_yolo_set_may_hold_a_backslash(tmp_path):
    folder = yolo(tmp_path, "0 0.5 0.5 1 1", "path: .\nval: 'images\\val'\nnames: [person]\n")
    (folder / "images/val").rename(folder / "images\\val")
    assert read_truth(folder, NAMES).stems == ("a",)


def test_linked_folders_of_a_yolo_split_are_entered(tmp_path):
    folder = yolo(tmp_path / "set", "0 0.5 0.5 1 1", DATA)
    far = yolo(tmp_path / "far", "0 0.5 0.5 1 1", DATA)
    for part in ("images", "labels"):
        (folder / part / "val/more").symlink_to(far / part / "val")
    (folder / "images/val/again").symlink_to(folder / "images/val")
    truth = read_truth(folder, NAMES)
    assert truth.stems == ("a", "more/a")
    assert all(len(objects.class_names) == 1 for objects in truth.objects.values())


def test_what_is_hidden_in_a_yolo_folder_is_left_out(tmp_path):
    folder = yolo(tmp_path, "0 0.5 0.5 1 1", DATA)
    (folder / "images/val/._a.jpg").write_bytes(b"a Mac's notes on a.jpg")
    (folder / "images/val/.thumbnails").mkdir()
    (folder / "images/val/.thumbnails/a.jpg").write_bytes((folder / "images/val/a.jpg").read_bytes())
    assert read_truth(folder, NAMES).stems == ("a",)


def test_a_yolo_polygon_is_read_as_its_box(tmp_path):
    truth = read_truth(yolo(tmp_path, "0 0.1 0.2 0.5 0.1 0.3 0.9", DATA), NAMES)
    assert truth.objects["a"].boxes == pytest.approx(np.array([[20, 10, 100, 90]]))


@pytest.mark.parametrize("number", ["1.0", "1.000000000000000000e+00"])  # the latter as of numpy.savetxt
def test_yolo_classes_are_whole_numbers_however_they_are_written(tmp_path, number):
    truth = read_truth(yolo(tmp_path, f"{number} 0.5 0.5 0.2 0.4", DATA), NAMES)
    assert truth.objects["a"].class_names == ("tv",)


@pytest.mark.parametrize(
    ("row", "box"),
    [
        ("0 1.01 0.5 0.2 0.4", [182, 30, 200, 70]),
        ("0 0.5 -0.01 1.01 0.4", [0, 0, 200, 19]),
        ("0 0.95 0.5 0.2 0.4", [170, 30, 200, 70]),  # nothing is beyond 0..1 but the corner that follows
        ("0 0.5 0.1 0.5 1", [50, 0, 150, 60]),
        ("0 -0.01 0.2 0.5 0.1 0.3 1.005", [0, 10, 100, 100]),
    ],
)
def test_yolo_rows_that_reach_a_little_beyond_the_picture_are_clipped(tmp_path, row, box):
    truth = read_truth(yolo(tmp_path, row, DATA), NAMES)
    assert truth.objects["a"].boxes == pytest.approx(np.array([box]))
    assert len(truth.report["clipped_boxes"]) == 1


@pytest.mark.parametrize(
    ("shape", "keypoints"),
    [
        ("[2, 3]", "0.9 0.9 2 0 0 0"),
        ("[1, 2]", "0.9 0.9"),  # as many numbers as a polygon of three points
        ("[2, 2]", "nan nan 700 0.1"),
    ],
)
def test_yolo_keypoints_leave_the_box_as_it_is(tmp_path, shape, keypoints):
    truth = read_truth(yolo(tmp_path, f"0 0.5 0.5 0.2 0.4 {keypoints}", f"{DATA}kpt_shape: {shape}\n"), NAMES)
    assert truth.objects["a"].boxes == pytest.approx(np.array([[80, 30, 120, 70]]))


def test_a_yolo_picture_without_labels_has_no_objects(tmp_path):
    truth = read_truth(yolo(tmp_path, None, DATA), NAMES)
    assert truth.report["pictures_without_label_file"] == ["a"]
    assert truth.report["pictures_without_truth"] == ["a"]
    assert truth.report["label_file_looked_for"] == str(tmp_path / "labels" / "val" / "a.txt")
    assert "pictures without a label file, taken as empty: 1 (a)" in report_lines(truth.report)


def test_an_empty_yolo_label_file_is_none_that_is_missing(tmp_path):
    report = read_truth(yolo(tmp_path, "", DATA), NAMES).report
    assert report["pictures_without_truth"] == ["a"]
    assert "label file" not in "\n".join(report_lines(report))


def test_a_yolo_split_holds_every_picture_that_is_read_elsewhere(tmp_path):
    assert PICTURE_SUFFIXES == deblur.pictures.PICTURE_SUFFIXES


@pytest.mark.parametrize("listed", [False, True])
def test_pictures_of_several_yolo_folders_may_have_like_names(tmp_path, listed):
    for camera, row in (("cam1", "0 0.5 0.5 0.2 0.4"), ("cam2", "")):
        (tmp_path / camera / "images").mkdir(parents=True)
        (tmp_path / camera / "labels").mkdir()
        Image.new("RGB", (200, 100)).save(tmp_path / camera / "images" / "0001.jpg")
        (tmp_path / camera / "labels" / "0001.txt").write_text(row)
    (tmp_path / "val.txt").write_text("cam1/images/0001.jpg\ncam2/images/0001.jpg\n")
    split = "val.txt" if listed else "[cam1/images, cam2/images]"
    (tmp_path / "data.yaml").write_text(f"val: {split}\nnames: [person]\n")
    truth = read_truth(tmp_path / "data.yaml", NAMES)
    assert {stem: len(objects) for stem, objects in truth.objects.items()} == {
        "cam1/images/0001": 1,
        "cam2/images/0001": 0,
    }


def test_a_yolo_split_may_be_a_list_of_files(tmp_path):
    folder = yolo(tmp_path, "0 0.5 0.5 0.2 0.4", "test: val.txt\nnames: [person]\n")
    (folder / "val.txt").write_text("images/val/a.jpg\n")
    truth = read_truth(folder / "data.yaml", NAMES, split="test")
    assert truth.stems == ("val/a",)
    assert len(truth.objects["val/a"]) == 1


@pytest.mark.parametrize("split", ["../images/val", "[../images/val]", "../val.txt"])
def test_a_yolo_split_that_is_not_there_is_read_without_its_first_step_up(tmp_path, split):
    """Roboflow writes ``../valid/images`` for the folder ``valid/images`` beside its data file."""
    folder = yolo(tmp_path / "set", "0 0.5 0.5 0.2 0.4", f"val: {split}\nnames: [person]\n")
    (folder / "val.txt").write_text("images/val/a.jpg\n")
    truth = read_truth(folder, NAMES)
    assert [len(objects) for objects in truth.objects.values()] == [1]
    named = split.strip("[]")
    said = f"paths of the split that are not there, read without their first ../: 1 ({named})"
    assert said in report_lines(truth.report)


def test_a_yolo_split_that_is_there_keeps_its_step_up(tmp_path):
    yolo(tmp_path, "0 0.5 0.5 0.2 0.4\n1 0.5 0.5 0.2 0.4", DATA)
    folder = yolo(tmp_path / "set", "0 0.5 0.5 0.2 0.4", "val: ../images/val\nnames: [person, tv]\n")
    truth = read_truth(folder, NAMES)
    assert truth.objects["a"].class_names == ("person", "tv")
    assert "split_paths_without_parent" not in truth.report


def test_yolo_pictures_may_have_suffixes_as_cameras_write_them(tmp_path):
    assert read_truth(yolo(tmp_path, "0 0.5 0.5 1 1", DATA, suffix=".JPG"), NAMES).stems == ("a",)


def test_yolo_labels_lie_beside_the_last_folder_of_images(tmp_path):
    truth = read_truth(yolo(tmp_path / "images/set", "0 0.5 0.5 1 1", DATA), NAMES)
    assert len(truth.objects["a"]) == 1


def test_yolo_labels_may_lie_beside_the_pictures(tmp_path):
    folder = yolo(tmp_path, None, DATA)
    (folder / "images" / "val" / "a.txt").write_text("0 0.5 0.5 0.2 0.4")
    assert len(read_truth(folder, NAMES).objects["a"]) == 1


@pytest.mark.parametrize(
    ("labels", "data", "message"),
    [
        ("0 0.5 0.5 0.2", DATA, r"a\.txt:1: 3 numbers after the class, 4 or a polygon"),
        ("0 0.5 0.5 0.2 0.4\nperson 1 1 1 1", DATA, r"a\.txt:2: 'person 1 1 1 1' is not"),
        ("0 0.5 0.5 0.2 nan", DATA, r"a\.txt:1: the row has numbers that are not finite"),
        ("5 0.5 0.5 0.2 0.4", DATA, r"a\.txt:1: class 5 is not among the names"),
        ("0.5 0.5 0.5 0.2 0.4", DATA, r"a\.txt:1: '0\.5 0\.5 0\.5 0\.2 0\.4' is not"),
        ("nan 0.5 0.5 0.2 0.4", DATA, r"a\.txt:1: 'nan 0\.5"),
        ("inf 0.5 0.5 0.2 0.4", DATA, r"a\.txt:1: 'inf 0\.5"),
        ("-1.0 0.5 0.5 0.2 0.4", DATA, r"a\.txt:1: class -1 is not among the names"),
        ("0 0.5 0.5 0.2 0.4 0.87", DATA, r"a\.txt:1: a sixth number looks like a score: .* are no annotations"),
        ("0 0.5 0.5 0.2 0.4 87", DATA, r"a\.txt:1: 5 numbers after"),
        ("0 100 100 50 50", DATA, r"a\.txt:1: the row has numbers above 1 \(100\): YOLO rows are fractions"),
        ("0 0.5 0.5 1.02 0.4", DATA, r"numbers above 1 \(1\.02\)"),
        ("0 0.5 0.5 0.2 0.4\n0 0.5 -0.4 0.2 0.4", DATA, r"a\.txt:2: the row has numbers below 0 \(-0\.4\)"),
        ("0 10 10 90 10 90 90 10 90", DATA, r"a\.txt:1: the row has numbers above 1 \(10\)"),
        ("0 0.1 0.2 0.5 0.1 0.3 1.02", DATA, r"numbers above 1 \(1\.02\)"),
        ("0 100 100 50 50 0 0", DATA + "kpt_shape: [1, 2]", r"a\.txt:1: the row has numbers above 1 \(100\)"),
        ("0 0.5 0.5 0.2 0.4", DATA + "kpt_shape: [17, 3]", r"a\.txt:1: 4 numbers after the class, .* a row has 55: "),
        ("0 0.1 0.2 0.5 0.1 0.3 0.9", DATA + "kpt_shape: [2, 2]", r"a\.txt:1: 6 numbers after the class, .* has 8: "),
        ("0 0.5 0.5 0.2 0.4 0 0 1 1", DATA + "kpt_shape: [1, 2]", r"a\.txt:1: 8 numbers after the class, .* has 6: "),
        ("", DATA + "kpt_shape: 17", r"data\.yaml: kpt_shape is 17, not two whole numbers"),
        ("", DATA + "kpt_shape: [17]", r"kpt_shape is \[17\], not two whole numbers"),
        ("", DATA + "kpt_shape: [17, 4]", r"kpt_shape is \[17, 4\], not two whole numbers"),
        ("", DATA + "kpt_shape: [0, 2]", r"kpt_shape is \[0, 2\], not two whole numbers"),
        ("", DATA + "kpt_shape: [1.5, 2]", r"kpt_shape is \[1\.5, 2\], not two whole numbers"),
        ("", "names: [person]\n", "has no split 'val'"),
        ("", "val: nowhere\nnames: [person]\n", "there is no .*nowhere"),
        ("", "val: ../nowhere\nnames: [person]\n", r"there is no .*\.\./nowhere"),
        ("", "val: labels\nnames: [person]\n", "holds no pictures"),
        ("", "val: images/val\n", "'names' is a list"),
        ("", "val: images/val\nnames: {first: person}\n", "'names' is a list"),
        ("", 'val: images/val\nnames: {0: person, "0": car}\n', "holds a number twice"),
        ("", "[1]", "not a YOLO data file"),
        ("", "val: [", "is not YAML"),
        ("", "val: 2026-13-45", "is not YAML: month must be in 1..12"),
        ("", "val: " + "[" * 5000, "nests too deep"),
        ("", "val: !!bool maybe", "is not YAML: a value is not of the kind that its tag says"),
        ("", "val: !!timestamp now", "is not YAML: a value is not of the kind that its tag says"),
    ],
)
def test_a_bad_yolo_file_is_one_clear_line(tmp_path, labels, data, message):
    with pytest.raises(DetectionError, match=message) as caught:
        read_truth(yolo(tmp_path, labels, data), NAMES)
    assert "\n" not in str(caught.value)


def test_a_yolo_picture_that_is_none_is_one_clear_line(tmp_path):
    folder = yolo(tmp_path, None, DATA)
    (folder / "images" / "val" / "b.png").write_bytes(b"not a picture")
    with pytest.raises(DetectionError, match=r"cannot read the picture .*b\.png"):
        read_truth(folder, NAMES)


@pytest.mark.parametrize(
    "name", ["/set/x/1.png", "C:\\set\\x\\1.png", "../set/x/1.png", "set/y/../x/./1.png", "//set/x/1.png"]
)
def test_what_is_made_of_a_picture_stays_in_its_folder_whatever_its_name(tmp_path, name):
    truth = read_coco(write_json(tmp_path, images(name)), NAMES)
    assert truth.stems == ("set/x/1",)
    assert truth.match(["1"]) == {"set/x/1": "1"}


@pytest.mark.parametrize("name", ["/", "..", "a/.."])
def test_a_name_of_no_file_is_refused(tmp_path, name):
    with pytest.raises(DetectionError, match="is not the name of a picture file"):
        read_coco(write_json(tmp_path, images(name)), NAMES)
