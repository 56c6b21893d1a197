#!/bin/sh
# Builds the function's image and pushes it, unless its tag is in the registry already; terraform apply calls it.
# The tag names the content, so what is there is what would be built. HF_TOKEN and the
# package indexes, where they are set, come from the caller's environment.
set -eu

printf %s "$REGISTRY_KEY" | "$TOOL" login --username AWS --password-stdin "$REGISTRY"
trap '"$TOOL" logout "$REGISTRY" >/dev/null' EXIT

if "$TOOL" manifest inspect "$IMAGE" >/dev/null 2>&1; then
  echo "$IMAGE is in the registry already."
  exit 0
fi

set -- --tag "$IMAGE" --platform "$PLATFORM" \
  --build-arg "MODEL=$MODEL" --build-arg "MODEL_FROM=$MODEL_FROM" --build-arg "QUANT=$QUANT"
[ -z "${PIP_INDEX_URL:-}" ] || set -- "$@" --build-arg "PIP_INDEX_URL=$PIP_INDEX_URL"
[ -z "${TORCH_INDEX_URL:-}" ] || set -- "$@" --build-arg "TORCH_INDEX_URL=$TORCH_INDEX_URL"
[ -z "${HF_TOKEN:-}" ] || set -- "$@" --secret id=hf_token,env=HF_TOKEN

case $(basename "$TOOL") in
  docker) # Lambda refuses the image index that attestations make
    "$TOOL" buildx build "$@" --provenance=false --sbom=false --push . ;;
  *)
    "$TOOL" build "$@" .
    "$TOOL" push "$IMAGE" ;;
esac
