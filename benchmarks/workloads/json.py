import json

document = {
    "items": [{"id": n, "name": f"item {n}", "price": n * 1.25, "tags": ["a", "b"]} for n in range(100)]
}
for _ in range(200):
    document = json.loads(json.dumps(document))
print(len(json.dumps(document)))
