"""Settings of the example: one application over PostgreSQL."""

import os

from psycopg.conninfo import conninfo_to_dict

found = conninfo_to_dict(os.environ["DATABASE_URL"])
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": found.get("dbname", "postgres"),
        "USER": found.get("user", ""),
        "PASSWORD": found.get("password", ""),
        "HOST": found.get("host", ""),
        "PORT": found.get("port", ""),
    }
}
INSTALLED_APPS = ["forms"]
SECRET_KEY = "an example has no secrets"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
