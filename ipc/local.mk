# what ipc/ builds: the trust boundary
noinst_LTLIBRARIES += libipc.la
libipc_la_SOURCES = \
	ipc/bell.c ipc/bell.h ipc/ctl.h ipc/handle.h ipc/link.c ipc/link.h ipc/region.h ipc/ring.h
