#!/bin/bash
# Trains on spot TPUs from your own computer: requests a TPU, sets it up, runs the command on all its
# hosts, and requests another one whenever it is taken away. Needs gcloud, logged in, with a project.
#
#   docs/spot_tpu.sh NAME ZONE v5litepod-16 --config=configs/mnist.py --workdir=gs://bucket/run ...
#
# REPOSITORY is what the hosts clone; PAUSE is the number of seconds between two looks at the queue.
set -u
name=$1 zone=$2 type=$3
shift 3
repository=${REPOSITORY:?set it to the address of the repository}
queue=(gcloud compute tpus queued-resources)

state() {
  "${queue[@]}" describe "$name" --zone="$zone" --format="value(state.state)" 2>/dev/null
}

on_all_hosts() {
  gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$1"
}

while true; do
  if [ -z "$(state)" ]; then
    "${queue[@]}" create "$name" --node-id="$name" --zone="$zone" --accelerator-type="$type" \
      --runtime-version=v2-alpha-tpuv5-lite --spot || exit 1
  fi
  until [ "$(state)" = ACTIVE ]; do
    case $(state) in FAILED | SUSPEND*) break ;; esac
    sleep "${PAUSE:-30}"
  done
  on_all_hosts "set -e
    [ -d drnet_jax ] || git clone -q $repository drnet_jax
    cd drnet_jax
    [ -d .venv ] || (curl -LsSf https://astral.sh/uv/install.sh | sh && \
      ~/.local/bin/uv venv -q --python 3.12 .venv && \
      ~/.local/bin/uv pip install -q -p .venv -e '.[tpu,gcs]')
    docs/restart.sh .venv/bin/python -u -m drnet_jax.main ${*@Q}"
  code=$?
  # The exit code of a host that is still there is that of the run.
  [ "$(state)" = ACTIVE ] && break
  echo "spot_tpu.sh: the TPU is gone; requesting another one." >&2
  "${queue[@]}" delete "$name" --zone="$zone" --force --quiet
done
"${queue[@]}" delete "$name" --zone="$zone" --force --quiet
exit $code
