# The function's image: what runs in Lambda, and (MODEL_FROM) the model beside it.
#
# The base is pinned by its tag. To pin it by its digest as well, for builds that repeat to the byte:
#   --build-arg BASE_IMAGE=public.ecr.aws/docker/library/python:3.11-slim-bookworm@sha256:...
# PIP_INDEX_URL and TORCH_INDEX_URL name other package indexes; every package is checked by its hash.
ARG BASE_IMAGE=public.ecr.aws/docker/library/python:3.11-slim-bookworm
# folder: models/MODEL of this checkout. huggingface: built here. nothing: read from S3 at cold start.
ARG MODEL_FROM=folder

#checkov:skip=CKV_DOCKER_7:The tag is in BASE_IMAGE above, which the check does not read.
FROM ${BASE_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1


# llama.cpp is compiled here, because a wheel made elsewhere may use instructions that Lambda's CPUs lack.
FROM base AS wheel
ARG PIP_INDEX_URL
ENV PIP_CACHE_DIR=/var/cache/pip
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY requirements/wheel.txt requirements/
RUN --mount=type=cache,target=/var/cache/pip \
    python -m venv tools && tools/bin/pip install --quiet --require-hashes -r requirements/wheel.txt
COPY requirements/llama-cpp.txt requirements/llama-cpp.cmake requirements/
# The kinds of CPU are named in llama-cpp.cmake; an architecture that it does not know is not built.
RUN --mount=type=cache,target=/var/cache/pip \
    export CMAKE_ARGS="-DCMAKE_PROJECT_llama_cpp_INCLUDE=$PWD/requirements/llama-cpp.cmake" PATH="$PWD/tools/bin:$PATH" && \
    pip wheel --no-deps --no-build-isolation --no-binary llama-cpp-python --require-hashes \
        -r requirements/llama-cpp.txt -w wheels


# What the function imports, without pip, in a folder of its own.
FROM wheel AS packages
COPY requirements/runtime.txt requirements/
RUN --mount=type=cache,target=/var/cache/pip \
    python -m venv --without-pip /app/python && \
    tools/bin/pip --python /app/python/bin/python install --quiet --no-compile --require-hashes \
        -r requirements/runtime.txt && \
    tools/bin/pip --python /app/python/bin/python install --quiet --no-compile --no-deps wheels/*.whl
# Slim images have no OpenMP library; ggml looks beside itself first. Headers and tests are not run.
RUN cd /app/python/lib/python3*/site-packages && \
    cp /usr/lib/*-linux-gnu/libgomp.so.1 llama_cpp/lib/ && \
    rm -rf include llama_cpp/lib/cmake llama_cpp/lib/pkgconfig llama_cpp/server && \
    find . -type d -name tests -prune -exec rm -r {} +


# The model, one stage for each place it may come from; only the chosen one is built.
FROM base AS model-nothing
RUN mkdir /model

FROM base AS model-folder
ARG MODEL
COPY models/${MODEL} /model
RUN chmod -R a+rX /model

FROM packages AS model-huggingface
ARG MODEL
ARG QUANT=Q4_K_M
ARG PIP_INDEX_URL
ARG TORCH_INDEX_URL
ENV HF_HOME=/var/cache/huggingface
COPY requirements/build.txt requirements/torch.txt requirements/
RUN --mount=type=cache,target=/var/cache/pip \
    pip="tools/bin/pip --python /app/python/bin/python install --quiet --no-compile --require-hashes" && \
    $pip -r requirements/build.txt && \
    $pip --no-deps ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} -r requirements/torch.txt
COPY lambda lambda
RUN --mount=type=secret,id=hf_token --mount=type=cache,target=/var/cache/huggingface \
    if [ -f /run/secrets/hf_token ]; then HF_TOKEN="$(cat /run/secrets/hf_token)" && export HF_TOKEN; fi && \
    PYTHONPATH=lambda /app/python/bin/python -m model_build build "$MODEL" --quantization "$QUANT" --models /models && \
    mv "/models/$MODEL" /model && chmod -R a+rX /model

FROM model-${MODEL_FROM} AS model


# Byte code is compiled here: the function may write nowhere but to /tmp.
FROM packages AS app
COPY lambda/gguf_lambda /app/gguf_lambda
RUN python -m compileall -q --invalidation-mode unchecked-hash /app && chmod -R a+rX /app


FROM base
#checkov:skip=CKV_DOCKER_2:Lambda asks no health check; GET /health is for those who run it elsewhere.
LABEL com.amazonaws.lambda.feature.snapstart="Allow"
# Weights in huge pages: their addresses are translated in a virtual machine twice, which costs decode a sixth.
ENV GLIBC_TUNABLES=glibc.malloc.hugetlb=1
ENV PATH=/app/python/bin:$PATH PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 MODEL_PATH=/opt/model
WORKDIR /app
COPY --from=app /app /app
COPY --from=model /model /opt/model
USER nobody
CMD ["python", "-m", "gguf_lambda"]
