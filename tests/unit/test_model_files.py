"""A model's file is the same bytes for the same recordings, and nothing altered is believed."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.learned import anomaly, learned, recipe, week
from tests.office import ZONE

from xmsec.detect.card import card
from xmsec.detect.kinds.anomaly import load_anomalies
from xmsec.detect.model import Model, Trees, scores
from xmsec.detect.modelfile import content_hash, load, newest, packed, save
from xmsec.detect.train import Harvest, rows, train
from xmsec.model.clock import from_rfc3339
from xmsec.model.errors import ConfigError

ROOT = Path(__file__).parents[2]
DAY = "user-day"


def stored(folder: Path, model: Model | None = None) -> Path:
    return save(folder, model or learned(DAY), card(model or learned(DAY)))


def test_two_trainings_give_the_same_bytes_whatever_the_order_of_events() -> None:
    backwards = train(recipe(DAY), rows(recipe(DAY), reversed(week(0)), ZONE)[::-1], ZONE)
    assert packed(backwards) == packed(learned(DAY))
    assert card(backwards) == card(learned(DAY))


@pytest.mark.parametrize(("seed", "threads"), [("1", "1"), ("4242", "2")])
def test_another_process_gives_the_same_bytes(seed: str, threads: str) -> None:
    code = "import sys; from tests.learned import learned; from xmsec.detect.modelfile import packed;"
    code += "sys.stdout.buffer.write(packed(learned('user-day')))"
    variables = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=variables, capture_output=True, check=True)
    assert done.stdout == packed(learned(DAY))


def test_a_model_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    path = stored(tmp_path)
    model = load(path)
    some = np.random.default_rng(1).lognormal(0, 1, (200, 7))
    assert path == tmp_path / DAY / f"{learned(DAY).version}.npz"
    assert (model.metadata, model.version) == (learned(DAY).metadata, learned(DAY).version)
    assert packed(model) == packed(learned(DAY)) == path.read_bytes()
    assert np.array_equal(scores(model.trees, some), scores(learned(DAY).trees, some))


def test_saving_twice_leaves_two_files_and_no_trace(tmp_path: Path) -> None:
    stored(tmp_path)
    stored(tmp_path)
    version = learned(DAY).version
    assert sorted(path.name for path in (tmp_path / DAY).iterdir()) == [f"{version}.md", f"{version}.npz"]


def test_windows_closed_while_training_give_the_rows_of_windows_kept_open() -> None:
    harvest = Harvest(recipe("user-hour"), ZONE)
    events = week(0)
    for start in range(0, len(events), 5_000):
        harvest.add(events[start : start + 5_000])
        harvest.close(events[min(start + 5_000, len(events)) - 1].event.time)
    assert harvest.rows() == rows(recipe("user-hour"), events, ZONE)


def test_a_file_holds_no_account_and_no_time_of_its_making(tmp_path: Path) -> None:
    with zipfile.ZipFile(stored(tmp_path)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert not any(b"batch-archive" in archive.read(name) for name in archive.namelist())
    assert "batch-archive" not in card(learned(DAY))


def repacked(source: bytes, **replaced: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(source)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, replaced.get(name.removesuffix(".npy"), old.read(name)))
    return buffer.getvalue()


def npy(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


def claiming(shape: str) -> bytes:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"\0" * 16


PICKLE = npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)
HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "no zip": lambda _: b"PK\x03\x04 nothing of the kind",
    "truncated": lambda good: good[: len(good) // 2],
    "a flipped byte": lambda good: good[:3_000] + bytes([good[3_000] ^ 1]) + good[3_001:],
    "a pickle": lambda good: repacked(good, split=PICKLE),
    "a huge claim": lambda good: repacked(good, split=claiming("(1000000000000,)")),
    "a negative claim": lambda good: repacked(good, split=claiming("(-2,)")),
    "code for a header": lambda good: repacked(good, split=claiming("__import__('os').getpid()")),
    "other numbers": lambda good: repacked(good, split=npy(learned(DAY).trees.split + 1.0)),
    "another kind": lambda good: repacked(good, split=npy(learned(DAY).trees.split.astype(np.float32))),
    "no header": lambda good: repacked(good, split=b""),
    "another set of arrays": lambda good: repacked(good).replace(b"split.npy", b"spilt.npy"),
}


@pytest.mark.parametrize("alter", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_damaged_or_altered_file_is_one_clear_line(alter: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = stored(tmp_path)
    path.write_bytes(alter(path.read_bytes()))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).startswith("model is ")
    assert str(path) in str(caught.value)
    assert "xmsec detectors train user-day" in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), put=st.binary(min_size=1, max_size=12), cut=st.integers(0, 12))
def test_whatever_is_written_into_a_file_it_is_the_model_or_one_line(
    place: float, put: bytes, cut: int, tmp_path: Path
) -> None:
    path = tmp_path / DAY / f"{learned(DAY).version}.npz"
    path.parent.mkdir(exist_ok=True)
    good = packed(learned(DAY))
    at = int(place * len(good)) if cut % 2 else len(good) - int(place * 1_200) - 1  # half of them in zip's directory
    path.write_bytes(good[:at] + put + good[at + cut :])
    try:
        version = load(path).version
    except ConfigError as error:
        version = str(error)
    assert version == learned(DAY).version or version.startswith("model is ")


def forged(**arrays: Any) -> Model:
    """Return a model whose arrays are wrong although its name is their hash."""
    good = learned(DAY)
    trees = msgspec.structs.replace(good.trees, **arrays)
    return Model(good.metadata, trees, good.usual, content_hash(good.metadata, trees, good.usual))


ASTRAY: dict[str, Callable[[Trees], dict[str, Any]]] = {
    "left": lambda good: {"left": good.left + 1_000_000},
    "right": lambda good: {"right": good.right - 1_000_000},
    "feature": lambda good: {"feature": good.feature + 7},
    "no root": lambda good: {"roots": good.roots[:0]},
    "lengths": lambda good: {"split": good.split[:-1]},
    "NaN": lambda good: {"split": np.full_like(good.split, np.nan)},
    "infinite": lambda good: {"depths": np.full_like(good.depths, np.inf)},
    "endless": lambda good: {"levels": 2**40},
    "no number": lambda good: {"normal": float("nan")},
}


@pytest.mark.parametrize("wrong", ASTRAY.values(), ids=ASTRAY.keys())
def test_arrays_that_lead_astray_are_refused(wrong: Callable[[Trees], dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="model is"):
        load(stored(tmp_path, forged(**wrong(learned(DAY).trees))))


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.npz")


def test_the_model_whose_training_ends_last_is_taken(tmp_path: Path) -> None:
    cut = from_rfc3339("2026-03-07T00:00:00Z")
    early = train(recipe(DAY), rows(recipe(DAY), (c for c in week(0) if c.event.time < cut), ZONE), ZONE)
    for model in (early, learned(DAY)):
        stored(tmp_path, model)
    best = newest(tmp_path / DAY, recipe(DAY).digest, str(ZONE))
    assert best is not None
    assert best.stem == learned(DAY).version != early.version


def test_a_home_without_models_says_what_to_do(tmp_path: Path) -> None:
    found = load_anomalies([recipe(DAY), recipe("user-hour")], tmp_path, ZONE)
    assert found.detectors == ()
    assert found.missing == (
        "no model for user-day: train it with `xmsec detectors train user-day`",
        "no model for user-hour: train it with `xmsec detectors train user-hour`",
    )


def test_a_model_of_another_recipe_is_not_taken(tmp_path: Path) -> None:
    stored(tmp_path)
    changed = msgspec.structs.replace(recipe(DAY), budget_per_day=0.1)
    assert load_anomalies([changed], tmp_path, ZONE).missing


def test_a_trained_home_loads_its_detectors_and_names_a_damaged_one(tmp_path: Path) -> None:
    stored(tmp_path)
    (tmp_path / "user-hour").mkdir()
    (tmp_path / "user-hour" / "0123456789abcdef.npz").write_bytes(b"nonsense")
    found = load_anomalies([recipe(DAY), recipe("user-hour")], tmp_path, ZONE)
    assert [(each.id, each.version) for each in found.detectors] == [(DAY, anomaly(DAY).version)]
    assert len(found.missing) == 1
    assert found.missing[0].startswith("no model for user-hour: model is damaged")


def test_too_few_windows_give_no_model() -> None:
    with pytest.raises(ConfigError, match=r"^0 windows are too few to train from, 100 are needed; user-day; record for longer"):
        train(recipe(DAY), [], ZONE)


def test_a_card_says_what_the_model_is_and_what_it_cannot_see() -> None:
    text = card(learned(DAY))
    for part in (
        "100 trees",
        "seed 20240917",
        "Budget: 0.5 entities a day",
        "| distinct_subjects |",
        "## Cannot see",
        "scikit-learn",
    ):
        assert part in text
