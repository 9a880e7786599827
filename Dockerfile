# Image for GPU nodes (NVIDIA driver 525 or newer and the container toolkit on the host):
#   docker build -t ssl_tf .
#   docker run --gpus all --shm-size=8g -v DATA:/data:ro -v "$PWD/runs:/home/ssl/ssl_tf/runs" ssl_tf \
#     python -m ssl_tf.pretrain --flagfile=configs/ma_ssrl.flags --data_dir=/data
# The host's folder `runs` must be writable for user 1000.
FROM python:3.11-slim-bookworm

# What the CUDA base images set, for the container toolkit to hand the GPUs in.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ENV PYTHONUNBUFFERED=1 PATH=/home/ssl/venv/bin:$PATH

RUN useradd --create-home --uid 1000 ssl
USER ssl
WORKDIR /home/ssl/ssl_tf
RUN python -m venv /home/ssl/venv

# The same TensorFlow as everywhere, with CUDA 12.2 and cuDNN 8.9 as wheels; before the sources, so
# that a change of the sources does not fetch it again.
COPY --chown=ssl constraints.txt ./
RUN pip install --no-cache-dir -c constraints.txt "tensorflow[and-cuda]==2.15.1"
COPY --chown=ssl setup.py pyproject.toml ./
COPY --chown=ssl ssl_tf ssl_tf
RUN pip install --no-cache-dir -c constraints.txt -e '.[embed]'
COPY --chown=ssl configs configs
COPY --chown=ssl scripts scripts
RUN mkdir runs

ENTRYPOINT ["scripts/entrypoint.sh"]
CMD ["python", "-m", "ssl_tf.pretrain", "--help"]
