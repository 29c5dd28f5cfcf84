# Peers that lie: what must not happen whatever the other side writes or sends.
UNIT_TESTS += tests/hostile/test_hostile_ring
tests_hostile_test_hostile_ring_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/hostile/test_hostile_ctl
tests_hostile_test_hostile_ctl_SOURCES = tests/hostile/test_hostile_ctl.c tests/hostile/ctl_samples.h
tests_hostile_test_hostile_ctl_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/hostile/test_hostile_client
tests_hostile_test_hostile_client_SOURCES = tests/hostile/test_hostile_client.c \
	tests/hostile/tcp_kit.c tests/hostile/tcp_kit.h
tests_hostile_test_hostile_client_LDADD = libserve.la $(UNIT_LIBS)
UNIT_TESTS += tests/hostile/test_hostile_handle
tests_hostile_test_hostile_handle_SOURCES = tests/hostile/test_hostile_handle.c \
	tests/hostile/tcp_kit.c tests/hostile/tcp_kit.h
tests_hostile_test_hostile_handle_LDADD = libserve.la $(UNIT_LIBS)
UNIT_TESTS += tests/hostile/test_hostile_given
tests_hostile_test_hostile_given_SOURCES = tests/hostile/test_hostile_given.c \
	tests/hostile/tcp_kit.c tests/hostile/tcp_kit.h
tests_hostile_test_hostile_given_LDADD = libserve.la $(UNIT_LIBS)
UNIT_TESTS += tests/hostile/test_hostile_cursor
tests_hostile_test_hostile_cursor_SOURCES = tests/hostile/test_hostile_cursor.c \
	tests/hostile/tcp_kit.c tests/hostile/tcp_kit.h
tests_hostile_test_hostile_cursor_LDADD = libserve.la $(UNIT_LIBS)
UNIT_TESTS += tests/hostile/test_hostile_bell
tests_hostile_test_hostile_bell_LDADD = libserve.la $(UNIT_LIBS)
UNIT_TESTS += tests/hostile/test_hostile_attach
tests_hostile_test_hostile_attach_LDADD = $(CLIENT_TEST_LIBS)
EXTRA_DIST += tests/hostile/README.md
