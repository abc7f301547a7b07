"""A django-oscar of the tests' own: `prepare` makes its database, `serve PORT` answers requests.

The variable SHOP_FOLDER says where the database is; SHOP_USER and SHOP_PASSWORD who is made who may do everything.
"""

import os
import sys

import django
from django.core.management import call_command


def prepare():
    from django.contrib.auth import get_user_model
    from oscar.apps.catalogue.models import ProductClass

    call_command("migrate", verbosity=0)
    user, password = os.environ["SHOP_USER"], os.environ["SHOP_PASSWORD"]
    get_user_model().objects.create_superuser(user, "relay@shop.test", password)
    ProductClass.objects.create(name="Goods", slug="goods", track_stock=False)


os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
if sys.argv[1] == "prepare":
    prepare()
else:
    call_command("runserver", f"127.0.0.1:{sys.argv[2]}", "--noreload", "--skip-checks")
