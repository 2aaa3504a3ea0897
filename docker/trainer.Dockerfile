# Training (PEFT), and vLLM of the same lock: on CUDA for training beside vLLM's own image, on a CPU for trying it all.
#
#   docker build -f docker/trainer.Dockerfile -t groundtone-trainer .
#   docker build -f docker/trainer.Dockerfile -t groundtone-engine-cpu \
#       --build-arg LOCK=engine-cpu --build-arg TORCH=https://download.pytorch.org/whl/cpu .
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS build
# engine-cuda, or engine-cpu with the index that has torch's build for CPUs.
ARG LOCK=engine-cuda
ARG TORCH=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/engine
COPY deploy/locks/${LOCK}.txt deploy/locks/torch-cpu.txt /build/
RUN if [ -n "${TORCH}" ]; then \
        /opt/engine/bin/pip install --extra-index-url "${TORCH}" --require-hashes --no-deps -r /build/torch-cpu.txt; \
    fi \
    && /opt/engine/bin/pip install --require-hashes --no-deps -r "/build/${LOCK}.txt"

FROM ${PYTHON}
# hadolint ignore=DL3008 # Debian's newest fixes of the compiler's runtime are wanted; what computes is pinned by hash
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ libnuma1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/engine /opt/engine
COPY common /opt/groundtone/common
COPY adapters /opt/groundtone/adapters
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/groundtone
# vLLM and torch ask for the user's name and home, which a bare number has not.
ENV PATH=/opt/engine/bin:$PATH \
    PYTHONPATH=/opt/groundtone \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    USER=groundtone \
    HOME=/var/lib/groundtone \
    GROUNDTONE_HOME=/var/lib/groundtone
WORKDIR /var/lib/groundtone
USER 10001:10001
ENTRYPOINT ["python", "-m", "adapters.train"]
