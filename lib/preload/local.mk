# lib/preload: libbulkhead-preload.so, which puts unchanged programs on the stack

pkglib_LTLIBRARIES += libbulkhead-preload.la

PRELOAD_SOURCES = \
	lib/preload/addr.c lib/preload/close.c lib/preload/cmsg.c lib/preload/control.c lib/preload/exec.c lib/preload/fortified.c \
	lib/preload/more.c lib/preload/netif.c \
	lib/preload/open.c lib/preload/option.c lib/preload/poll.c lib/preload/real.c \
	lib/preload/recv.c lib/preload/replay.c lib/preload/rights.c \
	lib/preload/say.c lib/preload/send.c lib/preload/shim.c lib/preload/shim.h \
	lib/preload/splice.c lib/preload/stream.c lib/preload/syscall.c lib/preload/wait.c lib/preload/wild.c

# The client library's objects are a part of it, with their names hidden. What they call goes to
# inside.c and not to what is exported here.
libbulkhead_preload_la_SOURCES = $(PRELOAD_SOURCES) lib/preload/inside.c $(libbulkhead_la_SOURCES)
libbulkhead_preload_la_CPPFLAGS = $(CLIENT_CPPFLAGS)
libbulkhead_preload_la_CFLAGS = $(AM_CFLAGS) -fPIC -pthread -fvisibility=hidden \
	-ftls-model=initial-exec
libbulkhead_preload_la_LDFLAGS = $(HARDEN_LIB_LDFLAGS) -module -avoid-version -no-undefined -pthread \
	-Wl,--version-script=$(top_srcdir)/lib/preload/preload.map \
	-Wl,--wrap=close,--wrap=connect,--wrap=dup,--wrap=epoll_create1,--wrap=eventfd,--wrap=fcntl \
	-Wl,--wrap=getsockopt,--wrap=memfd_create,--wrap=socketpair \
	-Wl,--wrap=poll,--wrap=ppoll,--wrap=read,--wrap=recv,--wrap=recvmsg,--wrap=send \
	-Wl,--wrap=sendmsg,--wrap=setsockopt,--wrap=socket,--wrap=syscall,--wrap=timerfd_create \
	-Wl,--wrap=write
EXTRA_libbulkhead_preload_la_DEPENDENCIES = lib/preload/preload.map
EXTRA_DIST += lib/preload/preload.map

# What it decides by, and names (run.mk).
libbulkhead_preload_la_LIBADD = librules.la libnames.la
