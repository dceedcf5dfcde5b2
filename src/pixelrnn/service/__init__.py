"""The REST service around Completer. Only this package imports fastapi."""
