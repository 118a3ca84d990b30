"""`python -m serving` serves MODEL_PATH on HOST:PORT; with `predict` it answers JSON lines, with
`describe` it tells what the model takes and gives.

Settings come from the environment (see settings.py).
"""

from __future__ import annotations

import json
import logging
import os
import sys

from serving.errors import ModelUnusable, SettingWrong
from serving.logs import log_to_stderr
from serving.settings import Settings, prepare_frameworks, read_settings, usable_cpus

log = logging.getLogger("serving")

USAGE = "usage: python -m serving [predict|describe]"


def main(arguments: list[str]) -> int:
    """Exit status: 0 ended as asked, 2 wrong usage or settings, 3 unusable model."""
    log_to_stderr()
    works = {"": _serve, "predict": _answer_lines, "describe": _describe}
    work = works.get(" ".join(arguments))
    if work is None:
        sys.stderr.write(USAGE + "\n")
        return 2
    prepare_frameworks(os.environ, usable_cpus())
    try:
        return work(read_settings(os.environ))
    except SettingWrong as error:
        log.critical("%s", error)
        return 2
    except ModelUnusable as error:
        log.critical("%s", error)
        return 3


def _serve(settings: Settings) -> int:
    from serving.server.assembly import work
    from serving.server.supervisor import supervise

    return supervise(settings, work)


def _answer_lines(settings: Settings) -> int:
    """Each line is the body of a request to /predict; each answer is one line, too."""
    from serving.answers import answer_error
    from serving.doors.rows import predict
    from serving.http import Request
    from serving.loading import load_served

    served = load_served(settings)
    for line in sys.stdin.buffer:
        try:
            task = predict(served, Request("POST", "/predict", body=line))
            answer = task.write(served.model.predict(task.batch, task.signature))
        except Exception as error:
            answer = answer_error(error)
        if answer.status >= 400:
            body = json.dumps({**json.loads(answer.body), "status": answer.status})
        else:
            body = answer.body.decode().strip()
        print(body, flush=True)  # noqa: T201 - stdout is the answer
    return 0


def _describe(settings: Settings) -> int:
    """One line of JSON: what the default signature takes and gives."""
    from serving.runtimes import default_signature, find, load

    model = load(find(settings.model_path, settings.model_format), settings.signature_name)
    print(json.dumps(default_signature(model).as_json()), flush=True)  # noqa: T201 - stdout is the answer
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
