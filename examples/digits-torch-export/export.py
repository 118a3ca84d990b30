"""Export the PyTorch digits classifier with torch.export, into model.pt2 and metrics.json.

    python examples/digits-torch-export/export.py    # beside this file, in a few seconds

Data, module and training are those of ../digits-torchscript/train.py; only the form that is served differs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "digits-torchscript"))

from train import train  # the digits-torchscript example's, beside this one


class NamedDigits(torch.nn.Module):
    """The classifier with a name for its output."""

    def __init__(self, digits: torch.nn.Module) -> None:
        super().__init__()
        self.digits = digits

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"digit": self.digits(pixels)}


def main(folder: Path) -> None:
    model, metrics = train()
    example = torch.zeros(2, 64)
    program = torch.export.export(
        NamedDigits(model).eval(), (example,), dynamic_shapes={"pixels": {0: torch.export.Dim("scans")}}
    )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # source paths of this machine
    torch.export.save(program, folder / "model.pt2")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    print(f"accuracy {metrics['accuracy']:.2%} on {metrics['test_rows']} unseen scans")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
