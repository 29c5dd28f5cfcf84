# What programs see of a stack beside what they see of the kernel: tests of the socket calls, ours and
# other people's, and whole programs (tests/netns/test_programs.sh). They need root, as those of
# tests/netns.
SUITE_TESTS = tests/suites/test_conformance.sh tests/suites/run.sh
dist_check_SCRIPTS += $(SUITE_TESTS)
dist_noinst_DATA += tests/suites/suites.sh tests/suites/python_case.py tests/suites/python.tab \
	tests/suites/python.differences tests/suites/conformance.differences
if !SANITIZERS
TESTS += $(SUITE_TESTS)
endif

SUITE_COMMON = tests/suites/suite.c tests/suites/suite.h
check_PROGRAMS += tests/suites/sock_basic tests/suites/sock_data tests/suites/sock_more \
	tests/suites/poll_conformance tests/suites/poll_wait tests/suites/fork_conformance \
	tests/suites/exec_conformance tests/suites/options tests/suites/sock_states \
	tests/suites/bad_conformance
tests_suites_sock_basic_SOURCES = tests/suites/sock_basic.c $(SUITE_COMMON)
tests_suites_sock_data_SOURCES = tests/suites/sock_data.c $(SUITE_COMMON)
tests_suites_sock_data_LDADD = -lpthread
tests_suites_sock_more_SOURCES = tests/suites/sock_more.c $(SUITE_COMMON)
tests_suites_poll_conformance_SOURCES = tests/suites/poll_conformance.c $(SUITE_COMMON)
tests_suites_poll_wait_SOURCES = tests/suites/poll_wait.c $(SUITE_COMMON)
tests_suites_poll_wait_LDADD = -lpthread
tests_suites_fork_conformance_SOURCES = tests/suites/fork_conformance.c $(SUITE_COMMON)
tests_suites_exec_conformance_SOURCES = tests/suites/exec_conformance.c $(SUITE_COMMON)
tests_suites_options_SOURCES = tests/suites/options.c $(SUITE_COMMON)
tests_suites_sock_states_SOURCES = tests/suites/sock_states.c $(SUITE_COMMON)
tests_suites_sock_states_LDADD = -lpthread
tests_suites_bad_conformance_SOURCES = tests/suites/bad_conformance.c $(SUITE_COMMON)
