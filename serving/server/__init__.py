"""The HTTP server: a parent process that listens and supervises, workers that load the model and serve.

`supervisor` is the parent, `assembly` puts a worker together, `worker` keeps its connections, `connection` is
one of them, `wire` what goes back.
"""
