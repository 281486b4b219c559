ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends python3-django python3-django-redis gunicorn && rm -rf /var/lib/apt/lists/*
COPY shop/shop.py /srv/shop/shop.py
WORKDIR /srv/shop
# Accounts exist before anybody logs in: those of users.csv.
RUN python3 shop.py
CMD ["gunicorn", "--bind", "0.0.0.0:8000", "--workers", "2", "--worker-class", "gthread", "--threads", "8", "--keep-alive", "75", "--log-level", "warning", "shop:application"]
