import os, random, secrets, tempfile, uuid

print(os.urandom(16).hex(), os.getrandom(8).hex(), random.random(), random.SystemRandom().random())
print(secrets.token_hex(), uuid.uuid4(), uuid.uuid1(), tempfile.mktemp())
print(open("/dev/urandom", "rb").read(8).hex(), open("/proc/sys/kernel/random/uuid").read())
