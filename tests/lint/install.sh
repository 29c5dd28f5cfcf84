#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: `make install DESTDIR=` puts in place everything that the README promises, and a
# program is built against it with nothing but pkg-config.
set -u
top=$(cd "${top_srcdir:-.}" && pwd) || exit 1
. "$top/tests/tap.sh"
[ -z "${BH_QUICK:-}" ] || skip_all "quick run: distcheck installs anyway"
cd "${top_builddir:-.}" || exit 1
command -v pkg-config >/dev/null || skip_all "no pkg-config"
dest=$(mktemp -d) || exit 1
trap 'rm -rf "$dest"' EXIT

# Not as part of the make that runs the tests.
quiet_make() { env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s "$@"; }
where() { sed -n "s|^$1 = ||p" Makefile | sed "s|\${prefix}|$prefix|; s|\${exec_prefix}|$prefix|"; }
prefix=$(sed -n 's/^prefix = //p' Makefile)
bin=$dest$(where bindir)
sbin=$dest$(where sbindir)
lib=$dest$(where libdir)

installed() { # every file
    local f rc=0
    for f in "$@"; do
        [ -e "$f" ] || { echo "not installed: ${f#"$dest"}"; rc=1; }
    done
    return $rc
}
manual_pages() {
    local p rc=0
    for p in bulkheadd.8 bulkheadctl.1 bulkhead-httpd.1 bulkhead-run.1 bulkhead-ttcp.1 \
        bulkhead-protolat.1 bulkhead.3; do
        find "$dest" -name "$p" | grep -q . || { echo "no $p"; rc=1; }
    done
    return $rc
}
nothing_of_the_build() { # no run path into the place where it was built
    ! grep -rl "$(pwd)/" "$bin" "$sbin" "$lib"
}
build_against() {
    local pc
    pc=$(find "$dest" -name bulkhead.pc -printf '%h') || return 1
    cat >"$dest/hello.c" <<'EOC'
#include <bulkhead.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
int main(void)
{
    if (bh_socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != ECONNREFUSED)
        return 1;
    printf("%s: %s\n", bh_version(), bh_strerror_attach());
    return strlen(bh_strerror_attach()) > 10 ? 0 : 1;
}
EOC
    # shellcheck disable=SC2046
    ${CC:-cc} -o "$dest/hello" "$dest/hello.c" $(PKG_CONFIG_PATH=$pc PKG_CONFIG_SYSROOT_DIR=$dest \
        pkg-config --cflags --libs bulkhead) &&
        BULKHEAD_RUN_DIR=$dest LD_LIBRARY_PATH=$lib "$dest/hello"
}

try "install: make install DESTDIR= works" quiet_make install DESTDIR="$dest"
try "install: programs and the library are there" installed "$sbin/bulkheadd" "$bin/bulkheadctl" \
    "$bin/bulkhead-httpd" "$bin/bulkhead-run" "$bin/bulkhead-ttcp" "$bin/bulkhead-protolat" "$lib/libbulkhead.so"
try "install: the manual pages are there" manual_pages
try "install: nothing points into the build" nothing_of_the_build
if grep -q '^SAN_CFLAGS = .*fsanitize' Makefile; then
    skip "install: a program is built with pkg-config and told that there is no daemon" "sanitizer build"
else
    try "install: a program is built with pkg-config and told that there is no daemon" build_against
fi
try "install: make uninstall DESTDIR= leaves no file" bash -c "
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s uninstall DESTDIR='$dest' &&
    ! find '$dest/$prefix' -type f -o -type l | grep ."
done_testing
