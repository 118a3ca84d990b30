from __future__ import annotations

import pytest

from ml_containerize.scan.imports import HIDDEN, Import, judge


def judged(name: str) -> str:
    module, _, last = name.rpartition(".")
    return judge(Import(module, last))


@pytest.mark.parametrize(
    "name",
    [
        "builtins.set",
        "collections.OrderedDict",
        "copyreg._reconstructor",
        "datetime.date",
        "numpy.dtype",
        "numpy._core.multiarray._reconstruct",
        "numpy.random._pickle.__randomstate_ctor",
        "sklearn.tree._tree.Tree",
        "scipy.sparse._csr.csr_matrix",
        "joblib.numpy_pickle.NumpyArrayWrapper",
    ],
)
def test_data_and_the_usual_libraries_classes_pass(name: str) -> None:
    assert judged(name) == "usual"


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "posix.system",
        "builtins.eval",
        "__builtin__.getattr",
        "subprocess.Popen",
        "importlib.import_module",
        "timeit.timeit",
        "cProfile.run",
        "operator.methodcaller",
        "copyreg.extension 1",
        "numpy.load",
        "numpy.testing._private.utils.runstring",
        "joblib.numpy_pickle.load",
        "pandas.io.pickle.read_pickle",
        "?.eval",
    ],
)
def test_what_can_run_or_open_anything_is_dangerous(name: str) -> None:
    assert judged(name) == "dangerous"


@pytest.mark.parametrize("name", ["os.system", "sys.modules", "__init__.__globals__", "ndarray.dump"])
def test_a_way_through_another_modules_attributes_is_dangerous(name: str) -> None:
    assert judge(Import("numpy", name)) == "dangerous"


@pytest.mark.parametrize("name", ["__main__.Model", "our_team.features.Scaler", "torch.nn.Linear"])
def test_other_packages_are_foreign(name: str) -> None:
    assert judged(name) == "foreign"


def test_which_packages_are_usual_depends_on_the_format() -> None:
    assert judge(Import("torch", "FloatStorage"), frozenset({"torch"})) == "usual"


def test_a_name_that_is_hidden_is_dangerous() -> None:
    assert judge(HIDDEN) == "dangerous"
