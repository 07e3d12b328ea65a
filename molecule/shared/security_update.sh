#!/bin/bash
# Publish version 2 of a package as Debian's security team would, have the timers' services run, and say
# which version is installed then. Other updates wait: they are not what is asked here.
set -euo pipefail
place=/run/verify-updates
configuration=/etc/apt/apt.conf.d/zz-verify
sources=/etc/apt/sources.list.d/verify.list
. /etc/os-release
trap 'dpkg --purge flowstead-verify > /dev/null; rm -rf "$place" "$configuration" "$sources"' EXIT

for version in 1 2; do
    mkdir -p "$place/tree-$version/DEBIAN"
    printf '%s\n' 'Package: flowstead-verify' "Version: $version" 'Architecture: all' \
        'Maintainer: Flowstead <flowstead@example.org>' 'Description: nothing' > "$place/tree-$version/DEBIAN/control"
    dpkg-deb --build --root-owner-group "$place/tree-$version" "$place/$version.deb" > /dev/null
done
dpkg --install "$place/1.deb" > /dev/null
cd "$place"
{
    dpkg-deb --field 2.deb
    printf '%s\n' 'Filename: ./2.deb' "Size: $(stat --format=%s 2.deb)" "SHA256: $(sha256sum < 2.deb | cut -d' ' -f1)"
} > Packages
printf '%s\n' 'Origin: Debian' 'Label: Debian-Security' 'Suite: stable-security' "Codename: $VERSION_CODENAME-security" 'SHA256:' \
    " $(sha256sum < Packages | cut -d' ' -f1) $(stat --format=%s Packages) Packages" > Release
echo "deb [trusted=yes] file:$place ./" > "$sources"
printf '%s\n' 'Unattended-Upgrade::Package-Whitelist { "^flowstead-verify$"; };' \
    'Unattended-Upgrade::Package-Whitelist-Strict "true";' > "$configuration"

rm -f /var/lib/apt/periodic/*-stamp
for unit in apt-daily.timer apt-daily-upgrade.timer; do
    systemctl start "$(systemctl show --value --property=Triggers "$unit")"
done
echo "installed: $(dpkg-query --show --showformat='${Version}' flowstead-verify)"
