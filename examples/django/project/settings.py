# SPDX-License-Identifier: Apache-2.0
"""The least that Django needs. edgeproxy overwrites X-Forwarded-*, so that what they say may be believed."""
import os

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "only-for-the-example")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"
WSGI_APPLICATION = "project.wsgi.application"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
USE_X_FORWARDED_HOST = True
DATA_UPLOAD_MAX_MEMORY_SIZE = None
