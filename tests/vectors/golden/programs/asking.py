# Interactive: its input comes line by line, each one when nothing in it can go on without.
import os
import random
import threading
import time

threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
print("name?", time.time_ns())
print("hello", input(), time.monotonic_ns(), os.urandom(4).hex(), random.random())
try:
    input()
except EOFError:
    print("no more", time.process_time_ns())
