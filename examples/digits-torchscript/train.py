"""Train a digits classifier with PyTorch on scikit-learn's bundled scans; write model.pt and metrics.json.

    python examples/digits-torchscript/train.py    # beside this file, in a few seconds

Needs scikit-learn and torch. Seeded: the same machine and packages give the same weights again; another
processor may differ in the last bits.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 20
EPOCHS = 40
BATCH = 64
SIGNATURE = {
    "inputs": [{"name": "pixels", "dtype": "float32", "shape": [None, 64]}],
    "outputs": [{"name": "digit", "dtype": "float32", "shape": [None, 10]}],
}


class Digits(torch.nn.Module):
    """64 pixels of 0 to 16 in, 10 probabilities out."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(64, 128),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.3),
            torch.nn.Linear(128, 64),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.3),
            torch.nn.Linear(64, 10),
        )

    def scores(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layers(pixels / 16)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.scores(pixels), dim=1)


def digits() -> list[np.ndarray]:
    """Train pixels, test pixels (n, 64) of 0 to 16; train labels, test labels (n,) of 0 to 9; 80 % train."""
    pixels, labels = load_digits(return_X_y=True)
    return train_test_split(
        pixels.astype(np.float32), labels, test_size=0.2, random_state=SEED, stratify=labels
    )


def train() -> tuple[Digits, dict[str, float | int]]:
    """The trained module and what it measured on the rows that it never saw."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # rows are too few to share them out
    train_pixels, test_pixels, train_labels, test_labels = map(torch.from_numpy, digits())
    model = Digits()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(train_labels)).split(BATCH):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model.scores(train_pixels[rows]), train_labels[rows]).backward()
            optimizer.step()
    model.eval()
    with torch.inference_mode():
        scores = model.scores(test_pixels)
    metrics = {
        "accuracy": round(float((scores.argmax(dim=1) == test_labels).float().mean()), 4),
        "loss": round(float(torch.nn.functional.cross_entropy(scores, test_labels)), 4),
        "train_rows": len(train_labels),
        "test_rows": len(test_labels),
    }
    return model, metrics


def save(model: Digits, path: Path) -> None:
    """As TorchScript, with the shapes that it does not know, without the source paths of this machine."""
    whole = io.BytesIO()
    torch.jit.save(torch.jit.script(model), whole, _extra_files={"signature.json": json.dumps(SIGNATURE)})
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(path, "w") as stripped:
        for entry in archive.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                stripped.writestr(entry, archive.read(entry))


def main(folder: Path) -> None:
    model, metrics = train()
    save(model, folder / "model.pt")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    print(f"accuracy {metrics['accuracy']:.2%} on {metrics['test_rows']} unseen scans")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
