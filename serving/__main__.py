"""`python -m serving` serves MODEL_PATH on HOST:PORT; `python -m serving predict` answers JSON lines.

Settings come from the environment (see settings.py).
"""

from __future__ import annotations

import json
import logging
import os
import sys

from serving.errors import ModelUnusable, Refused, SettingWrong, one_line
from serving.logs import log_to_stderr
from serving.settings import Settings, prepare_frameworks, read_settings, usable_cpus

log = logging.getLogger("serving")

USAGE = "usage: python -m serving [predict]"


def main(arguments: list[str]) -> int:
    """Exit status: 0 ended as asked, 2 wrong usage or settings, 3 unusable model."""
    log_to_stderr()
    if arguments not in ([], ["predict"]):
        sys.stderr.write(USAGE + "\n")
        return 2
    cpus = usable_cpus()
    prepare_frameworks(os.environ, cpus)
    try:
        settings = read_settings(os.environ, cpus)
        return _answer_lines(settings) if arguments else _serve(settings)
    except SettingWrong as error:
        log.critical("%s", error)
        return 2
    except ModelUnusable as error:
        log.critical("%s", error)
        return 3


def _serve(settings: Settings) -> int:
    from serving.server import Server

    Server(settings).run()
    return 0


def _answer_lines(settings: Settings) -> int:
    from serving.loading import load_ready
    from serving.predict import predict

    model = load_ready(settings.model_path, settings.model_format)
    for line in sys.stdin.buffer:
        try:
            answer = predict(model, line, settings.max_rows)
        except Refused as error:
            answer = {**error.as_json(), "status": error.status}
        except Exception as error:
            log.exception("the model failed: %s", error)
            answer = {"error": f"the model failed: {one_line(error)}", "status": 500}
        print(json.dumps(answer, allow_nan=False), flush=True)  # noqa: T201 - stdout is the answer
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
