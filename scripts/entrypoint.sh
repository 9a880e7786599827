#!/bin/sh
# Entry point of the image: takes `python -m ssl_tf.pretrain ...`, or short `ssl_tf.pretrain ...`.
case "${1:-}" in
  ssl_tf.*) exec python -m "$@" ;;
  *) exec "$@" ;;
esac
