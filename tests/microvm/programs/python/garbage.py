# When garbage is collected, in which order, and at which addresses new objects lie.
import gc, sys, weakref

log = []
gc.unfreeze()
gc.callbacks.append(lambda phase, info: log.append((phase, info["generation"], info["collected"])))
class Node:
    def __init__(self, name): self.name, self.peers = name, []
    def __del__(self): log.append(self.name)
nodes = [Node(n) for n in range(300)]
for node in nodes: node.peers = [nodes[(node.name * 7) % 300], nodes[(node.name * 31 + 5) % 300]]
references = [weakref.ref(node, lambda reference: log.append("gone")) for node in nodes[::10]]
print([id(node) for node in nodes[:20]])
del nodes, node
for n in range(2000): [Node] * (n % 50)
cycles = []
for n in range(3000):
    cycle = [n]
    cycle.append(cycle)
print(gc.collect(), gc.get_count(), gc.get_stats(), len(gc.get_objects()))
print(log[:400], len(log), sys.getallocatedblocks(), sum(id(value) for value in gc.get_objects()))
