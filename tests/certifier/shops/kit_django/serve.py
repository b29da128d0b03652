"""Make the tables, and serve."""

import os

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from python.doors import serve

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "kit_django.settings"
    app = get_wsgi_application()
    call_command("migrate", run_syncdb=True, verbosity=0)
    serve(app)
