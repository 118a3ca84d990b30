"""Write the digits classifier's own weights as an ONNX graph, model.onnx, and what it measures, metrics.json.

    python examples/digits-onnx/export.py    # beside this file, in a few seconds

Needs onnx, onnxruntime and scikit-learn besides the packages that trained ../digits/model.keras. Both files
give the same probabilities, but for the last bits.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "digits"))

import keras
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from train import digits  # the digits example's, beside this one

KERAS = Path(__file__).resolve().parent.parent / "digits" / "model.keras"
OPSET = 17
ACTIVATIONS = {"relu": "Relu", "softmax": "Softmax"}


def graph(model: keras.Model) -> onnx.GraphProto:
    """Mul for the scaling, Gemm and its activation for each dense layer; dropout does nothing in serving."""
    (scaling,) = (layer for layer in model.layers if isinstance(layer, keras.layers.Rescaling))
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    weights = [numpy_helper.from_array(np.float32(scaling.scale), "scale")]
    nodes = [helper.make_node("Mul", ["pixels", "scale"], ["scaled"])]
    before = "scaled"
    for layer in dense:
        kernel, bias = (f"{layer.name}.kernel", f"{layer.name}.bias")
        weights += map(numpy_helper.from_array, layer.get_weights(), (kernel, bias))
        sums, after = f"{layer.name}.sums", "digit" if layer is dense[-1] else f"{layer.name}.out"
        nodes.append(helper.make_node("Gemm", [before, kernel, bias], [sums]))
        nodes.append(helper.make_node(ACTIVATIONS[layer.activation.__name__], [sums], [after]))
        before = after
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["scans", 64])
    digit = helper.make_tensor_value_info("digit", TensorProto.FLOAT, ["scans", 10])
    return helper.make_graph(nodes, "digits", [pixels], [digit], weights)


def measure(path: Path) -> dict[str, float | int]:
    """Accuracy and cross-entropy on the scans that the model never saw."""
    train_pixels, pixels, _, labels = digits()
    (probabilities,) = onnxruntime.InferenceSession(path).run(["digit"], {"pixels": pixels})
    likelihoods = probabilities[np.arange(len(labels)), labels]
    return {
        "accuracy": round(float((probabilities.argmax(axis=1) == labels).mean()), 4),
        "loss": round(float(-np.log(likelihoods).mean()), 4),
        "train_rows": len(train_pixels),
        "test_rows": len(labels),
    }


def main(folder: Path) -> None:
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph(keras.saving.load_model(KERAS)), opset_imports=opset, ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / "model.onnx")
    metrics = measure(folder / "model.onnx")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    print(f"accuracy {metrics['accuracy']:.2%} on {metrics['test_rows']} unseen scans")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
