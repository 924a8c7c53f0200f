"""Bodies up to a size, whatever they say of themselves."""

import asyncio
import json

from kgpm.serving.kserve.body_limit import BodyLimit


async def echo(scope, receive, send):
    """Answers with the body, and waits for the end of the connection."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
    assert (await receive())["type"] == "http.disconnect"


def ask(chunks, headers=(), limit=10):
    """Status and body of an answer, and how many messages were not read."""
    messages = [
        {"type": "http.request", "body": chunk, "more_body": True}
        for chunk in chunks
    ]
    if messages:
        messages[-1]["more_body"] = False
    sent = []

    async def receive():
        if messages:
            return messages.pop(0)
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "headers": list(headers)}
    asyncio.run(BodyLimit(echo, limit)(scope, receive, send))
    if not sent:
        return None, None, len(messages)
    return sent[0]["status"], sent[1]["body"], len(messages)


def length(size):
    return [(b"content-length", str(size).encode())]


def test_a_body_passes_as_it_came():
    assert ask([b"0123456789"], length(10))[:2] == (200, b"0123456789")
    assert ask([b"01234", b"", b"56789"])[:2] == (200, b"0123456789")
    assert ask([b""])[:2] == (200, b"")


def test_a_body_that_says_that_it_is_too_large_is_refused():
    status, body, left = ask([b"0123456789a"], length(11))
    assert status == 413
    assert "at most 10 bytes" in json.loads(body)["error"]
    assert left == 0


def test_chunks_are_counted():
    status, body, left = ask([b"0123456", b"789a", b"b"])
    assert (status, left) == (413, 0)
    assert list(json.loads(body)) == ["error"]


def test_an_endless_body_is_not_read_to_its_end():
    status, _, left = ask([b"0123456789"] * 100)
    assert status == 413
    assert left > 90


def test_who_waits_for_leave_to_send_is_not_read_at_all():
    headers = [*length(11), (b"expect", b"100-continue")]
    status, _, left = ask([b"0123456789a"], headers)
    assert (status, left) == (413, 1)


def test_nobody_is_answered_who_left():
    assert ask([])[0] is None


def test_what_is_no_request_passes():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(BodyLimit(app, 1)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]
