# To be sourced; FAILURE says what becomes of a failure.

fail() {
  echo "$FAILURE: $*" >&2
  exit 1
}

# install WHAT PACKAGE...: fails with one sentence where it cannot.
install() {
  local what=$1 as_root=()
  shift
  command -v apt-get >/dev/null || fail "needed: $what, and there is no apt-get to install it with."
  if (($(id -u) != 0)); then
    command -v sudo >/dev/null || fail "needed: $what; installing it needs root or sudo."
    as_root=(sudo -n)
  fi
  echo "Installing $what." >&2
  {
    "${as_root[@]}" apt-get update -qq &&
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
  } >&2 || fail "apt-get could not install $*."
}
