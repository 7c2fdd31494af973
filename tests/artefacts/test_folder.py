"""Model folders: what is written is read back, equal models are equal bytes, and nothing that was forged is loaded."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from runner import artefacts
from runner.artefacts import skops_file
from runner.errors import InputError

ROWS = 120


def table_of(rows: int = ROWS) -> pandas.DataFrame:
    """Columns of every kind, one of them with gaps."""
    chance = numpy.random.default_rng(0)
    table = pandas.DataFrame(
        {
            "x": chance.normal(size=rows),
            "n": chance.integers(0, 5, rows),
            "city": chance.choice(["Bonn", "Köln"], rows),
            "paid": chance.choice([True, False], rows),
            "note": chance.choice(["late again", "all is well"], rows),
        }
    )
    table.loc[3, "x"] = numpy.nan
    return table


def model_of(last: Any, table: pandas.DataFrame, outputs: pandas.Series) -> Any:
    """A pipeline that keeps sets, dictionaries, arrays and trees."""
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"]),
        (TfidfVectorizer(stop_words=["all", "is", "a", "the"]), "note"),
        ("passthrough", ["x", "n", "paid"]),
        sparse_threshold=0,
    )
    return make_pipeline(columns, last).fit(table, outputs)


def write(folder: Path, **options: Any) -> tuple[Any, pandas.DataFrame]:
    """A folder with a classifier, and what went into it."""
    table = table_of()
    outputs = pandas.Series(numpy.where(table["n"] > 2, "yes", "no"))
    model = model_of(HistGradientBoostingClassifier(max_iter=3, random_state=0), table, outputs)
    given = {"features": table, "target": "churned", "outputs": outputs, "task": "classification", "seed": 1}
    artefacts.write(folder, model, **given | options)
    return model, table


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], Any, pandas.DataFrame]:
    """The files of one folder, and the model and table that they are of."""
    folder = tmp_path_factory.mktemp("model") / "m"
    model, table = write(folder, facts={"why": "a test"})
    return {path.name: path.read_bytes() for path in folder.iterdir()}, model, table


@pytest.fixture
def folder(tmp_path: Path, written: tuple[dict[str, bytes], Any, pandas.DataFrame]) -> Path:
    made = tmp_path / "m"
    made.mkdir()
    for name, data in written[0].items():
        (made / name).write_bytes(data)
    return made


def put(folder: Path, name: str, data: bytes, **manifest: Any) -> None:
    """Exchange a file as somebody would who can also write the manifest."""
    (folder / name).write_bytes(data)
    told = json.loads((folder / "manifest.json").read_bytes()) | manifest
    told["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    (folder / "manifest.json").write_text(json.dumps(told))


def test_a_model_comes_back_as_it_was_with_all_that_is_known_of_it(
    folder: Path, written: tuple[dict[str, bytes], Any, pandas.DataFrame], tmp_path: Path
) -> None:
    _, model, table = written
    found = artefacts.read(folder)
    assert (found.task, found.target, found.classes) == ("classification", "churned", ("no", "yes"))
    assert (found.features, found.facts) == (("x", "n", "city", "paid", "note"), {"why": "a test"})
    assert found.manifest == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert found.expected is not None
    assert found.expected["prediction"] == model.predict(found.aligned(table.head())).tolist()
    example = pandas.DataFrame(found.example["data"], columns=found.example["columns"])
    numpy.testing.assert_allclose(found.expected["probabilities"], found.predict_proba(example), rtol=1e-11)
    assert found.predict(table).tolist() == model.predict(table).tolist()
    numpy.testing.assert_array_equal(found.predict_proba(table), model.predict_proba(table))
    table.iloc[::-1].assign(more=1).to_csv(tmp_path / "t.csv", index=False)
    again = pandas.read_csv(tmp_path / "t.csv")[["more", "note", "paid", "city", "n", "x"]]
    assert found.predict(again).tolist() == model.predict(table)[::-1].tolist()


def test_the_signature_is_a_schema_of_rows_and_tells_what_was_seen(folder: Path) -> None:
    from jsonschema import Draft202012Validator

    signature = artefacts.read(folder).signature
    row = {"x": None, "n": 99, "city": "Ulm", "paid": True, "note": ""}
    validator = Draft202012Validator(signature["input"])
    assert list(validator.iter_errors(row)) == []
    assert [error.message for error in validator.iter_errors({**row, "n": "9"})] == ["'9' is not of type 'integer'"]
    seen = {name: told["x-seen"] for name, told in signature["input"]["properties"].items()}
    assert seen["city"] == {"missing": 0.0, "distinct": 2, "categories": ["Bonn", "Köln"]}
    assert (seen["n"]["minimum"], seen["n"]["maximum"], seen["x"]["missing"]) == (0, 4, pytest.approx(1 / ROWS))
    assert signature["output"]["properties"]["prediction"] == {"enum": ["no", "yes"]}
    for name in ("example.json", "reference.json", "MLmodel"):
        json.loads((folder / name).read_text(encoding="utf-8"))
    assert f"numpy=={numpy.__version__}" in (folder / "environment.txt").read_text()


def test_the_reference_counts_what_was_there(folder: Path) -> None:
    reference, table = artefacts.read(folder).reference, table_of()
    assert reference["features"]["city"]["counts"] == table["city"].value_counts().to_dict()
    told = reference["features"]["x"]
    assert (sum(told["histogram"]["counts"]), told["missing"]) == (ROWS - 1, 1)
    assert told["quantiles"]["0.5"] == table["x"].median()
    assert len(reference["sample"]["features"]["data"]) == len(reference["sample"]["outputs"]["data"]) == ROWS


_PROGRAM = (
    "import sys; from tests.artefacts.test_folder import write; from pathlib import Path; write(Path(sys.argv[1]))"
)


def test_equal_models_are_equal_bytes_also_in_another_process(tmp_path: Path) -> None:
    write(tmp_path / "a")
    environ = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", _PROGRAM, str(tmp_path / "b")], check=True, env=environ)
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab")
    assert one == other
    with zipfile.ZipFile(io.BytesIO(one["model.skops"])) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_trees_and_numbers_are_written_alike_when_they_are_trained_alike(tmp_path: Path) -> None:
    table = table_of()
    for last, outputs, task in (
        (RandomForestClassifier(3, random_state=0), table["paid"], "classification"),
        (Ridge(), table["n"] * 1.5, "regression"),
    ):
        plain = table.assign(x=table["x"].fillna(0), paid=table["paid"].astype(float))
        for name in "ab":
            given = {"features": plain, "target": "y", "outputs": outputs, "task": task, "seed": 0}
            artefacts.write(tmp_path / name, model_of(last, plain, outputs), **given)
        one, other = ((tmp_path / name / "manifest.json").read_bytes() for name in "ab")
        assert one == other
        assert artefacts.read(tmp_path / "a").predict(plain).shape == (ROWS,)


def _no_model(folder: Path) -> None:
    (folder / "model.skops").unlink()


def _no_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def _other_bytes(folder: Path) -> None:
    data = bytearray((folder / "reference.json").read_bytes())
    data[-5] ^= 1
    (folder / "reference.json").write_bytes(data)


def _longer(folder: Path) -> None:
    with (folder / "signature.json").open("ab") as file:
        file.write(b" ")


def _more(folder: Path) -> None:
    (folder / "conda.yaml").write_text("dependencies: [evil]")


def _elsewhere(folder: Path) -> None:
    (folder.parent / "out").write_bytes(b"")
    put(folder, "../out", b"")


def _newer(folder: Path) -> None:
    put(folder, "facts.json", b"{}", version=2)


def _unknown_format(folder: Path) -> None:
    put(folder, "facts.json", b"{}", format="marshal")


def _no_json(folder: Path) -> None:
    put(folder, "signature.json", b"{}")


def _no_archive(folder: Path) -> None:
    put(folder, "model.skops", b"PK")


def _packed(folder: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", " " * 1_000_000)
    put(folder, "model.skops", made.getvalue())


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_no_model, "model.skops: there is no such file"),
        (_no_manifest, "manifest.json: there is no such file"),
        (_other_bytes, "reference.json: its bytes are not those that the manifest names"),
        (_longer, "signature.json: its bytes are not those that the manifest names"),
        (_more, "conda.yaml: the manifest does not name this file"),
        (_elsewhere, "manifest.json: it is no manifest of a model folder"),
        (_newer, "manifest.json: it has version 2"),
        (_unknown_format, "no model format is called `marshal`"),
        (_no_json, "signature.json: it is not what a model folder holds"),
        (_no_archive, "model.skops: it cannot be loaded"),
        (_packed, "model.skops: its member schema.json is compressed"),
    ],
)
def test_a_folder_that_is_not_what_was_written_is_refused(
    spoil: Callable[[Path], None], told: str, folder: Path
) -> None:
    spoil(folder)
    with pytest.raises(InputError, match=f"(?s){told}"):
        artefacts.read(folder)


def test_a_digest_from_a_record_tells_a_folder_that_was_exchanged_whole(folder: Path) -> None:
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    artefacts.read(folder, digest=digest)
    put(folder, "facts.json", b"{}")
    artefacts.read(folder)
    with pytest.raises(InputError, match="its SHA-256 is not"):
        artefacts.read(folder, digest=digest)


class Touch:
    """What a forged pickle would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_type_that_nobody_allowed_is_refused_by_name_before_it_is_imported(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "evil_module.py").write_text(f"import os; os.mkdir({str(tmp_path / 'touched')!r})\nclass Model: ...\n")
    made = io.BytesIO()
    node = {"__class__": "Model", "__module__": "evil_module", "__loader__": "ObjectNode", "protocol": 2}
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("schema.json", json.dumps(node))
    put(folder, "model.skops", made.getvalue())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        with pytest.raises(InputError, match=r"types that nobody allowed: evil_module\.Model"):
            artefacts.read(folder)
        assert not (tmp_path / "touched").exists()
        assert type(artefacts.read(folder, trusted=["evil_module.Model"]).model).__name__ == "Model"
    assert (tmp_path / "touched").exists()


