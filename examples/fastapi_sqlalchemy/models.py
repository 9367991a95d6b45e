"""The application as it was before anybody thought of syncing: its tables, its rules, its trigger."""

import os
import uuid
from datetime import datetime

from sqlalchemy import DDL, CheckConstraint, DateTime, ForeignKey, create_engine, event, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, sessionmaker

DATABASE = os.environ["DATABASE_URL"]
engine = create_engine(DATABASE.replace("postgresql://", "postgresql+psycopg://", 1))
Session = sessionmaker(engine)


class Base(DeclarativeBase):
    pass


class Project(Base):
    __tablename__ = "project"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Member(Base):
    __tablename__ = "member"
    user_name: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), primary_key=True)
    role: Mapped[str] = mapped_column(default="rw")


class Submission(Base):
    __tablename__ = "submission"
    __table_args__ = (CheckConstraint("title <> ''", name="submission_has_a_title"),)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    title: Mapped[str]
    status: Mapped[str] = mapped_column(default="draft")
    received: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    answers: Mapped[list["Answer"]] = relationship(cascade="all, delete-orphan", passive_deletes=True)


class Answer(Base):
    __tablename__ = "answer"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    submission_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("submission.id", ondelete="CASCADE"))
    text: Mapped[str]


TRIM = """
CREATE FUNCTION trim_title() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.title := btrim(NEW.title); RETURN NEW; END $$;
CREATE TRIGGER trim_title BEFORE INSERT OR UPDATE ON submission FOR EACH ROW EXECUTE FUNCTION trim_title()
"""
event.listen(Submission.__table__, "after_create", DDL(TRIM))
