"""The web page around Completer. Only this package imports streamlit."""
