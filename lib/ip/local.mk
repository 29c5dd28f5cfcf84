# lib/ip
