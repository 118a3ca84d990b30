"""The classic app: Flask around `model.predict`."""

import keras
import numpy as np
from flask import Flask, jsonify, request

app = Flask(__name__)
model = keras.models.load_model("model.keras")


@app.post("/predict")
def predict():  # type: ignore[no-untyped-def]
    return jsonify(predictions=model.predict(np.array(request.get_json()["data"])).tolist())
