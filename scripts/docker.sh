#!/usr/bin/env bash
# Builds the image (scripts/docker.sh [NAME]) and tries it: it starts, runs a baseline on the embedded set without a
# network as a user without rights, and holds no key of the one who built it.
set -euo pipefail
cd "$(dirname "$0")/.."
image=${1:-medqbench-vlmeval}

if ! docker info >/dev/null 2>&1; then
    echo "docker is not installed here, or its daemon does not answer: the image was not built." >&2
    exit 1
fi
docker build --tag "$image" .
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 777 "$work"
docker run --rm "$image" --version
docker run --rm "$image" doctor
docker run --rm --network none --volume "$work:/work" "$image" \
    run --data MedQBench_Perception_mini --model MedQ-Classical --judge rules
find "$work" -name "*_score.json" | grep -q . || { echo "the run left no score" >&2; exit 1; }
if docker history --no-trunc "$image" | grep -i api_key; then
    echo "the image's history names a key" >&2
    exit 1
fi
echo "built and tried: $image"
