#!/bin/sh
# A Ceph object gateway for the tests of artifacts, on 127.0.0.1:7480, with the keys trackside and trackside-secret: one
# monitor and one store in memory (8 GB at most), all that it keeps in a folder of its own, no root, no service.
# Debian: apt-get install --no-install-recommends radosgw ceph-mon ceph-osd
# Usage: tests/radosgw.sh FOLDER; it ends with `kill $(cat FOLDER/*.pid)`
set -eu
HERE=$(mkdir -p "$1" && cd "$1" && pwd)
mkdir -p "$HERE/mon" "$HERE/osd" "$HERE/rgw"
export CEPH_CONF="$HERE/ceph.conf"
FSID=$(cat /proc/sys/kernel/random/uuid)
cat >"$CEPH_CONF" <<CONF
[global]
fsid = $FSID
mon host = v2:127.0.0.1:40100
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
run dir = $HERE
pid file = $HERE/\$type.\$id.pid
admin socket = $HERE/\$type.\$id.asok
log file = $HERE/\$type.\$id.log
crash dir = $HERE
ms mon client mode = crc
[mon]
mon data = $HERE/mon
mon data avail crit = 1
[osd]
osd data = $HERE/osd
osd objectstore = memstore
memstore device bytes = 8589934592
osd class load list = *
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:7480
rgw data = $HERE/rgw
CONF
monmaptool --create --fsid "$FSID" --addv a "[v2:127.0.0.1:40100]" "$HERE/monmap" >/dev/null
ceph-mon -i a --mkfs --monmap "$HERE/monmap"
ceph-mon -i a
OSD=$(cat /proc/sys/kernel/random/uuid)
ceph osd new "$OSD" >/dev/null
ceph-osd -i 0 --mkfs --osd-uuid "$OSD"
ceph-osd -i 0
radosgw -n client.rgw
radosgw-admin user create --uid trackside --display-name trackside --access-key trackside --secret-key trackside-secret >/dev/null
