# The service and the page in one image, on the CPU, without torch.
#   docker build -t pixelrnn . && docker run --rm -p 127.0.0.1:8000:8000 pixelrnn
#   the page: docker run --rm -p 127.0.0.1:8501:8501 pixelrnn app --address 0.0.0.0
ARG PYTHON=3.11
FROM python:${PYTHON}-slim AS build
COPY . /pixelrnn
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /pixelrnn

FROM python:${PYTHON}-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/*.whl)[app,heic,serve]"
RUN useradd --create-home --uid 1000 pixelrnn
USER pixelrnn
WORKDIR home/pixelrnn
ENV PYTHONUNBUFFERED=1
EXPOSE 8000 8501
HEALTHCHECK --start-period=20s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://localhost:8000/healthz', timeout=5)"]
ENTRYPOINT ["pixelrnn"]
CMD ["serve", "--address", "0.0.0.0"]
