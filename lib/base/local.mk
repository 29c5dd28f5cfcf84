noinst_LTLIBRARIES += libproto.la
libproto_la_SOURCES = \
	lib/base/base.h lib/base/exit_codes.h lib/base/frame.c lib/base/frame.h \
	lib/base/path.c lib/base/ports.h lib/base/portset.h lib/base/siphash.h lib/base/pkt.h lib/base/stats.h
