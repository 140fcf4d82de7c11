import asyncio, collections, dataclasses, decimal, hashlib, heapq, json, re, sqlite3, zlib

@dataclasses.dataclass(order=True)
class Item:
    weight: float
    name: str

async def worker(name, delay):
    await asyncio.sleep(delay)
    return name

async def main():
    return await asyncio.gather(*(worker(n, (n * 7 % 5) / 1000) for n in range(10)))

print(asyncio.run(main()))
data = [{"n": n, "text": "äöü" * n, "nested": {"list": list(range(n))}} for n in range(50)]
text = json.dumps(data, sort_keys=True)
print(len(text), hashlib.sha256(text.encode()).hexdigest(), zlib.crc32(zlib.compress(text.encode())))
print(collections.Counter(re.findall(r"\w+", text)).most_common(5))
print(decimal.Decimal(2).sqrt(decimal.Context(prec=60)), heapq.nsmallest(3, (Item(1 / n, str(n)) for n in range(1, 99))))
base = sqlite3.connect(":memory:")
base.execute("create table t (a, b)")
base.executemany("insert into t values (?, ?)", ((n, n * n % 97) for n in range(2000)))
print(base.execute("select b, count(*), sum(a) from t group by b order by 2 desc, 1 limit 5").fetchall(), base.execute("select random(), datetime('now')").fetchall())
