# what lib/ builds: the pure protocol code, the client library, and what is put in front of libc
include lib/base/local.mk
include lib/wire/local.mk
include lib/session/local.mk
include lib/ip/local.mk
include lib/tcp/local.mk
include lib/udp/local.mk
include lib/client/local.mk
include lib/preload/local.mk
include lib/preload/run.mk
