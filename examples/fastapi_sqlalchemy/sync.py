"""The hub: on the application's own database, for the application's own users."""

import os

from schema import schema

import holdfast as hf


def authenticate(headers):
    """Whom the application trusts: here, for the example, whoever says his name."""
    user = headers.get("authorization", "").removeprefix("Bearer ")
    return hf.Identity(user) if user else None


server = hf.Server(
    os.environ["DATABASE_URL"],
    schema,
    authenticate=authenticate,
    spaces=hf.sql("select 'project:' || project_id, role from member where user_name = :user"),
    install=True,  # an application in production runs `holdfast migrate sync.py` instead, before it starts
)
