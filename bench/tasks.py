"""The tasks data model of offline-sync-bench: organizations, projects, users, memberships, tasks; ids, titles and
counts as that benchmark seeds them.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import holdfast as hf

USER = "org-1-user-1"
PROJECT = "org-1-project-1"


class Organization(hf.Table, name="organizations", space="org:{id}"):
    """A customer."""

    id: str
    name: str


class Project(hf.Table, name="projects", space="project:{id}"):
    """What is shared: who is a member sees its tasks."""

    id: str
    org_id: str = hf.column(references=Organization, on_delete="cascade", index=True)
    name: str


class User(hf.Table, name="app_users", space="org:{org_id}"):
    """A person of an organization."""

    id: str
    org_id: str = hf.column(references=Organization, on_delete="cascade", index=True)
    email: str = hf.column(unique=True)


class Membership(hf.Table, name="project_memberships", key=("project_id", "user_id"), space="project:{project_id}"):
    """Who may see a project: the hub asks this table."""

    project_id: str = hf.column(references=Project, on_delete="cascade")
    user_id: str = hf.column(references=User, on_delete="cascade", index=True)
    role: str = "member"


class Task(
    hf.Table,
    name="tasks",
    space="project:{project_id}",
    indexes=[("project_id", "owner_id", "completed", "updated_at"), ("project_id", "id"), ("owner_id",)],
):
    """Most of the rows."""

    id: str
    org_id: str = hf.column(references=Organization, on_delete="cascade")
    project_id: str = hf.column(references=Project, on_delete="cascade")
    owner_id: str = hf.column(references=User, on_delete="cascade")
    title: str
    completed: bool = False
    server_version: int = 1
    updated_at: datetime.datetime


SCHEMA = hf.Schema(Organization, Project, User, Membership, Task, version=1)
COLUMNS = {table.name: tuple(column.name for column in table.columns) for table in SCHEMA.declared}
ACCESS = """
select 'project:' || project_id, 'rw' from project_memberships where user_id = :user
union all select 'org:' || org_id, 'r' from app_users where id = :user
"""
RENAME = "UPDATE tasks SET title = ? WHERE id = ?"
MOMENT = "2026-01-05T06:00:00.000000Z"


class Shape(NamedTuple):
    """How much is seeded: users and projects of each organization, tasks and members of each project."""

    tasks: int
    projects: int = 1
    users: int = 2
    members: int = 2
    organizations: int = 1


def task_id(number: int, project: str = PROJECT) -> str:
    """The id of the task with that number, from 1."""
    return f"{project}-task-{number:06}"


def rows(shape: Shape) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    """(table, rows in the order of `COLUMNS`), parents first, a project's tasks at once."""
    for organization in (f"org-{number}" for number in range(1, shape.organizations + 1)):
        users = [f"{organization}-user-{number}" for number in range(1, shape.users + 1)]
        yield "organizations", [(organization, f"Organization {organization.removeprefix('org-')}")]
        yield "app_users", [(user, organization, f"{user}@bench.local") for user in users]
        for number in range(1, shape.projects + 1):
            project = f"{organization}-project-{number}"
            members = users[: shape.members]
            yield "projects", [(project, organization, f"Project {number}")]
            yield "project_memberships", [(project, user, "member") for user in members]
            yield "tasks", list(_tasks(organization, project, members, shape.tasks))


def _tasks(organization: str, project: str, members: list[str], count: int) -> Iterator[tuple[object, ...]]:
    for number in range(count):
        owner, title = members[number % len(members)], f"Task {number + 1} in {project}"
        yield task_id(number + 1, project), organization, project, owner, title, number % 3 == 0, 1, MOMENT


def server(url: str, images: hf.Images | None = None) -> hf.Server:
    """A hub that asks the memberships who may see what; the token is the user's name."""

    def authenticate(headers: Mapping[str, str]) -> hf.Identity | None:
        user = headers.get("authorization", "").removeprefix("Bearer ")
        return hf.Identity(user) if user else None

    return hf.Server(url, SCHEMA, authenticate=authenticate, spaces=hf.sql(ACCESS), images=images)
