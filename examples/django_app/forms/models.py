"""The application as it was before anybody thought of syncing."""

import uuid

from django.db import models


class Project(models.Model):
    name = models.CharField(max_length=100)


class Member(models.Model):
    user_name = models.CharField(max_length=100)
    project = models.ForeignKey(Project, on_delete=models.CASCADE)
    role = models.CharField(max_length=2, default="rw")


class Submission(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    project = models.ForeignKey(Project, on_delete=models.CASCADE)
    title = models.CharField(max_length=200)
    status = models.CharField(max_length=20, default="draft")

    class Meta:
        constraints = (models.CheckConstraint(condition=~models.Q(title=""), name="submission_has_a_title"),)


class Answer(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="answers")
    text = models.TextField()
