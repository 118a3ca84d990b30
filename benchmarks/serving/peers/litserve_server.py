"""LitServe around the SavedModel's signature.

    MODEL=saved_model PORT=8080 WORKERS=2 BATCH=8 FAST_QUEUE=1 python litserve_server.py

Workers, batches and the ZeroMQ queue as in https://lightning.ai/docs/litserve/api-reference/litserver and
https://lightning.ai/docs/litserve/features/batching; the bench tries them and takes the best.
"""

import os

import litserve
import numpy as np
import tensorflow as tf


class Served(litserve.LitAPI):
    def setup(self, device):  # type: ignore[no-untyped-def] # noqa: ARG002
        self.model = tf.saved_model.load(os.environ["MODEL"])
        self.call = self.model.signatures["serving_default"]
        (self.name,) = self.call.structured_input_signature[1]

    def decode_request(self, request):  # type: ignore[no-untyped-def]
        return np.array(request["rows"], np.float32)

    def predict(self, x):  # type: ignore[no-untyped-def]
        rows = x.reshape(-1, x.shape[-1])  # LitServe stacks the requests of a batch: (requests, rows, 64)
        (answer,) = self.call(**{self.name: tf.constant(rows)}).values()
        return answer.numpy().reshape(*x.shape[:-1], -1)

    def encode_response(self, output):  # type: ignore[no-untyped-def]
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    batch = int(os.environ["BATCH"])
    server = litserve.LitServer(
        Served(max_batch_size=batch, batch_timeout=0.002 if batch > 1 else 0.0),
        accelerator="cpu",
        workers_per_device=int(os.environ["WORKERS"]),
        fast_queue=os.environ["FAST_QUEUE"] == "1",
    )
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False)
