# what policy/ builds
EXTRA_DIST += policy/syscalls.conf policy/syscalls.awk
