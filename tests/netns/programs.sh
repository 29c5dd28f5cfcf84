# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# programs.sh: sourced by test_programs.sh. What the columns "prepare", "beside" and "proof" of
# programs.tab name. They see the row's $HOST, $PORT, $D and the runner's $peer_ns, $server_pid.

# --- prepare ---

nginx_conf() { # what stands before http, then what stands in server
    mkdir -p "$D/put" "$D/tmp"
    chmod 777 "$D/put" "$D/tmp"
    cat >"$D/nginx.conf" <<EOF
daemon off;
pid $D/nginx.pid;
error_log $D/error.log notice;
$1
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $D/tmp;
    proxy_temp_path $D/tmp;
    fastcgi_temp_path $D/tmp;
    uwsgi_temp_path $D/tmp;
    scgi_temp_path $D/tmp;
    keepalive_requests 1000000;
    client_max_body_size 100m;
    server {
        listen $2;
        root $WWW;
        location /put/ { root $D; dav_methods PUT; client_body_temp_path $D/tmp; }
    }
}
EOF
}
nginx_one() { nginx_conf "master_process off;" "$HOST:$PORT"; }
nginx_two() { nginx_conf "worker_processes 2; worker_rlimit_nofile 4096;" "$PORT"; }

haproxy_conf() { # haproxy is both: a server, and a client of an nginx at the peer
    nginx_conf "worker_processes 1;" "$PEER:$BACK"
    helper "$peer_ns" nginx -c "$D/nginx.conf" -e "$D/error.log"
    cat >"$D/haproxy.conf" <<EOF
global
    maxconn 2000
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend in
    bind $HOST:$PORT
    default_backend out
backend out
    server one $PEER:$BACK
EOF
}

rsync_conf() {
    cat >"$D/rsync.conf" <<EOF
use chroot = no
uid = $(id -u)
gid = $(id -g)
pid file = $D/rsync.pid
lock file = $D/rsync.lock
[www]
path = $WWW
EOF
}

pg_init() {
    install -d -o postgres -g postgres "$D/pg" || return 1
    (cd / && setpriv --reuid postgres --regid postgres --clear-groups \
        "$PGBIN/initdb" -N -A trust -D "$D/pg" >"$D/initdb.log" 2>&1) || return 1
    echo "host all all 0.0.0.0/0 trust" >>"$D/pg/pg_hba.conf"
    printf 'fsync = off\nmax_connections = 50\nshared_buffers = 32MB\n' >>"$D/pg/postgresql.conf"
}

ssh_conf() {
    install -d -m 755 /run/sshd # what sshd's service makes; it does not start without
    local k
    for k in host user; do
        ssh-keygen -q -t ed25519 -N '' -f "$D/$k" || return 1
    done
    cat >"$D/sshd.conf" <<EOF
ListenAddress $HOST:$PORT
HostKey $D/host
PidFile none
AuthorizedKeysFile $D/user.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
Subsystem sftp internal-sftp
EOF
    cat >"$D/ssh.conf" <<EOF
IdentityFile $D/user
IdentitiesOnly yes
IdentityAgent none
BatchMode yes
StrictHostKeyChecking no
UserKnownHostsFile $D/known
LogLevel ERROR
EOF
    head -c 1000000000 /dev/urandom >"$D/giga"
}

# --- beside ---

nginx_reloads() { # every second for 19 seconds
    local i
    for i in $(seq 19); do
        sleep 1
        kill -HUP "$server_pid" || return 1
    done
    [ "$(grep -c 'signal process started\|reconfiguring' "$D/error.log")" -ge 19 ]
}

redis_saves() { # a child of the server writes its memory while clients are served
    ip netns exec "$peer_ns" redis-cli -h "$HOST" -p "$PORT" bgsave >/dev/null || return 1
    until_ok 10 redis_saved
}
redis_saved() {
    ip netns exec "$peer_ns" redis-cli -h "$HOST" -p "$PORT" info persistence |
        tr -d '\r' | grep -Eq '^rdb_saves:[1-9]'
}

# --- proof ---

sha() { [ "$(sha256sum <"${1:-$D/out}" | cut -d' ' -f1)" = "$BIG_SHA" ]; }
files() { # file... count: each is as $WWW/big
    local f n=${*: -1}
    [ "$n" -eq $(($# - 1)) ] || { echo "$(($# - 1)) files, not $n"; return 1; }
    for f in "${@:1:$#-1}"; do
        until_ok 5 sha "$f" || { echo "$f differs"; return 1; }
    done
}
same() { cmp "$1" "$2"; }
same_tree() { diff -r "$WWW" "$D/got"; }
says() { grep -q -- "$1" "$D/out"; }
csv_lines() { # as many lines as tests, and in each some requests a second
    [ "$(grep -Ec '^"[^"]*","[1-9][0-9.]*",' "$D/out")" -eq "$1" ]
}
wrk_clean() {
    grep -Eq '^ +[1-9][0-9]* requests in' "$D/out" && ! grep -Eq 'Socket errors|Non-2xx' "$D/out"
}
iperf_sum() { # no error, bytes in every stream, and of datagrams more than half arrived
    "$PY" - "$D/out" <<'EOF'
import json
import sys

end = json.load(open(sys.argv[1]))
assert "error" not in end, end["error"]
end = end["end"]
for stream in end["streams"]:
    for one in stream.values():
        assert one["bytes"] > 0 or "lost_packets" in one, one
sums = [v for k, v in end.items() if k.startswith("sum")]
assert sums and all(s["bytes"] > 100000 for s in sums), sums
for s in sums:
    assert s.get("lost_percent", 0) < 50, s
EOF
}
