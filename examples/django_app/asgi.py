"""Django and the hub in one ASGI application. What is new in it are the lines that say `sync`."""

import os
from contextlib import asynccontextmanager

import sync
from django.core.asgi import get_asgi_application
from starlette.applications import Starlette
from starlette.routing import Mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")


@asynccontextmanager
async def lifespan(app: Starlette):
    yield
    sync.server.close()


routes = [Mount("/sync", sync.server.asgi()), Mount("/", get_asgi_application())]
application = Starlette(routes=routes, lifespan=lifespan)
