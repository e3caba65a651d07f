#!/usr/bin/env bash
# Makes target/hapi.jar where it is older than its sources.
set -euo pipefail
cd "$(dirname "$0")"
FAILURE="The FHIR server cannot be built"
source ../java.sh
make_jar hapi
