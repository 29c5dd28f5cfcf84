# lib/udp
