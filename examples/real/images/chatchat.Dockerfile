# Langchain-Chatchat as its users install it, unchanged. Build it in this folder; BASE as in langflow.Dockerfile.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_NO_INDEX
ARG PIP_CERT
ARG PIP_TRUSTED_HOST
ARG VERSION
COPY chatchat-${VERSION}.txt /opt/requirements.txt
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    python3 -m venv /opt/chatchat \
 && /opt/chatchat/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r /opt/requirements.txt
# Settings and a database are stored in CHATCHAT_ROOT.
ENV HOME=/tmp \
    CHATCHAT_ROOT=/tmp/chatchat \
    PATH=/opt/chatchat/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 7861
CMD ["sh", "-c", "chatchat init && exec chatchat start --api"]
