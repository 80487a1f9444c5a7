# A machine without a GPU, or one whose models are behind an API: the package and the kit. scripts/docker.sh builds and
# tries it. Data, keys and results come at run time: docker run --rm -v "$PWD:/work" -e OPENAI_API_KEY IMAGE run ...
FROM python:3.11-slim AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM python:3.11-slim
# libgl1 and libglib2.0-0: the kit imports OpenCV. Debian keeps one version of each, so there is none to name.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /dist /dist
# The wheel is named by its path, and its own requirements have the versions.
# hadolint ignore=DL3013
RUN wheel=$(ls /dist/*.whl) \
    && pip install --no-cache-dir "${wheel}[kit]" \
    && pip check \
    && useradd --create-home --uid 1000 medqbench \
    && install -d -o medqbench /work
# The user medqbench, by the number that hosts check.
USER 1000
WORKDIR /work
ENTRYPOINT ["medqbench"]
CMD ["--help"]
