libproto_la_SOURCES += \
	lib/wire/csum.c lib/wire/csum.h lib/wire/eth.c lib/wire/icmp.c lib/wire/ip4.c \
	lib/wire/tcp.c lib/wire/udp.c lib/wire/wire.h
