#!/bin/sh
# Installs the programs the tests talk to, where they are missing and this user may install.
set -eu
missing=""
need() { # command, package
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"
}
install() {
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "no apt-get here: tests against$missing will be skipped" >&2
        return
    fi
    run=""
    if [ "$(id -u)" != 0 ]; then
        if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
            run="sudo -n"
        else
            echo "may not install$missing: tests against them will be skipped" >&2
            return
        fi
    fi
    export DEBIAN_FRONTEND=noninteractive
    $run apt-get update -q >/dev/null
    # shellcheck disable=SC2086
    $run apt-get install -y -q --no-install-recommends $missing >/dev/null
}
need storescp dcmtk
need Orthanc orthanc
need dciodvfy dicom3tools
need gdcmconv libgdcm-tools
need node nodejs
need npm npm
need chromium chromium
[ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || missing="$missing fonts-dejavu-core"
[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing="$missing orthanc-dicomweb"
[ -z "$missing" ] || install

# Clients written in JavaScript.
if command -v npm >/dev/null 2>&1 &&
    ! [ tests/node/node_modules/.package-lock.json -nt tests/node/package-lock.json ]; then
    npm ci --prefix tests/node --silent --no-audit --no-fund
fi
