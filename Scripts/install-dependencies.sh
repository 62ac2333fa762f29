#!/usr/bin/env bash
# Installs what the build or the tests need and this machine lacks, with apt and pip, saying what and why.
# Usage: install-dependencies.sh build|run|test
set -euo pipefail

purpose=${1:-build}

# package | a file that proves it is there | why
build_packages='
libre2-dev|/usr/include/re2/re2.h|regular expressions with the semantics configurations expect
libsnappy-dev|/usr/include/snappy-c.h|compression of remote write and Loki pushes
zlib1g-dev|/usr/include/zlib.h|gzip of HTTP bodies and log files
libzstd-dev|/usr/include/zstd.h|zstd of HTTP bodies and log files
libbz2-dev|/usr/include/bzlib.h|bzip2 of rotated log files
libcrypt-dev|/usr/include/crypt.h|hashed passwords
librdkafka-dev|/usr/include/librdkafka/rdkafka.h|writing to Kafka
libyaml-dev|/usr/include/yaml.h|YAML in configurations, file discovery and positions files
make|/usr/bin/make|the commands of this project
'
run_packages='
curl|/usr/bin/curl|asks for the first value
'
test_packages='
prometheus|/usr/bin/prometheus|receiver and peer of the integration tests
prometheus-node-exporter|/usr/bin/prometheus-node-exporter|reference for the metrics of a host
curl|/usr/bin/curl|a client that is not ours
openssl|/usr/bin/openssl|certificates for the TLS tests
python3|/usr/bin/python3|load generators and sinks of the end-to-end tests
dnsmasq-base|/usr/sbin/dnsmasq|a name server for the discovery tests
zstd|/usr/bin/zstd|compressed log files written by another program
bzip2|/bin/bzip2|compressed log files written by another program
python3-venv|/usr/share/doc/python3-venv|a place for the Python packages of the deployment tests
chromium|/usr/bin/chromium|drives the pages of the console in the end-to-end tests
jq|/usr/bin/jq|the rotation of credentials
dpkg-dev|/usr/bin/dpkg-shlibdeps|the libraries the Debian package depends on
systemd|/usr/bin/systemd-analyze|verifies the unit of the Debian package
buildah|/usr/bin/buildah|builds and runs the image
mmdebstrap|/usr/bin/mmdebstrap|the base of the image, from packages instead of a registry
'

case $purpose in
build) wanted=$build_packages ;;
run) wanted=$build_packages$run_packages ;;
test) wanted=$build_packages$run_packages$test_packages ;;
*)
    echo "usage: $0 build|run|test" >&2
    exit 2
    ;;
esac

missing=()
while IFS='|' read -r package proof why; do
    [ -n "$package" ] || continue
    if [ ! -e "$proof" ]; then
        missing+=("$package")
        printf '  %-26s %s\n' "$package" "$why"
    fi
done <<<"$wanted"

install_packages() {
    if ! command -v apt-get >/dev/null; then
        echo "The packages above are missing, and this system has no apt-get: install them by its own means." >&2
        exit 1
    fi
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
    echo "Installing the packages above with apt-get."
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

if [ ${#missing[@]} -gt 0 ]; then install_packages; fi

# The deployment tests render charts with Helm's own engine, the end-to-end cases send with the OpenTelemetry SDK: both are
# Python packages.
if [ "$purpose" = test ]; then
    cd "$(dirname "$0")/.."
    wanted_python=$(cat Tests/Deploy/requirements.txt Tests/EndToEnd/requirements.txt)
    if [ "$wanted_python" != "$(cat .venv/requirements.txt 2>/dev/null)" ]; then
        echo "Installing the Python packages of Tests/*/requirements.txt into .venv."
        python3 -m venv .venv
        printf '%s\n' "$wanted_python" >.venv/wanted.txt
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement .venv/wanted.txt
        mv .venv/wanted.txt .venv/requirements.txt
    fi
fi
