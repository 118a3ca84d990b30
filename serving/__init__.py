"""The model server inside the image: one Flask app over one model, under gunicorn.

    body → inputs (strict) → batch → runtime (one traced call) → outputs → JSON

`python -m serving` serves MODEL_PATH; `python -m serving predict` answers JSON lines from stdin, and
`python -m serving describe` tells what the model takes and gives.
Nothing here imports the command that builds the image.
"""
