# lib/preload: what starts unchanged programs on Bulkhead, what it decides by, and names

# The rules about what is the kernel's.
noinst_LTLIBRARIES += librules.la
librules_la_SOURCES = lib/preload/rules.c lib/preload/rules.h policy/text.c policy/text.h
librules_la_CFLAGS = $(AM_CFLAGS) -fPIC

# What sets it up and becomes the program.
bin_PROGRAMS += bulkhead-run
bulkhead_run_SOURCES = lib/preload/program.c lib/preload/program.h lib/preload/run.c
bulkhead_run_CPPFLAGS = $(AM_CPPFLAGS) -DBULKHEAD_PKGLIBDIR='"$(pkglibdir)"'
bulkhead_run_LDADD = librules.la libipc.la libproto.la

# Names. c-ares is loaded when the first one is asked for: only its header is needed here.
noinst_LTLIBRARIES += libnames.la
libnames_la_SOURCES = \
	lib/preload/hosts.c lib/preload/names.c lib/preload/names.h lib/preload/names_ask.c \
	lib/preload/names_export.c lib/preload/names_io.c lib/preload/names_real.h \
	lib/preload/resolve.c
libnames_la_CFLAGS = $(AM_CFLAGS) $(CARES_CFLAGS) -fPIC -pthread

dist_man_MANS += man/bulkhead-run.1
