# Image for GPU nodes (NVIDIA driver 525 or newer and the container toolkit on the host; where kernels
# come as PTX, docs/stacks.md, 535 for TensorFlow 2.15 and 555 for 2.21):
#   docker build -t ssl_tf .
#   docker run --gpus all --shm-size=8g -v /DATA:/data:ro -v "$PWD/runs:/home/ssl/ssl_tf/runs" ssl_tf \
#     python -m ssl_tf.pretrain --flagfile=configs/ma_ssrl.flags --data_dir=/data
# The host's folder `runs` must exist and be writable for user 1000.
# Another stack (docs/stacks.md): docker build --build-arg PYTHON=3.13 -t ssl_tf .
ARG PYTHON=3.11
FROM python:${PYTHON}-slim-bookworm
ARG PYTHON

# What the CUDA base images set, for the container toolkit to hand the GPUs in.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ENV PYTHONUNBUFFERED=1 PATH=/home/ssl/venv/bin:$PATH

RUN useradd --create-home --uid 1000 ssl
USER ssl
WORKDIR /home/ssl/ssl_tf
RUN python -m venv /home/ssl/venv

# The same TensorFlow as everywhere, with CUDA and cuDNN as wheels (12.2 and 8.9, or 12.5 and 9.3);
# before the sources, so that a change of the sources does not fetch it again.
COPY --chown=ssl constraints*.txt ./
RUN if [ "$PYTHON" = 3.11 ]; then pins=constraints.txt; else pins=constraints-tf2.21.txt; fi \
    && ln -s "$pins" pins.txt && pip install --no-cache-dir -c pins.txt "tensorflow[and-cuda]"
COPY --chown=ssl setup.py pyproject.toml ./
COPY --chown=ssl ssl_tf ssl_tf
COPY --chown=ssl configs configs
COPY --chown=ssl studies studies
RUN pip install --no-cache-dir -c pins.txt -e '.[embed]'
COPY --chown=ssl scripts scripts
RUN mkdir runs

ENTRYPOINT ["scripts/entrypoint.sh"]
CMD ["python", "-m", "ssl_tf.pretrain", "--help"]
