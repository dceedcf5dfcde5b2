"""The web page over Completer; the only place that imports streamlit."""
