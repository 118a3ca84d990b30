"""Export the digits classifier as a TensorFlow SavedModel with one serving signature, into saved_model/.

    python examples/digits-savedmodel/train.py    # beside this file, in about ten seconds on two cores

Data, model and training are those of ../digits/train.py; only the form that is served differs.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "digits"))

from train import train  # the digits example's, beside this one


def main(folder: Path) -> None:
    model, metrics = train()
    shutil.rmtree(folder / "saved_model", ignore_errors=True)
    model.export(folder / "saved_model", verbose=False)
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    print(f"accuracy {metrics['accuracy']:.2%} on {metrics['test_rows']} unseen scans")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
