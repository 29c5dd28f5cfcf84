libproto_la_SOURCES += \
	lib/session/account.c lib/session/account.h lib/session/clients.c lib/session/clients.h lib/session/dir.c lib/session/dir.h \
	lib/session/fifo.c lib/session/fifo.h lib/session/move.c lib/session/move.h \
	lib/session/ops.h lib/session/pace.h lib/session/session.c lib/session/session.h \
	lib/session/turns.c lib/session/turns.h
