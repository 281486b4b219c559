"""Makes the table of sessions where they live in the database; one node at a time."""

from configuration import HAS_TABLE, configure

if HAS_TABLE:
    configure()
    from django.core.management import call_command
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(1)")
        call_command("migrate", "sessions", verbosity=0)
