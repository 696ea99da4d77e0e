# SPDX-License-Identifier: Apache-2.0
"""Routes and their views in one place; the application is too small for more."""
import asyncio
import os
import time
import zlib

from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt


def hello(request):
    return JsonResponse({"hello": "edgeproxy", "pid": os.getpid()})


def healthz(request):
    return HttpResponse("ok\n", content_type="text/plain")


def pid(request):
    return HttpResponse(f"{os.getpid()}\n", content_type="text/plain")


def whoami(request):
    client = request.META.get("HTTP_X_FORWARDED_FOR") or request.META.get("REMOTE_ADDR")
    return JsonResponse({
        "scheme": request.scheme,
        "client": client,
        "url": request.build_absolute_uri(),
        "headers": [[name, value] for name, value in request.headers.items()],
        "pid": os.getpid(),
    })


def slow(request):
    time.sleep(int(request.GET.get("ms", 100)) / 1000)
    return JsonResponse({"pid": os.getpid()})


def stream(request):
    """Server-sent events. Django gathers a plain generator before it sends anything under ASGI, so there it is an async one."""
    count, pause = int(request.GET.get("n", 10)), int(request.GET.get("ms", 100)) / 1000

    def events():
        for i in range(count):
            if i:
                time.sleep(pause)
            yield f"data: {i}\n\n"

    async def async_events():
        for i in range(count):
            if i:
                await asyncio.sleep(pause)
            yield f"data: {i}\n\n"

    made = async_events() if hasattr(request, "scope") else events()
    return StreamingHttpResponse(made, content_type="text/event-stream")


@csrf_exempt
def upload(request):
    size, crc = 0, 0
    while block := request.read(65536):
        size += len(block)
        crc = zlib.crc32(block, crc)
    return JsonResponse({"bytes": size, "crc32": crc})


urlpatterns = [
    path("", hello),
    path("healthz", healthz),
    path("pid", pid),
    path("whoami", whoami),
    path("slow", slow),
    path("stream", stream),
    path("upload", upload),
]