def _forged(folder: Path, change: Callable[[Any], None]) -> None:
    """Change the nodes of every tree of the model in a folder, as somebody would who can write the manifest as well."""
    made = io.BytesIO()
    with (
        zipfile.ZipFile(folder / "model.skops") as archive,
        zipfile.ZipFile(made, "w") as target,
    ):
        for name in archive.namelist():
            data = archive.read(name)
            nodes = numpy.load(io.BytesIO(data), allow_pickle=False) if name.endswith(".npy") else None
            if nodes is not None and nodes.dtype.names:
                change(nodes)
                changed = io.BytesIO()
                numpy.save(changed, nodes)
                data = changed.getvalue()
            target.writestr(name, data)
    put(folder, "model.skops", made.getvalue())


def _set(field: str, value: int) -> Callable[[Any], None]:
    def change(nodes: Any) -> None:
        nodes[field][0] = value

    return change


@pytest.mark.parametrize(
    ("last", "change", "told"),
    [
        ("forest", _set("left_child", 1_000_000), "points beside its nodes, or back"),
        ("forest", _set("right_child", 0), "points beside its nodes, or back"),
        ("forest", _set("feature", 1_000_000), "looks at a column that there is not"),
        ("boosting", _set("left", 1_000_000), "points beside its nodes, or back"),
        ("boosting", _set("right", 0), "points beside its nodes, or back"),
        ("boosting", _set("feature_idx", 1_000_000), "looks at a column that there is not"),
    ],
)
def test_a_forged_tree_is_refused_before_it_is_made(
    last: str, change: Callable[[Any], None], told: str, tmp_path: Path
) -> None:
    table = table_of()[["n", "paid"]].astype(float)
    kinds = {
        "forest": RandomForestClassifier(2, random_state=0),
        "boosting": HistGradientBoostingClassifier(max_iter=2),
    }
    outputs = (table["n"] > 2).astype(int)
    given = {"features": table, "target": "y", "outputs": outputs, "task": "classification", "seed": 0}
    artefacts.write(tmp_path / "m", kinds[last].fit(table, outputs), **given)
    artefacts.read(tmp_path / "m")
    _forged(tmp_path / "m", change)
    with pytest.raises(InputError, match=f"a decision tree {told}: it was forged or damaged"):
        artefacts.read(tmp_path / "m")


