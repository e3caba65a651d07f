#!/bin/sh
# GDCM's scanner, for `make bench` to stand beside: Debian's and Ubuntu's libgdcm-tools.
set -e
command -v gdcmscanner >/dev/null && exit 0
command -v apt-get >/dev/null || { echo "no gdcmscanner here, and no apt-get to install it" >&2; exit 1; }
[ "$(id -u)" = 0 ] && SUDO= || SUDO="sudo -n"
$SUDO apt-get update -qq
$SUDO apt-get install -qq -y --no-install-recommends libgdcm-tools
