#!/bin/sh
# Puts a release into a folder of its own and moves the link `current` there in one step: whoever reads it has the old
# model or the new one, and never a half. The same again does no harm.
set -eu
to=${SERVED:-$HOME/served}/$RUNNER_DEPLOYMENT/$RUNNER_ENVIRONMENT

if [ "${1:-}" = --remove ]; then
    rm -f "$to/current"
    echo "nothing is served from $to any more"
    exit
fi

version=v$RUNNER_VERSION
mkdir -p "$to"
rm -rf "$to/.$version" "$to/$version"
cp -r "$RUNNER_MODEL" "$to/.$version"
chmod -R u+w "$to/.$version"
cp "$RUNNER_RELEASE" "$to/.$version/release.json"
test -s "$to/.$version/model.json" || { echo "the model is empty"; exit 1; }
mv "$to/.$version" "$to/$version"
ln -sfn "$version" "$to/.current"
mv -T "$to/.current" "$to/current"
echo "$to/current is $version, try $RUNNER_ATTEMPT"
