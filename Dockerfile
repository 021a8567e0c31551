# xmsec in a container: built from the lock file, run by nobody in particular over a root file system that is read-only.
#   docker build -t xmsec:0.1.0 .
#   docker run --read-only --tmpfs /tmp -v xmsec:/var/lib/xmsec xmsec:0.1.0 demo --once
# On a closed network: name your registry's copy of the base image (--build-arg PYTHON=…); packages come from the index that pip
# is told of (PIP_INDEX_URL, or PIP_FIND_LINKS and PIP_NO_INDEX with the wheels of `make bundle`).
ARG PYTHON=python:3.13.9-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/xmsec
COPY requirements.lock production.lock ./
RUN awk '/^[a-zA-Z]/ { kept = $0 ~ /^(hatchling|packaging|pathspec|pluggy|trove-classifiers)==/ } kept' requirements.lock > backend.lock \
 && python -m venv /opt/backend \
 && /opt/backend/bin/pip install --require-hashes -r backend.lock \
 && /opt/xmsec/bin/pip install --require-hashes --only-binary :all: -r production.lock
COPY . .
RUN /opt/backend/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir dist . \
 && /opt/xmsec/bin/pip install --no-deps --no-index dist/*.whl \
 && /opt/xmsec/bin/python -m compileall -q /opt/xmsec/lib \
 && /opt/xmsec/bin/pip uninstall -y -q pip

FROM ${PYTHON}
LABEL org.opencontainers.image.title="xmsec" \
      org.opencontainers.image.licenses="Apache-2.0"
# uid 1000 is also the user of Kafka's and Elasticsearch's images: a secret that one of them shares is readable by nobody else
RUN groupadd --gid 1000 xmsec \
 && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin xmsec \
 && install -d -o xmsec -g xmsec -m 0750 /var/lib/xmsec /var/lib/xmsec/models /var/lib/xmsec/ledger /var/lib/recordings \
    /var/lib/simulated /run/xmsec /run/xmsec/key /run/xmsec/elastic /run/xmsec/ingest
COPY --from=build /opt/xmsec /opt/xmsec
ENV PATH=/opt/xmsec/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XMSEC_HOME=/var/lib/xmsec \
    XMSEC_HOST=0.0.0.0 \
    XMSEC_LOG=json
USER 1000:1000
WORKDIR /var/lib/xmsec
VOLUME /var/lib/xmsec
EXPOSE 8470 8471 9464
ENTRYPOINT ["xmsec"]
CMD ["--help"]
