# To be sourced in the folder of a Java program of the tests; FAILURE as in apt.sh.
source "${BASH_SOURCE[0]%/*}/apt.sh"

has_java() {
  command -v java >/dev/null && command -v javac >/dev/null && command -v mvn >/dev/null || return 1
  local version
  version=$(javac -version 2>&1 | sed -E 's/^javac ([0-9]+).*/\1/')
  [[ $version =~ ^[0-9]+$ ]] && ((version >= 17))
}

# make_jar NAME: makes target/NAME.jar where it is older than its sources, and installs a JDK (17 or newer) and Maven
# where they are missing. Only this needs a network.
make_jar() {
  if ! has_java; then
    install "a JDK (17 or newer) and Maven" openjdk-17-jdk-headless maven
    has_java || fail "the JDK that was installed is not the one on the PATH."
  fi
  if [[ ! -e target/$1.jar || -n $(find pom.xml src -newer "target/$1.jar" -print -quit) ]]; then
    echo "Building target/$1.jar." >&2
    mvn --batch-mode --quiet package >&2 || fail "Maven failed."
  fi
}
