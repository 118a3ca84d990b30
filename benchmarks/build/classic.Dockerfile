# The do-it-yourself way that teams start from; the secret only lets pip trust a closed network's certificates.
ARG BASE
FROM ${BASE}
WORKDIR /app
COPY . .
RUN --mount=type=secret,id=ca,required=false \
    python3 -m venv /opt/venv \
    && if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements.txt
CMD ["/opt/venv/bin/gunicorn", "--bind", "0.0.0.0:8080", "app:app"]
