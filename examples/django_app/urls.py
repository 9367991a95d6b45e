"""One view: the submissions of a project, with their answers."""

from django.http import HttpRequest, JsonResponse
from django.urls import path
from forms.models import Submission


def submissions(request: HttpRequest, project: int) -> JsonResponse:
    found = Submission.objects.filter(project_id=project).prefetch_related("answers").order_by("title")
    rows = [{"title": s.title, "status": s.status, "answers": [a.text for a in s.answers.all()]} for s in found]
    return JsonResponse(rows, safe=False)


urlpatterns = [path("projects/<int:project>/submissions", submissions)]