def test_a_forest_that_lets_fewer_columns_pass_than_its_trees_look_at_is_refused(folder: Path) -> None:
    table = table_of()[["n", "paid"]].astype(float)
    model = RandomForestClassifier(2, random_state=0).fit(table, table["n"] > 2)
    model.n_features_in_ = 1
    put(folder, "model.skops", skops_file.dump(model))
    with pytest.raises(InputError, match="a decision tree has another number of columns than its estimator"):
        artefacts.read(folder)


def test_a_pickle_is_never_loaded_unless_the_reader_allows_it(folder: Path, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    put(folder, "model.skops", pickle.dumps(Touch(touched)))
    with pytest.raises(InputError, match="it cannot be loaded"):
        artefacts.read(folder)
    put(folder, "model.joblib", pickle.dumps(Touch(touched)), format="joblib")
    with pytest.raises(InputError, match="joblib can run code when it is loaded, and nobody allowed that"):
        artefacts.read(folder)
    assert not touched.exists()


def test_joblib_is_for_those_who_ask_for_it_twice(tmp_path: Path) -> None:
    model, table = write(tmp_path / "m", format="joblib")
    assert json.loads((tmp_path / "m" / "manifest.json").read_bytes())["format"] == "joblib"
    found = artefacts.read(tmp_path / "m", allow_pickle=True)
    assert found.predict(table).tolist() == model.predict(table).tolist()


def test_a_table_that_the_model_cannot_read_is_told_by_column_and_row(folder: Path) -> None:
    found, table = artefacts.read(folder), table_of()
    with pytest.raises(InputError, match="there is no column `city`, `note`, which the model needs"):
        found.predict(table.drop(columns=["note", "city"]))
    with pytest.raises(InputError, match="the column `n` holds no finite number in row 2: `five`"):
        found.predict(table.astype({"n": object}).replace({"n": {table["n"][1]: "five"}}).iloc[[2, 1]])
    assert found.predict(table.astype({"n": float, "paid": str, "x": object})).tolist() == found.predict(table).tolist()


def test_only_a_model_is_replaced_by_a_model(tmp_path: Path) -> None:
    write(tmp_path / "m")
    write(tmp_path / "m")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(InputError, match="something else lies here"):
        write(tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.tex"]


def test_what_skops_cannot_keep_is_told_before_anything_is_written(tmp_path: Path) -> None:
    table = table_of()
    model = Ridge().fit(table[["n"]], table["n"])
    model.extra = (number for number in range(3))
    given = {"features": table[["n"]], "target": "y", "outputs": table["n"], "task": "regression", "seed": 0}
    with pytest.raises(InputError, match="the model cannot be kept as skops"):
        artefacts.write(tmp_path / "m", model, **given)
    assert not (tmp_path / "m").exists()
