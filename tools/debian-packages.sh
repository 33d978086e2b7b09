#!/bin/sh
# The Debian packages that pip cannot bring, all of them here: Chromium for the browser tests,
# PostgreSQL for those of its storage, which start a server of their own, Java for the Pub/Sub
# emulator. (libsndfile is inside the soundfile wheel.) Installs what is missing; never fails, because
# all other tests work without.
packages="chromium postgresql"
command -v java >/dev/null || packages="$packages default-jre-headless"
# In Google's own archive only, which is not added here behind anybody's back.
emulator=google-cloud-cli-pubsub-emulator
sdk=$(dirname "$(dirname "$(readlink -f "$(command -v gcloud || echo /nowhere/bin/gcloud)")")")
if ! [ -d "$sdk/platform/pubsub-emulator" ]; then
    if apt-cache show "$emulator" >/dev/null 2>&1; then
        packages="$packages $emulator"
    else
        echo "setup: not installed: Google's Pub/Sub emulator (gcloud components install beta pubsub-emulator); the tests that need it are skipped"
    fi
fi

missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "setup: not installed (needs root and apt-get):$missing; the tests that need it are skipped"
    exit 0
fi
echo "setup: installing$missing"
log=$(mktemp)
if ! { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    echo "setup: not installed:$missing ($(tail -n 1 "$log")); the tests that need it are skipped"
fi
rm -f "$log"
