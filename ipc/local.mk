# what ipc/ builds: the trust boundary

noinst_LTLIBRARIES += libipc.la
libipc_la_CPPFLAGS = $(AM_CPPFLAGS) -DBULKHEAD_RUN_DIR='"$(bulkheadrundir)"'
libipc_la_SOURCES = \
	ipc/bell.c ipc/bell.h ipc/ctl.c ipc/ctl.h ipc/handle.c ipc/handle.h \
	ipc/handle_end.c ipc/handle_tree.h \
	ipc/link.c ipc/link.h ipc/region.c ipc/region.h ipc/ring.h
