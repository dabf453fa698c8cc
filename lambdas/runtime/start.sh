#!/bin/sh
# AWS_LAMBDA_EXEC_WRAPPER: Lambda starts this in the place of the managed runtime, with that runtime's
# command line as arguments. Its last one is the managed loop, which can't stream; ours takes over.
set -eu
left=$#
for argument; do
  shift
  [ "$left" -gt 1 ] && set -- "$@" "$argument"
  left=$((left - 1))
done
# As the managed loop would have it: the function's code first, then what the runtime brings.
export PYTHONPATH="$LAMBDA_TASK_ROOT${PYTHONPATH:+:$PYTHONPATH}${LAMBDA_RUNTIME_DIR:+:$LAMBDA_RUNTIME_DIR}"
exec "$@" -m lambdas.runtime
