from faas_sdk import FaaSClient
import asyncio

client = FaaSClient(
    api_key=os.environ['FAAS_API_KEY']
)

# Execute and wait
result = client.execute(
    code="print('Hello World')",
    language="python"
)

# Async streaming
async def stream_output():
    async for output in client.stream(result.execution_id):
        print(output.data, end='')

asyncio.run(stream_output())
