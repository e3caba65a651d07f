#!/usr/bin/env bash
# Makes target/referee.jar where it is older than its sources.
set -euo pipefail
cd "$(dirname "$0")"
FAILURE="The official referee cannot be built"
source ../java.sh
make_jar referee
