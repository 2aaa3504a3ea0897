#!/bin/sh
# Makes the secrets that compose.yaml mounts, where they are missing. Containers read them as other users, so the files
# are open and the folder is closed: nobody else on this host gets through it.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets/tls
random() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }
make() {
    [ -e "secrets/$1" ] && return
    printf '%s%s\n' "$2" "$(random)" > "secrets/.$1"
    chmod 0444 "secrets/.$1"
    mv "secrets/.$1" "secrets/$1"
}
make admin.key gt_
make metrics.key gt_
make internal.key gti_
make engine.key ""
for name in postgres ledger audit grafana; do make "$name.password" ""; done
chmod 0755 secrets/tls
chmod 0700 secrets
