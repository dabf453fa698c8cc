#!/bin/sh
# Checks the synthesised templates with checkov, in an environment of its own: checkov pins packages
# that the project needs newer.
#
#   scripts/checkov.sh DIRECTORY     a cloud assembly, such as cdk.out
#
# Each check that is skipped is skipped for the reason beside it in scripts/checkov.yaml.
set -eu
assembly=${1:?usage: scripts/checkov.sh DIRECTORY}
here=$(cd "$(dirname "$0")" && pwd)
environment=${CHECKOV_ENVIRONMENT:-${TMPDIR:-/tmp}/nvfp4-ddim-checkov}
version=3.3.30

if [ ! -x "$environment/bin/checkov" ]; then
  python3 -m venv "$environment"
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "checkov==$version"
fi
for template in "$assembly"/*.template.json; do
  [ -e "$template" ] || { echo "No templates in $assembly: synthesise first." >&2; exit 2; }
  set -- "$@" --file "$template"
done
shift
exec "$environment/bin/checkov" --config-file "$here/checkov.yaml" "$@"
