#!/bin/bash
# Runs a command until it has finished: again after a preemption, a crash, or the loss of a host.
#
#   docs/restart.sh .venv/bin/python -m drnet_jax.main --config=configs/mnist.py --workdir=gs://bucket/run
#
# PAUSE is the number of seconds between two attempts.
while true; do
  "$@"
  code=$?
  case $code in
    0) exit 0 ;;
    # 1: training diverged, or a bug. 2: a mistake in the command or the data. 126 and 127: there is
    # no such command. 130: Ctrl-C. The same would happen again.
    1 | 2 | 126 | 127 | 130) exit $code ;;
  esac
  echo "restart.sh: exit code $code; starting again in ${PAUSE:-10} s." >&2
  sleep "${PAUSE:-10}"
done
