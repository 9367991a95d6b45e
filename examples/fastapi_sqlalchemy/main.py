"""The web application. What is new in it are the lines that say `sync`."""

from contextlib import asynccontextmanager
from typing import Any

import sync
from fastapi import FastAPI
from models import Base, Project, Session, Submission, engine
from sqlalchemy import select


@asynccontextmanager
async def lifespan(app: FastAPI):
    yield
    sync.server.close()


Base.metadata.create_all(engine)
app = FastAPI(lifespan=lifespan)
app.mount("/sync", sync.server.asgi())


@app.put("/projects/{number}")
def put_project(number: int, name: str) -> None:
    with Session.begin() as session:
        session.merge(Project(id=number, name=name))


@app.post("/projects/{number}/submissions")
def add_submission(number: int, title: str) -> str:
    with Session.begin() as session:
        submission = Submission(project_id=number, title=title)
        session.add(submission)
        session.flush()
        return str(submission.id)


@app.get("/projects/{number}/submissions")
def submissions(number: int) -> list[dict[str, Any]]:
    with Session() as session:
        found = session.scalars(select(Submission).where(Submission.project_id == number).order_by(Submission.title))
        return [{"title": s.title, "status": s.status, "answers": [a.text for a in s.answers]} for s in found]
