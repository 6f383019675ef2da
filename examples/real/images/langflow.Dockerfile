# LangFlow as its users install it: `langflow-base` from PyPI, unchanged. Build it in this folder:
#
#   docker build -f langflow.Dockerfile --build-arg VERSION=1.1.1 -t langflow:1.1.1 .
#
# BASE is a Debian-like image with Python 3.11. The package index is set as in deploy/image/Dockerfile.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_NO_INDEX
ARG PIP_CERT
ARG PIP_TRUSTED_HOST
ARG VERSION
COPY langflow-${VERSION}.txt /opt/requirements.txt
# Some packages are source distributions only, but build without a compiler.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    python3 -m venv /opt/langflow \
 && /opt/langflow/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r /opt/requirements.txt
# /tmp is the only writable folder in the pod. By default, version 1.1.1 writes its migration log into its own package.
ENV HOME=/tmp \
    PATH=/opt/langflow/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DO_NOT_TRACK=true \
    LANGFLOW_DO_NOT_TRACK=true \
    LANGFLOW_STORE=false \
    LANGFLOW_LOG_LEVEL=warning \
    LANGFLOW_ALEMBIC_LOG_FILE=/tmp/alembic.log
USER 65532:65532
EXPOSE 7860
CMD ["langflow", "run", "--host", "0.0.0.0", "--port", "7860", "--backend-only"]
