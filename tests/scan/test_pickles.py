from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from datetime import date
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier

from ml_containerize.scan.compressed import decompressed
from ml_containerize.scan.imports import HIDDEN, Import
from ml_containerize.scan.pickles import imports_in


class Call:
    """Pickles as a call of a function, which loading the pickle makes."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.made = function, arguments

    def __reduce__(self) -> Any:
        return self.made


def names(content: bytes) -> list[str]:
    return [str(one) for one in dict.fromkeys(imports_in(io.BytesIO(content)))]


def names_in(path: Path) -> list[str]:
    with decompressed(path) as stream:
        return [str(one) for one in dict.fromkeys(imports_in(stream))]


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocols_way_to_import_is_followed(protocol: int) -> None:
    value = [OrderedDict(a=1), date(2026, 1, 1), {"x": (1, 2, 3, 4), "y": {1, 2}, "z": frozenset({b"c"})}]
    found = names(pickle.dumps(value, protocol))
    assert {"collections.OrderedDict", "datetime.date"} <= set(found)


@pytest.mark.parametrize("protocol", range(6))
def test_a_call_is_found_without_being_made(protocol: int) -> None:
    assert names(pickle.dumps(Call(eval, "1/0"), protocol))[0] in {"builtins.eval", "__builtin__.eval"}


def test_a_name_from_the_memo_is_known() -> None:
    content = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\x00h\x01\x93\x8c\x02id\x85R."
    assert names(content) == ["os.system"]


def test_a_name_that_is_put_together_while_loading_is_told_to_be_hidden() -> None:
    content = b"\x80\x04\x8c\x02os]\x93."
    assert list(imports_in(io.BytesIO(content))) == [HIDDEN]


def test_old_ways_to_make_an_object_are_followed() -> None:
    assert names(b"(S'id'\nios\nsystem\n.") == ["os.system"]
    assert names(b"(cos\nsystem\nS'id'\no.") == ["os.system"]
    assert names(b"\x80\2\x82\1.") == ["copyreg.extension 1"]


@pytest.mark.parametrize("compression", [0, "zlib", "gzip", "bz2", "lzma", "xz"])
def test_joblibs_arrays_are_passed_over_and_what_follows_them_is_read(
    tmp_path: Path, compression: int | str
) -> None:
    arrays = [
        np.arange(10.0),
        np.zeros((0, 3)),
        np.array(3),
        np.array(["ab", "c"]),
        np.array(["2020"], "M8[D]"),
        np.array([1, "a", date(2026, 1, 1)], object),
        np.zeros(2, [("left", "<i8"), ("right", "<f8")]),
        np.asfortranarray(np.ones((200, 300), np.float32)),
    ]
    path = tmp_path / "model.joblib"
    joblib.dump([*arrays, Call(exec, "")], path, compress=(compression, 3) if compression else 0)
    found = names_in(path)
    assert found[0] == "joblib.numpy_pickle.NumpyArrayWrapper"
    assert "datetime.date" in found
    assert found[-1] == "builtins.exec"


def test_an_array_of_objects_hides_no_call(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump(np.array([Call(exec, "")], object), path)
    assert "builtins.exec" in names_in(path)


def test_a_forest_names_only_its_own_family(tmp_path: Path) -> None:
    forest = RandomForestClassifier(2).fit(*load_wine(return_X_y=True))
    joblib.dump(forest, tmp_path / "forest.joblib")
    for found in (names(pickle.dumps(forest)), names_in(tmp_path / "forest.joblib")):
        assert {name.partition(".")[0] for name in found} <= {"sklearn", "numpy", "joblib"}
        assert "sklearn.tree._tree.Tree" in found


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\4", b"no pickle", b"\x80\4h\0.", b"\x80\4R.", b"\x80\4t.", b"\x80\4\x8c\xffa"],
    ids=["empty", "cut off", "text", "no memo", "empty stack", "no mark", "short text"],
)
def test_what_is_no_pickle_is_told(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(imports_in(io.BytesIO(content)))


def test_an_array_that_was_cut_off_is_told(tmp_path: Path) -> None:
    joblib.dump(np.arange(1000.0), tmp_path / "a.joblib")
    content = (tmp_path / "a.joblib").read_bytes()
    with pytest.raises(ValueError, match="cut off"):
        list(imports_in(io.BytesIO(content[:-500])))


def test_lz4_is_told_not_to_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.joblib").write_bytes(b"\x04\x22\x4d\x18")
    with pytest.raises(ValueError, match="LZ4"), decompressed(tmp_path / "a.joblib"):
        pass


@given(st.binary(max_size=300))
def test_any_bytes_are_a_pickle_or_told_to_be_none(content: bytes) -> None:
    try:
        found = list(imports_in(io.BytesIO(b"\x80\4" + content)))
    except ValueError:
        return
    assert all(isinstance(one, Import) for one in found)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    ),
    st.integers(0, 5),
)
def test_every_value_can_be_walked_in_every_protocol(value: Any, protocol: int) -> None:
    usual = {"datetime.date", "_codecs.encode", "__builtin__.bytes", "copy_reg._reconstructor"}
    assert set(names(pickle.dumps(value, protocol))) <= usual
