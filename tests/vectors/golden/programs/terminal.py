# On a terminal: its size, a change of it, a line that is edited, keys without echo, an interrupt, the end.
import getpass
import os
import random
import signal
import time

signal.signal(signal.SIGWINCH, lambda *_: print("resized", *os.get_terminal_size()))
print(os.ttyname(0), os.get_terminal_size(), os.environ["TERM"], time.time_ns())
print("hello", input("name? "), time.monotonic_ns(), os.urandom(4).hex(), random.random())
print(getpass.getpass("secret? "))
try:
    input("stop me: ")
except KeyboardInterrupt:
    print("stopped", time.process_time_ns())
try:
    input("end? ")
except EOFError:
    print("end")
