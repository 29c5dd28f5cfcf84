# Fuzz targets. To add one: tests/fuzz/fuzz_x.c with LLVMFuzzerTestOneInput, inputs worth
# keeping in tests/fuzz/corpus/fuzz_x/, and three lines here:
#
#	FUZZ_TARGETS += tests/fuzz/fuzz_x
#	tests_fuzz_fuzz_x_SOURCES = tests/fuzz/fuzz_x.c $(FUZZ_MAIN)
#	tests_fuzz_fuzz_x_LDADD = $(FUZZ_LIBS)
#
# With --enable-fuzzers they are libFuzzer programs. Without, replay.c drives them: the corpus,
# each input cut at every length, and seeded mutations of each; `make check` runs that.
FUZZ_TARGETS =
FUZZ_LIBS = libproto.la $(FUZZ_LDFLAGS)
if ENABLE_FUZZERS
FUZZ_MAIN =
else
FUZZ_MAIN = tests/fuzz/replay.c
endif
FUZZ_TARGETS += tests/fuzz/fuzz_http
tests_fuzz_fuzz_http_SOURCES = tests/fuzz/fuzz_http.c $(FUZZ_MAIN)
tests_fuzz_fuzz_http_LDADD = libhttp.la $(FUZZ_LDFLAGS)

check_PROGRAMS += $(FUZZ_TARGETS)
TESTS += tests/fuzz/replay.sh
dist_check_SCRIPTS += tests/fuzz/replay.sh
EXTRA_DIST += tests/fuzz/corpus tests/fuzz/fuzz.h tests/fuzz/replay.c tests/fuzz/scribble.h

FUZZ_TARGETS += tests/fuzz/fuzz_ctl
tests_fuzz_fuzz_ctl_SOURCES = tests/fuzz/fuzz_ctl.c $(FUZZ_MAIN)
tests_fuzz_fuzz_ctl_LDADD = libipc.la $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_ip
tests_fuzz_fuzz_ip_SOURCES = tests/fuzz/fuzz_ip.c $(FUZZ_MAIN)
tests_fuzz_fuzz_ip_LDADD = $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_wire
tests_fuzz_fuzz_wire_SOURCES = tests/fuzz/fuzz_wire.c $(FUZZ_MAIN)
tests_fuzz_fuzz_wire_LDADD = $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_udp
tests_fuzz_fuzz_udp_SOURCES = tests/fuzz/fuzz_udp.c $(UDP_KIT) $(FUZZ_MAIN)
tests_fuzz_fuzz_udp_CPPFLAGS = $(AM_CPPFLAGS) -DKIT_SMALL
tests_fuzz_fuzz_udp_LDADD = $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_tcp
tests_fuzz_fuzz_tcp_SOURCES = tests/fuzz/fuzz_tcp.c $(TCP_KIT) $(FUZZ_MAIN)
tests_fuzz_fuzz_tcp_CPPFLAGS = $(AM_CPPFLAGS) -DKIT_SMALL
tests_fuzz_fuzz_tcp_LDADD = $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_serve
tests_fuzz_fuzz_serve_SOURCES = tests/fuzz/fuzz_serve.c tests/fuzz/serve_world.c \
	tests/fuzz/serve_world.h $(FUZZ_MAIN)
tests_fuzz_fuzz_serve_LDADD = libserve.la libipc.la $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_client
tests_fuzz_fuzz_client_SOURCES = tests/fuzz/fuzz_client.c $(FUZZ_MAIN)
tests_fuzz_fuzz_client_LDADD = libclient.la libipc.la $(FUZZ_LIBS) -lpthread
FUZZ_TARGETS += tests/fuzz/fuzz_link
tests_fuzz_fuzz_link_SOURCES = tests/fuzz/fuzz_link.c $(FUZZ_MAIN)
tests_fuzz_fuzz_link_LDADD = libipc.la $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_conf
tests_fuzz_fuzz_conf_SOURCES = tests/fuzz/fuzz_conf.c domains/sup_config.c domains/sup_value.c \
	$(FUZZ_MAIN)
tests_fuzz_fuzz_conf_LDADD = libbadwire.la libipc.la $(FUZZ_LIBS) $(CONFFILE_LIBS) -lm
FUZZ_TARGETS += tests/fuzz/fuzz_policy
tests_fuzz_fuzz_policy_SOURCES = tests/fuzz/fuzz_policy.c $(FUZZ_MAIN)
tests_fuzz_fuzz_policy_LDADD = libpolicy.la $(FUZZ_LIBS)
