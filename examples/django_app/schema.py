"""The tables as devices have them: Django's names, the columns that people edit offline, and where each row lives."""

import uuid

import holdfast as hf


class Project(hf.Table, name="forms_project", space="project:{id}"):
    id: int
    name: str


class Submission(hf.Table, name="forms_submission", space=hf.via("project_id")):
    id: uuid.UUID = hf.column(default=hf.new_id)
    project_id: int = hf.column(references=Project)
    title: str
    status: str = "draft"


class Answer(hf.Table, name="forms_answer", space=hf.via("submission_id")):
    id: uuid.UUID = hf.column(default=hf.new_id)
    submission_id: uuid.UUID = hf.column(references=Submission)
    text: str


schema = hf.Schema(Project, Submission, Answer)
