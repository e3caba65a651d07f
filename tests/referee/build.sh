#!/usr/bin/env bash
# Makes target/referee.jar where it is older than its sources, and installs a JDK (17 or newer) and Maven where they
# are missing. Only this needs a network.
set -euo pipefail
cd "$(dirname "$0")"

fail() {
  echo "The official referee cannot be built: $*" >&2
  exit 1
}

has_tools() {
  command -v java >/dev/null && command -v javac >/dev/null && command -v mvn >/dev/null || return 1
  local version
  version=$(javac -version 2>&1 | sed -E 's/^javac ([0-9]+).*/\1/')
  [[ $version =~ ^[0-9]+$ ]] && ((version >= 17))
}

install_tools() {
  local as_root=()
  command -v apt-get >/dev/null || fail "a JDK (17 or newer) and Maven are needed, and there is no apt-get to install them."
  if (($(id -u) != 0)); then
    command -v sudo >/dev/null || fail "a JDK (17 or newer) and Maven are needed; installing them needs root or sudo."
    as_root=(sudo -n)
  fi
  echo "Installing a JDK and Maven." >&2
  {
    "${as_root[@]}" apt-get update -qq &&
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends openjdk-17-jdk-headless maven
  } >&2 || fail "apt-get could not install openjdk-17-jdk-headless and maven."
  has_tools || fail "the JDK that was installed is not the one on the PATH."
}

has_tools || install_tools
if [[ ! -e target/referee.jar || -n $(find pom.xml src -newer target/referee.jar -print -quit) ]]; then
  echo "Building the official referee." >&2
  mvn --batch-mode --quiet package >&2 || fail "Maven failed."
fi
