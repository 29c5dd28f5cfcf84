# lib/client: libbulkhead, what programs link with, and its libevent adaptor

include_HEADERS += lib/client/bulkhead.h lib/client/bulkhead_event.h

lib_LTLIBRARIES += libbulkhead.la libbulkhead-event.la

CLIENT_CPPFLAGS = $(AM_CPPFLAGS) -DBULKHEAD_RUN_DIR='"$(bulkheadrundir)"' \
	-DPACKAGE_VERSION='"$(PACKAGE_VERSION)"'
CLIENT_SOURCES = \
	lib/client/att.c lib/client/attach.c lib/client/bulkhead.h lib/client/delegate.c lib/client/dgram.c \
	lib/client/handle.c lib/client/hooks.h \
	lib/client/io.c lib/client/ioctl.c lib/client/lib.c lib/client/name.c lib/client/opt.c \
	lib/client/pages.c lib/client/pass.c lib/client/poll.c lib/client/private.h lib/client/request.c \
	lib/client/share.c lib/client/slot.c lib/client/sock.c lib/client/standin.c lib/client/standin.h lib/client/stream.c lib/client/table.c \
	lib/client/wait.c lib/client/watch.c

# The shared library holds the little that it needs of the rest, and none of the protocols.
libbulkhead_la_SOURCES = $(CLIENT_SOURCES) \
	ipc/bell.c ipc/ctl.c ipc/region.c lib/session/account.c lib/session/dir.c lib/session/session.c
libbulkhead_la_CPPFLAGS = $(CLIENT_CPPFLAGS)
libbulkhead_la_CFLAGS = $(AM_CFLAGS) -fPIC -pthread
libbulkhead_la_LDFLAGS = $(HARDEN_LIB_LDFLAGS) -no-undefined -version-info 0:0:0 -pthread \
	-Wl,--version-script=$(top_srcdir)/lib/client/bulkhead.map
EXTRA_libbulkhead_la_DEPENDENCIES = lib/client/bulkhead.map
EXTRA_DIST += lib/client/bulkhead.map

libbulkhead_event_la_SOURCES = lib/client/bulkhead_event.c lib/client/bulkhead_event.h
libbulkhead_event_la_CPPFLAGS = $(AM_CPPFLAGS)
libbulkhead_event_la_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) -fPIC
libbulkhead_event_la_LDFLAGS = $(HARDEN_LIB_LDFLAGS) -no-undefined -version-info 0:0:0 \
	-Wl,--version-script=$(top_srcdir)/lib/client/bulkhead.map
libbulkhead_event_la_LIBADD = libbulkhead.la $(EVENT_LIBS)
EXTRA_libbulkhead_event_la_DEPENDENCIES = lib/client/bulkhead.map

# The same objects with everything visible, for tests that use lib/client/hooks.h. To be
# linked with libipc.la and libproto.la.
check_LTLIBRARIES += libclient.la
libclient_la_SOURCES = $(CLIENT_SOURCES) lib/client/bulkhead_event.c
libclient_la_CPPFLAGS = $(CLIENT_CPPFLAGS)
libclient_la_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) -pthread
libclient_la_LIBADD = $(EVENT_LIBS)

pkgconfig_DATA += bulkhead.pc bulkhead-event.pc
dist_man_MANS += \
	man/bh_ev_new.3 man/bh_mint.3 man/bh_reserve.3 man/bh_socket.3 man/bh_watch.3 man/bulkhead.3
