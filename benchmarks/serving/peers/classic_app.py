"""The classic app: Flask's own server around `model.predict`.

MODEL=model.keras PORT=8080 python classic_app.py
"""

import os

import keras
import numpy as np
from flask import Flask, jsonify, request

app = Flask(__name__)
model = keras.models.load_model(os.environ["MODEL"])


@app.post("/predict")
def predict():  # type: ignore[no-untyped-def]
    rows = np.array(request.get_json()["data"])
    return jsonify(predictions=model.predict(rows, verbose=0).tolist())


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), threaded=True)
