"""Asking trivy what is known against the image, and the model file what it would do when loaded.

`trivy` finds the program, `database` keeps its database, `analysis` runs it, `findings` reads its report,
`model_file` and its neighbours read the model, `ignore` and `policy` decide. `check.scan` is the stage.
"""
