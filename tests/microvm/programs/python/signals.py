# Signals between processes and threads: their order and where they find the program.
import os, signal, threading, time

seen, turn = [], 0
def note(number, frame): seen.append((number, turn, frame.f_lineno))
numbers = [signal.SIGUSR1, signal.SIGUSR2, *range(signal.SIGRTMIN, signal.SIGRTMIN + 6)]
for number in numbers: signal.signal(number, note)
parent = os.getpid()
children = []
for number in numbers:
    child = os.fork()
    if child == 0:
        for _ in range(5):
            os.kill(parent, number)
            for _ in range(number * 50): pass
        os._exit(number)
    children.append(child)
while children:
    turn += 1
    ended, status = os.waitpid(-1, os.WNOHANG)
    if ended:
        children.remove(ended)
        print(ended, os.waitstatus_to_exitcode(status), turn)
signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
for number in reversed(numbers): signal.pthread_kill(threading.main_thread().ident, number)
print(signal.sigpending(), [signal.sigwaitinfo(numbers) for _ in numbers])
print(len(seen), seen)
