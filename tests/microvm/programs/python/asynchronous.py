# An event loop with timers, threads, processes and sockets under way at once.
import asyncio, time

log = []
async def tick(name, delay, count):
    for n in range(count):
        await asyncio.sleep(delay)
        log.append((name, n, time.monotonic_ns()))
async def serve(reader, writer):
    while line := await reader.readline():
        log.append(("line", line, time.monotonic_ns()))
        writer.write(line.upper())
        await writer.drain()
    writer.close()
async def talk(name):
    reader, writer = await asyncio.open_unix_connection("/tmp/socket")
    for n in range(5):
        writer.write(b"%d %d\n" % (name, n))
        log.append((name, await reader.readline()))
    writer.close()
async def run(command):
    process = await asyncio.create_subprocess_exec("sh", "-c", command, stdout=asyncio.subprocess.PIPE)
    log.append((await process.communicate(), process.pid, time.monotonic_ns()))
async def main():
    server = await asyncio.start_unix_server(serve, "/tmp/socket")
    threads = [asyncio.to_thread(lambda n=n: (time.sleep(n / 3000), log.append(("thread", n)))) for n in range(5)]
    await asyncio.gather(
        *(tick(name, 0.0003 * (name + 1), 8) for name in range(4)), *(talk(n) for n in range(4)),
        run("sleep 0.01; echo $$"), run("date +%N"), *threads)
    server.close()
asyncio.run(main())
print(*log, sep="\n")
