# Exact segment exchanges: scripts (scripts/*.pkt, language in README.md), against the pure
# components in virtual time and, in tests/netns/test_packet.sh, against the running stack.
PACKET_SOURCES = \
	tests/packet/app.c tests/packet/call.c tests/packet/main.c tests/packet/main.h \
	tests/packet/match.c tests/packet/number.c tests/packet/parse.c tests/packet/peer.c \
	tests/packet/run.c tests/packet/run.h tests/packet/script.h tests/packet/segment.c

check_PROGRAMS += tests/packet/run_pure
tests_packet_run_pure_SOURCES = tests/packet/pure.c $(PACKET_SOURCES)
tests_packet_run_pure_LDADD = libsim.la libclient.la libipc.la libproto.la

check_PROGRAMS += tests/packet/run_stack
tests_packet_run_stack_SOURCES = tests/packet/stack.c $(PACKET_SOURCES)
tests_packet_run_stack_LDADD = libbulkhead.la libproto.la

TESTS += tests/packet/language.sh tests/packet/pure.sh
dist_check_SCRIPTS += tests/packet/language.sh tests/packet/pure.sh
tests/packet/language.log tests/packet/pure.log: tests/packet/run_pure
EXTRA_DIST += tests/packet/CLAUSES.md tests/packet/README.md tests/packet/clauses-other.txt \
	tests/packet/clauses.sh tests/packet/scripts
