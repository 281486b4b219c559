"""A shop in one file: Django's own sessions, log-in form and middleware against forged requests. It knows nothing of steadfast."""

import os
import socket
from pathlib import Path

import django
from django.conf import settings

HERE = Path(__file__).parent


def read(name, otherwise):
    file = HERE / name
    return file.read_text().strip() if file.exists() else otherwise


settings.configure(
    SECRET_KEY="the same on every node",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    MIDDLEWARE=[
        "shop.serve_by_name",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": HERE / "accounts.sqlite3"}},
    CACHES={"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": read("store", os.environ.get("STORE", "redis://127.0.0.1/0"))}},
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    # Log-ins are a part of the load: not to measure the hashing of passwords.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", {
            "registration/login.html": "<form method=post>{% csrf_token %}{{ form }}<button>Log in</button></form>",
        })]},
    }],
    LOGIN_URL="/login/",
    LOGIN_REDIRECT_URL="/cart",
    LOGOUT_REDIRECT_URL="/login/",
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()

from django.contrib.auth.decorators import login_required  # noqa: E402
from django.contrib.auth.views import LoginView, LogoutView  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.http import require_POST  # noqa: E402

NODE = read("node", socket.gethostname())


def serve_by_name(get_response):
    def middleware(request):
        response = get_response(request)
        response["X-Served-By"] = NODE
        return response
    return middleware


@login_required
def cart(request):
    return JsonResponse({"user": request.user.username, "items": request.session.get("items", [])})


@require_POST
@login_required
def put(request):
    request.session["items"] = request.session.get("items", []) + [request.POST["sku"]]
    return HttpResponse(status=201)


urlpatterns = [
    path("login/", LoginView.as_view()),
    path("logout/", LogoutView.as_view()),
    path("cart", cart),
    path("cart/items", put),
    path("health", lambda request: HttpResponse("ok")),
]

if __name__ != "__main__":
    application = get_wsgi_application()
else:
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    for number in range(400):
        User.objects.create_user(f"shopper-{number}", password=f"sesame-{number}")
