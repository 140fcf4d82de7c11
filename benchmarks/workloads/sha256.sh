head -c 33554432 /dev/zero | sha256sum
