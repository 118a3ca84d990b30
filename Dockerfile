# The image as a plain recipe: what `ml-containerize build` makes without an engine, for whoever has one.
#
#   docker build --build-arg MODEL=examples/digits -t digits .
#   docker run --rm -p 127.0.0.1:8080:8080 --read-only digits
#
# MODEL is a folder with one model of any format, or the model itself; its requirements.lock is installed where it
# has one, otherwise that of RUNTIME: tensorflow (Keras, SavedModel), keras-jax, keras-torch, onnx, sklearn (skops,
# pickles), xgboost, lightgbm (on a BASE with libgomp1), torch or python (your own predictor.py). What the server
# must be told goes with `docker run`: --env KERAS_BACKEND=jax for keras-jax, --env ALLOW_PICKLE=true for a pickle
# that you trust.
#
# A package without a wheel is compiled: add what it needs for that to the stage `packages`, or choose a BASE that
# has it. Where TLS needs another CA bundle or packages come from another index (torch from PyTorch's own for CPUs),
# hand the files over as secrets, which leave no trace in the image:
#
#   docker build --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt --secret id=pip,src=pip.conf ...

ARG BASE=python:3.12-slim-trixie@sha256:57cd7c3a7a273101a6485ba99423ee568157882804b1124b4dd04266317710de
ARG MODEL=examples/digits
ARG RUNTIME=tensorflow

# The model's own lock, or the model server's.
FROM ${BASE} AS lock
ARG MODEL
ARG RUNTIME
WORKDIR /locks
COPY serving/requirements/${RUNTIME}.lock ${MODEL}/requirements.loc[k] ./
RUN if [ ! -e requirements.lock ]; then mv "$RUNTIME.lock" requirements.lock; fi

# The locked packages, byte-compiled; pip itself stays behind.
FROM ${BASE} AS packages
WORKDIR /build
RUN python3 -m venv pip && python3 -m venv --without-pip /opt/venv
COPY --from=lock /locks/requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=ca,target=/run/secrets/ca \
    --mount=type=secret,id=pip,target=/run/secrets/pip \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    if [ -s /run/secrets/pip ]; then export PIP_CONFIG_FILE=/run/secrets/pip; fi; \
    pip/bin/pip --python /opt/venv/bin/python install --quiet --require-hashes --requirement requirements.lock

# Exactly one model, without what lies around it in its project. JSON and texts are models where they begin as
# XGBoost's or LightGBM's do; a predictor, a SavedModel and an ONNX model with weights beside it are whole folders.
FROM ${BASE} AS model
ARG MODEL
COPY ${MODEL} /project/
RUN all() { find /project -maxdepth 4 ! -path '*/.*' ! -name '*.weights.h5' -type f "$@"; }; \
    all \( -name '*.keras' -o -name '*.h5' -o -name '*.hdf5' -o -name saved_model.pb -o -name '*.onnx' \
        -o -name '*.skops' -o -name '*.pkl' -o -name '*.pickle' -o -name '*.joblib' -o -name '*.ubj' \
        -o -name '*.pt' -o -name '*.pth' -o -name '*.pt2' \) > /any; \
    all -name '*.json' -exec grep -qzE '^\s*\{\s*"learner"' {} \; -print >> /any; \
    all -name '*.txt' -size +0 -exec sed -n '1{/^tree\r*$/q};q1' {} \; -print >> /any; \
    all -name predictor.py > /found; \
    sed 's|predictor.py$||' /found > /folders; grep -vFf /folders /any >> /found; \
    if [ "$(wc -l < /found)" != 1 ]; then \
        echo "MODEL=$MODEL must hold exactly one model, found: $(cat /found)" >&2; exit 1; \
    fi; \
    model=$(cat /found); mkdir -p /opt/ml/model; \
    case "$model" in \
        */saved_model.pb | */predictor.py) cp -R "${model%/*}/." /opt/ml/model ;; \
        *.onnx) if grep -qa location "$model"; then cp -R "${model%/*}/." /opt/ml/model; \
                else cp "$model" /opt/ml/model; fi ;; \
        *) cp "$model" /opt/ml/model ;; \
    esac; \
    chmod -R u=rwX,go=rX /opt/ml/model

# Base, packages and the model server: everything but the model.
FROM ${BASE} AS environment
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MODEL_PATH=/opt/ml/model
COPY --from=packages /opt/venv /opt/venv
COPY --chown=65532:65532 serving /opt/serving/serving
WORKDIR /opt/serving
USER 65532:65532
EXPOSE 8080/tcp
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/venv/bin/python", "-m", "serving"]

FROM environment
COPY --from=model /opt/ml/model /opt/ml/model
