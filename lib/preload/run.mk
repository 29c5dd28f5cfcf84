# lib/preload: what starts unchanged programs on Bulkhead, what it decides by, and names

# The rules about what is the kernel's.
noinst_LTLIBRARIES += librules.la
librules_la_SOURCES = lib/preload/rules.c lib/preload/rules.h policy/text.c policy/text.h
librules_la_CFLAGS = $(AM_CFLAGS) -fPIC
