"""`dlcore predict`."""

from pathlib import Path
from typing import Any

from dlcore.cli._files import check_place, check_run, write_whole


def predict(
    run: Path, files: tuple[Path, ...], /, out: Path | None = None, invert: bool = False, tokenizer: Path | None = None
) -> None:
    """Predict with a trained run, for files: class and probability of each row, or its value.

    Args:
        run: the folder of the run.
        files: images (whatever Pillow reads), brought to the size of the run's inputs, grey or colour, from 0 for black
            to 1 for white; .npy arrays, one example or rows of them; .csv tables with a header, whose columns are found
            by the names of the features; .txt texts, an example a line, which need a tokenizer. Arrays and tables hold
            numbers on the scale that the run was trained on: `dlcore show DATA` prints such rows.
        out: a CSV file to write the rows to, whole or not at all.
        invert: make dark light in images: for ink on paper, where the run was trained with light ink.
        tokenizer: a file that `save` of one of the tokenizers in dlcore.data has written.
    """
    if not files:
        raise ValueError("predict: expected one or more files after the run, found none")
    run = check_run(run)
    if out is not None:
        out = check_place(out)
    from dlcore.cli._inputs import Inputs, read_rows
    from dlcore.report import table_csv, table_text
    from dlcore.train import load

    loaded = load(run)
    inputs = Inputs.of(loaded, run, invert, tokenizer)
    read = [(file, read_rows(file, inputs)) for file in files]  # all of them, before anything is computed
    rows = [row for file, x in read for row in rows_of(loaded, file, x)]
    if out is None:
        print(table_text(rows))
    else:
        write_whole(out, table_csv(rows).encode("utf-8", "surrogateescape"))
        print(f"predictions: {out}")


def rows_of(run: Any, file: Path, x: Any) -> list[dict[str, Any]]:
    """Returns a row an example: file, row, and class with its probability, or the values of the output.

    Args:
        run: a loaded run; one with seeds gives the mean over them, of probabilities or of values.
        file: what to call the examples.
        x: (N, ...) inputs.

    Raises:
        ValueError: for outputs that are no numbers for each example, such as those of a sequence.
    """
    import numpy as np
    from scipy.special import softmax

    outputs = run.predict(x)
    if not hasattr(outputs, "shape"):
        raise ValueError(f"{file}: expected a model with one output, found several")
    outputs = np.asarray(outputs, np.float64) if run.lanes else np.asarray(outputs, np.float64)[None]
    if outputs.ndim not in (2, 3):  # (lanes, N, outputs)
        raise ValueError(f"{file}: expected an output (N, K) for N examples, found {outputs.shape[1:]}")
    outputs = outputs.reshape(len(outputs), len(x), -1)
    names = run.data.classes if run.data is not None else ()
    rows = [{"file": str(file), "row": number} for number in range(len(x))]
    if not names:
        columns = ["value"] if outputs.shape[2] == 1 else [f"value {index}" for index in range(outputs.shape[2])]
        values = outputs.mean(axis=0)
        return [row | dict(zip(columns, map(float, own), strict=True)) for row, own in zip(rows, values, strict=True)]
    if outputs.shape[2] == 1 and len(names) == 2:  # one logit, of the second class
        outputs = np.concatenate([np.zeros_like(outputs), outputs], axis=2)
    if outputs.shape[2] != len(names):
        raise ValueError(f"{file}: expected an output for each of {len(names)} classes, found {outputs.shape[2]}")
    shares = softmax(outputs, axis=2).mean(axis=0)
    return [
        row | {"class": names[int(own.argmax())], "probability": float(own.max())}
        for row, own in zip(rows, shares, strict=True)
    ]
