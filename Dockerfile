# See docs/deploying.md. Build: docker build -t vizlib .   Run: docker run --rm -p 8501:8501 vizlib
FROM python:3.11-slim

# The folder for weights belongs to the user, so that a volume mounted on it does, too.
RUN useradd --create-home --uid 10001 vizlib \
    && install -d -o vizlib -g vizlib /home/vizlib/.keras

WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH
COPY requirements.txt ./
RUN python3 -m venv /opt/venv && pip install --no-cache-dir -r requirements.txt

COPY dashboard.py ./
COPY .streamlit ./.streamlit
COPY pages ./pages
COPY vizlib ./vizlib
COPY sample_images ./sample_images
COPY sample_models ./sample_models

ENV HOME=/home/vizlib \
    KERAS_HOME=/home/vizlib/.keras \
    MALLOC_ARENA_MAX=2 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2 \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_SERVER_PORT=8501 \
    STREAMLIT_SERVER_HEADLESS=true

USER vizlib
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["streamlit", "run", "dashboard.py"]
