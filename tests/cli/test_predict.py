"""Predictions for files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

import dlcore as dl
from dlcore.cli import main
from dlcore.cli._inputs import Inputs, read_rows
from dlcore.cli._predict import rows_of
from dlcore.errors import DataError

DIGIT = Inputs((8, 8, 1), np.dtype("float32"))
FLOWER = Inputs((2,), np.dtype("float32"), ("length", "width"))


def predictions(*arguments: object, out: Path) -> list[dict[str, str]]:
    main(["predict", *map(str, arguments), "--out", str(out)])
    with open(out, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_rows_of_a_table_get_the_class_and_probability_that_the_run_gives(runs, tmp_path):
    iris = dl.data.iris()
    x = iris.train["x"][:7]
    backwards = iris.feature_names[::-1]  # columns go by name, not by place
    with open(tmp_path / "x.csv", "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([backwards, *x[:, ::-1].tolist()])
    found = predictions(runs / "iris", tmp_path / "x.csv", out=tmp_path / "p.csv")
    shares = softmax(np.asarray(dl.load(runs / "iris").predict(x), float), axis=1)
    assert [row["class"] for row in found] == [iris.classes[i] for i in shares.argmax(1)]
    assert [float(row["probability"]) for row in found] == pytest.approx(shares.max(1))
    assert [row["row"] for row in found] == list("0123456")


def test_a_run_with_seeds_gives_the_mean_of_its_values(runs, tmp_path):
    x = np.asarray(dl.data.diabetes().train["x"][:3])
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "one.npy", x[0])
    found = predictions(runs / "diabetes", tmp_path / "x.npy", tmp_path / "one.npy", out=tmp_path / "p.csv")
    means = np.asarray(dl.load(runs / "diabetes").predict(x)).mean(axis=0)[:, 0]
    assert [float(row["value"]) for row in found] == pytest.approx([*means, means[0]], rel=1e-5)
    assert [row["file"] for row in found] == [str(tmp_path / "x.npy")] * 3 + [str(tmp_path / "one.npy")]


def test_an_image_of_a_digit_is_the_digit_that_the_array_is(runs, tmp_path, capsys):
    digits = dl.data.digits()
    pixels = np.round(digits.train["x"][:4, :, :, 0] * 255).astype(np.uint8)
    files = []
    for index, one in enumerate(pixels):
        large = one.repeat(4, axis=0).repeat(4, axis=1)
        Image.fromarray(large if index % 2 else 255 - large).save(tmp_path / f"{index}.png")
        files.append(tmp_path / f"{index}.png")
    plain = read_rows(files[1], DIGIT)
    np.testing.assert_allclose(plain[0, :, :, 0], pixels[1] / 255, atol=0.35)  # smoothed over the borders of pixels
    inverted = read_rows(files[0], DIGIT._replace(invert=True))
    np.testing.assert_allclose(inverted[0, :, :, 0], pixels[0] / 255, atol=0.35)
    main(["predict", str(runs / "mlp"), str(files[1]), str(files[3])])
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 3 and "probability" in out


def test_images_of_every_kind_come_to_the_size_and_the_channels(tmp_path):
    shaded = np.linspace(0, 255, 30 * 20, dtype=np.uint8).reshape(30, 20)
    colored = Image.fromarray(np.stack([shaded, shaded, shaded], axis=2))
    for name, picture in {
        "gray.png": Image.fromarray(shaded),
        "color.jpg": colored,
        "palette.gif": colored.convert("P"),
        "bits.bmp": Image.fromarray(shaded).convert("1"),
        "clear.png": colored.convert("RGBA"),
    }.items():
        picture.save(tmp_path / name)
        for channels in (1, 3):
            x = read_rows(tmp_path / name, DIGIT._replace(shape=(15, 10, channels)))
            assert x.shape == (1, 15, 10, channels) and x.dtype == np.float32
            assert 0 <= x.min() < 0.2 and 0.8 < x.max() <= 1


def test_images_are_read_as_those_of_a_folder_are_for_training(tmp_path):
    picture = Image.fromarray(np.array([[0, 255], [0, 255]], np.uint8))
    exif = Image.Exif()
    exif[274] = 3  # half a turn
    picture.save(tmp_path / "turned.png", exif=exif)
    turned = read_rows(tmp_path / "turned.png", DIGIT._replace(shape=(2, 2, 1)))
    assert turned[0, 0, 0, 0] > 0.9 > turned[0, 0, 1, 0]
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_rows(tmp_path / "clear.png", DIGIT).min() == 1  # white paper, and not black ink
    for name in ("turned.png", "clear.png"):
        expected = dl.data.read_image(tmp_path / name, 8, channels=1)
        np.testing.assert_array_equal(read_rows(tmp_path / name, DIGIT)[0], expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("length,width\n", "expected rows below the header, found none"),
        ("", "expected a header and rows, found an empty file"),
        ("1,2\n3,4\n", "expected a header with the names of the features, found numbers"),
        ("length,widht\n1,2\n", "no feature 'widht'; did you mean 'width'?"),
        ("length\n1\n", "found none for 'width'"),
        ("length,length,width\n1,2,3\n", "expected different column names, found 'length' for the columns 1 and 2"),
        ("length,width\n1,2\n3\n", "line 3: expected 2 fields as in the header, found 1"),
        ("length,width\n1,wide\n", "line 2, column 'width': expected a number, found 'wide'"),
        ("length,width\n1,nan\n", "line 2, column 'width': expected a number, found a missing value"),
        ("length,width\n1,inf\n", "expected finite numbers, found inf in row 0"),
        ('length,width\n1,"2\n', "line 2: expected a row of a CSV file, found none"),
    ],
)
def test_a_table_that_is_wrong_is_said_with_line_and_name(text, words, tmp_path):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_rows(tmp_path / "x.csv", FLOWER)
    assert words in str(caught.value) and str(tmp_path / "x.csv") in str(caught.value)


def test_files_that_are_not_what_they_are_called_are_refused(tmp_path):
    np.save(tmp_path / "bytes.npy", np.zeros((8, 8, 1), np.uint8))
    np.save(tmp_path / "small.npy", np.zeros((3, 7, 7, 1), np.float32))
    np.save(tmp_path / "none.npy", np.zeros((0, 8, 8, 1), np.float32))
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "text.npy").write_text("hello")
    whole = (tmp_path / "small.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-8])
    (tmp_path / "huge.npy").write_bytes(whole.replace(b"(3, 7, 7, 1), ", b"(99999999999,)"))
    Image.new("L", (9, 9)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:45])
    (tmp_path / "wrong.png").write_text("hello")
    (tmp_path / "words.txt").write_text("hello")
    (tmp_path / "rows.csv").write_text("a\n1\n")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "deep.tiff")
    for name, words in {
        "bytes.npy": "found uint8; divide by 255",
        "small.npy": "expected examples of shape (8, 8, 1), found (7, 7, 1)",
        "none.npy": "expected one or more examples, found none",
        "objects.npy": "expected an array of real numbers, found dtype object",
        "text.npy": "expected a .npy file",
        "cut.npy": "expected 588 bytes for float32 (3, 7, 7, 1), found 580",
        "huge.npy": "expected 399999999996 bytes",
        "cut.png": "expected a whole image",
        "wrong.png": "expected an image",
        "deep.tiff": "found 32 bits without a known range",
        "words.txt": "found a text",
        "rows.csv": "found a table",
        "nowhere.png": "expected a file, found nothing",
    }.items():
        with pytest.raises(DataError) as caught:
            read_rows(tmp_path / name, DIGIT)
        assert str(tmp_path / name) in str(caught.value) and words in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"found '\.png'"):
        read_rows(tmp_path / "whole.png", FLOWER)


def test_numbers_on_another_scale_are_reported(tmp_path):
    bounds = np.array([-1.5, -2.0], np.float32), np.array([2.5, 3.0], np.float32)
    (tmp_path / "x.csv").write_text("length,width\n0,0\n5.1,3.5\n")
    with pytest.warns(UserWarning, match=r"length is 5\.1 in row 1, outside -1\.5 to 2\.5 of the training data"):
        read_rows(tmp_path / "x.csv", FLOWER._replace(bounds=bounds))
    (tmp_path / "x.csv").write_text("length,width\n2.6,3.5\n")
    read_rows(tmp_path / "x.csv", FLOWER._replace(bounds=bounds))


def test_lines_of_text_become_tokens(tmp_path):
    tokenizer = dl.data.char_tokenizer("abc")
    tokenizer.save(tmp_path / "t.json")
    (tmp_path / "x.txt").write_text("abc\ncab\n")
    inputs = Inputs((3,), np.dtype("int32"), tokenizer=tmp_path / "t.json")
    np.testing.assert_array_equal(read_rows(tmp_path / "x.txt", inputs), [tokenizer.encode(s) for s in ("abc", "cab")])
    for changed, words in (
        (inputs._replace(shape=(4,)), "expected 4 tokens a line, found 3 in line 1"),
        (inputs._replace(tokenizer=None), "--tokenizer FILE"),
        (inputs._replace(tokenizer=tmp_path / "none.json"), "expected a tokenizer file, found nothing"),
    ):
        with pytest.raises(DataError, match=words):
            read_rows(tmp_path / "x.txt", changed)


class Fixed:
    """A run whose outputs are given."""

    def __init__(self, outputs, classes=()):
        self.outputs, self.lanes, self.data = outputs, None, None
        if classes:
            self.data = type("Data", (), {"classes": classes})

    def predict(self, x):
        return self.outputs


def test_one_logit_is_the_probability_of_the_second_class():
    rows = rows_of(Fixed(np.array([[2.0], [-1.0]]), ("no", "yes")), Path("f"), np.zeros((2, 1)))
    assert [row["class"] for row in rows] == ["yes", "no"]
    assert [row["probability"] for row in rows] == pytest.approx([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1))])


def test_without_its_data_a_run_gives_values_and_sequences_are_refused():
    rows = rows_of(Fixed(np.array([[2.0, 3.0]])), Path("f"), np.zeros((1, 1)))
    assert rows == [{"file": "f", "row": 0, "value 0": 2.0, "value 1": 3.0}]
    for outputs in (np.zeros((1, 2, 3)), {"a": 1}):
        with pytest.raises(ValueError, match="expected "):
            rows_of(Fixed(outputs, ("a", "b", "c")), Path("f"), np.zeros((1, 1)))


def test_predict_refuses_in_one_line(runs, tmp_path, refused):
    assert "expected one or more files" in refused("predict", runs / "iris")
    assert "found '.png'" in refused("predict", runs / "iris", runs / "iris" / "curves.png")
    assert "expected a file, found a folder" in refused("predict", runs / "iris", tmp_path)
