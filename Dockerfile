# GPU image: docker build -t ssl_tf . && docker run --gpus all -v "$PWD/runs:/runs" -v DATA:/data ssl_tf \
#   ssl_tf.pretrain --flagfile=configs/ma_ssrl.flags --data_dir=/data --run_dir=/runs/ma_ssrl
FROM nvidia/cuda:12.2.2-cudnn8-runtime-ubuntu22.04
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3.11 python3.11-venv \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 ssl
USER ssl
WORKDIR /home/ssl/ssl_tf
RUN python3.11 -m venv /home/ssl/venv
ENV PATH=/home/ssl/venv/bin:$PATH PYTHONUNBUFFERED=1
COPY --chown=ssl constraints.txt setup.py ./
COPY --chown=ssl ssl_tf ssl_tf
RUN pip install --no-cache-dir -c constraints.txt -e .
COPY --chown=ssl configs configs
# The first argument is a module: ssl_tf.pretrain, ssl_tf.linear, ssl_tf.export.
ENTRYPOINT ["python", "-m"]
CMD ["ssl_tf.pretrain", "--help"]
