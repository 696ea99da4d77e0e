# SPDX-License-Identifier: Apache-2.0
"""HTTP goes to Django; /ws is an echo in plain ASGI, so that the example needs no more than Django and daphne."""
import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django_application = get_asgi_application()


async def echo(scope, receive, send):
    while True:
        event = await receive()
        if event["type"] == "websocket.connect":
            await send({"type": "websocket.accept"} if scope["path"] == "/ws" else {"type": "websocket.close"})
        elif event["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": event.get("text"), "bytes": event.get("bytes")})
        else:
            return


async def application(scope, receive, send):
    handler = echo if scope["type"] == "websocket" else django_application
    await handler(scope, receive, send)
