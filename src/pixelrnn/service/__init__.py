"""The REST service over Completer; the only place that imports fastapi."""
