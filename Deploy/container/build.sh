#!/usr/bin/env bash
# Builds the image of Deploy/Containerfile from Debian's packages and a release binary, without any registry.
#
#   swift build --configuration release --static-swift-stdlib --product invar
#   Deploy/container/build.sh .build/release/invar [TAG]
#
# Needs buildah and mmdebstrap. BUILDAH is the command to call, with its options (buildah); SUITE is the Debian release
# whose libraries the binary was built with (bookworm). The exit status is 3 where Debian's packages are out of reach.
set -euo pipefail

fail() {
    echo "build.sh: $1" >&2
    exit 1
}

[ $# -ge 1 ] || fail "usage: build.sh BINARY [TAG]"
[ -x "$1" ] || fail "$1 is no program; build it with --static-swift-stdlib"
if ldd "$1" | grep -q '/lib/swift/linux/'; then fail "$1 needs the Swift runtime; build it with --static-swift-stdlib"; fi
binary=$(readlink -f "$1")
tag=${2:-invar:$("$binary" --version | sed -n 's/^invar, version \([^ ]*\).*/\1/p')}
suite=${SUITE:-bookworm}
read -ra buildah <<<"${BUILDAH:-buildah}"
for tool in "${buildah[0]}" mmdebstrap strip; do
    command -v "$tool" >/dev/null || fail "$tool is missing"
done
cd "$(dirname "$(readlink -f "$0")")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 0755 "$work"

image() {
    printf 'FROM scratch\nADD %s /\n' "$1" >"$work/Containerfile"
    "${buildah[@]}" bud --quiet --file "$work/Containerfile" --tag "$2" "$work"
}

strip --output-file "$work/invar" "$binary"
image invar localhost/invar-binary
if ! mmdebstrap --quiet --variant=minbase "$suite" "$work/debian.tar"; then
    echo "build.sh: mmdebstrap could not make a system of Debian's packages" >&2
    exit 3
fi
image debian.tar localhost/invar-debian
"${buildah[@]}" bud --pull-never --build-arg BINARY=localhost/invar-binary --build-arg BUILDER=localhost/invar-debian \
    --build-arg RUNTIME=localhost/invar-debian --file Deploy/Containerfile --tag "$tag" .
