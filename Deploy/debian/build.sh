#!/usr/bin/env bash
# Builds the Debian package from a release binary.
#
#   swift build --configuration release --static-swift-stdlib --product invar
#   Deploy/debian/build.sh .build/release/invar [DIRECTORY]
#
# Writes invar_VERSION_ARCHITECTURE.deb into DIRECTORY (the current one) and prints its path.
set -euo pipefail
umask 022

fail() {
    echo "build.sh: $1" >&2
    exit 1
}

[ $# -ge 1 ] || fail "usage: build.sh BINARY [DIRECTORY]"
[ -x "$1" ] || fail "$1 is no program; build it with \`make release\`"
binary=$(readlink -f "$1")
output=$(readlink -f "${2:-.}")
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
if ldd "$binary" | grep -q '/lib/swift/linux/'; then fail "$1 needs the Swift runtime; build it with --static-swift-stdlib"; fi
for tool in dpkg-deb dpkg-shlibdeps strip; do
    command -v "$tool" >/dev/null || fail "$tool is missing: install dpkg-dev and binutils"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree

version=$("$binary" --version | sed -n 's/^invar, version \([^ ]*\).*/\1/p')
[ -n "$version" ] || fail "$binary does not say its version"
architecture=$(dpkg --print-architecture)

install -d "$tree"/DEBIAN "$tree"/usr/bin "$tree"/usr/lib/systemd/system "$tree"/usr/lib/sysusers.d \
    "$tree"/usr/share/doc/invar "$tree"/etc/default "$tree"/etc/invar

install -m 0755 "$binary" "$tree/usr/bin/invar"
strip --strip-unneeded "$tree/usr/bin/invar"

install -m 0644 "$here/../systemd/invar.service" "$tree/usr/lib/systemd/system/"
install -m 0644 "$here/sysusers.conf" "$tree/usr/lib/sysusers.d/invar.conf"
install -m 0644 "$here/invar.default" "$tree/etc/default/invar"
install -m 0644 "$root/Deploy/charts/invar/config/example.alloy" "$tree/etc/invar/config.alloy"
sed -i '1s|.*|// The configuration of invar.service. Reads the collector'"'"'s own metrics and sends nothing anywhere.|' \
    "$tree/etc/invar/config.alloy"
install -m 0644 "$root/README.md" "$root/Docs/Deployment.md" "$tree/usr/share/doc/invar/"
install -m 0644 "$root/LICENSE" "$tree/usr/share/doc/invar/copyright"
install -m 0755 "$here/postinst" "$here/prerm" "$here/postrm" "$tree/DEBIAN/"
printf '%s\n' /etc/default/invar /etc/invar/config.alloy >"$tree/DEBIAN/conffiles"

# dpkg-shlibdeps wants to stand beside a source package.
install -d "$work/debian"
printf 'Source: invar\n\nPackage: invar\nArchitecture: any\n' >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O -e"$tree/usr/bin/invar" | sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || fail "dpkg-shlibdeps found no libraries"

cat >"$tree/DEBIAN/control" <<CONTROL
Package: invar
Version: $version
Architecture: $architecture
Section: net
Priority: optional
Maintainer: The Invar maintainers <maintainers@invalid.invalid>
Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f1)
Depends: $depends, ca-certificates, systemd | systemd-sysusers
Suggests: tzdata
Description: telemetry collector that runs Alloy configuration
 Invar collects metrics, logs, traces and profiles with Grafana Alloy
 configuration as it stands, with less CPU and memory, and accounts for
 every item that it does not deliver.
CONTROL
(cd "$tree" && find etc usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)

package=$output/invar_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zxz -z6 --build "$tree" "$package" >/dev/null
echo "$package"
