"""The tables, and a trigger that the application has always had."""

import uuid

import django.db.models.deletion
from django.db import migrations, models

TRIM = """
CREATE FUNCTION trim_title() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.title := btrim(NEW.title); RETURN NEW; END $$;
CREATE TRIGGER trim_title BEFORE INSERT OR UPDATE ON forms_submission FOR EACH ROW EXECUTE FUNCTION trim_title();
"""
UNTRIM = "DROP TRIGGER trim_title ON forms_submission; DROP FUNCTION trim_title()"


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Project",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100)),
            ],
        ),
        migrations.CreateModel(
            name="Member",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("user_name", models.CharField(max_length=100)),
                ("role", models.CharField(default="rw", max_length=2)),
                ("project", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="forms.project")),
            ],
        ),
        migrations.CreateModel(
            name="Submission",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("title", models.CharField(max_length=200)),
                ("status", models.CharField(default="draft", max_length=20)),
                ("project", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="forms.project")),
            ],
        ),
        migrations.CreateModel(
            name="Answer",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("text", models.TextField()),
                (
                    "submission",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="answers", to="forms.submission"
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="submission",
            constraint=models.CheckConstraint(
                condition=models.Q(("title", ""), _negated=True), name="submission_has_a_title"
            ),
        ),
        migrations.RunSQL(TRIM, UNTRIM),
    ]
