#!/usr/bin/env bash
# Installs Orthanc with DICOMweb where it is missing. Only this needs a network.
set -euo pipefail
cd "$(dirname "$0")"
FAILURE="Orthanc cannot be installed"
source ../apt.sh

has_orthanc() {
  [[ -x ${ORTHANC:-/usr/sbin/Orthanc} && -e ${ORTHANC_DICOMWEB:-/usr/share/orthanc/plugins/libOrthancDicomWeb.so} ]]
}

if ! has_orthanc; then
  install "Orthanc with DICOMweb" orthanc orthanc-dicomweb
  has_orthanc || fail "what was installed lies elsewhere; ORTHANC and ORTHANC_DICOMWEB say where."
fi
