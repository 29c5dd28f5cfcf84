libproto_la_SOURCES += \
	lib/udp/client.c lib/udp/move.c lib/udp/option.c lib/udp/rx.c lib/udp/session.c lib/udp/table.c \
	lib/udp/tx.c lib/udp/udp.c lib/udp/udp.h lib/udp/udp_int.h
