import hashlib

block = bytes(range(256)) * 256
state = hashlib.sha256()
for _ in range(512):
    state.update(block)
print(state.hexdigest())
