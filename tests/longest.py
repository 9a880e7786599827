"""The test files that take longest, longest first.

They are started first, so that no worker is left with one of them when the others are done, and
`scripts/test.sh --fast` leaves them out.
"""

LONGEST = (
    "test_commands.py",
    "methods/test_replicas.py",
    "test_survival.py",
    "test_hosts.py",
    "views/test_device.py",
    "views/test_statistics.py",
    "methods/test_swav.py",
    "methods/test_supervised.py",
    "methods/test_densecl.py",
    "methods/test_moco.py",
    "methods/test_dino.py",
    "detection/test_detector.py",
    "detection/test_detection_task.py",
    "detection/test_detect_command.py",
    "training/test_execution.py",
    "networks/test_resnet.py",
    "views/test_object_crops.py",
    "views/test_chains.py",
    "evaluation/test_finetuning.py",
    "evaluation/test_probe.py",
    "evaluation/test_transfer.py",
    "discovery/test_run.py",
    "embedding/test_stages.py",
    "discovery/test_single_image.py",
    "methods/test_byol.py",
    "methods/test_pretext.py",
    "views/test_recipe.py",
    "data/proposals/test_join.py",
    "test_face.py",
    "methods/test_base.py",
    "test_using_encoders.py",
    "exporters/test_tflite_files.py",
    "views/test_ablations.py",
    "pretraining/test_restoring.py",
    "weights/test_keras_files.py",
    "weights/test_loading.py",
)
