"""Results of the benchmark: rates, cores for a number of GPUs, text tables."""

import math

from ssl_tf.benchmarking import OWN, READING, RECIPE
from ssl_tf.benchmarking.processor import processor
from ssl_tf.settings import InputBenchmarkSettings, fields


def summarize(
    settings: InputBenchmarkSettings, one_core: dict, several: dict[str, dict] | None, cores: int
) -> dict:
    """All results as plain JSON values.

    Args:
        settings: of the benchmark.
        one_core: result of `measure_one_core`.
        several: result of `measure_cores`; None if there is one core only.
        cores: number of cores of `several`.
    """
    views = settings.pretrain.views
    rates = {row["name"]: 1e3 / row["cpu_ms"] for row in one_core["rows"]}
    if several is None:
        several = {name: {"images_per_second": rates[name], "used": 1.0} for name in OWN}
    wanted = settings.gpus * settings.gpu_images_per_second
    return {
        "flags": fields.as_dict(settings),
        "processor": processor(),
        "sample": one_core["sample"],
        "views": [views.image_size, *views.strategies],
        "small_views": [views.small_image_size, *views.small_strategies],
        "with_original": settings.pretrain.with_original,
        "one_core": [row | {"images_per_second": 1e3 / row["cpu_ms"]} for row in one_core["rows"]],
        "machine": {
            name: {
                "cores": cores,
                **measured,
                "speedup": measured["images_per_second"] / rates[name],
                # More cores will each deliver what a core delivers while all are at work.
                "cores_needed": math.ceil(
                    wanted / min(rates[name], measured["images_per_second"] / cores)
                ),
                "gpus_busy": measured["images_per_second"] / settings.gpu_images_per_second,
            }
            for name, measured in several.items()
        },
        "ops_ms": one_core["ops"],
        "not_installed": one_core["missing"],
        "images_per_second_wanted": wanted,
    }


def tables(result: dict) -> str:
    """The results as text: pipelines, machine, operations, GPUs."""
    sample, (size, *strategies) = result["sample"], result["views"]
    small_size, *small_strategies = result["small_views"]
    views = len(strategies) + len(small_strategies) + result["with_original"]
    small = f"; {len(small_strategies)} of {small_size} px" if small_strategies else ""
    lines = [
        f"{sample['images']} images of {sample['name']}, {sample['width']}x{sample['height']}, "
        f"{sample['bytes'] / 1024:.0f} KiB (medians), from memory",
        f"{len(strategies)} views of {size} px: {', '.join(strategies)}{small}"
        f"{'; the whole image' if result['with_original'] else ''}",
        result["processor"],
        "",
        f"{'one core':<34}{'ms/image':>9}{'x floor':>9}{'(range)':>13}"
        f"{'images/s':>10}{'views/s':>9}",
    ]
    for row in result["one_core"]:
        spread = f"({row['ratio_low']:.2f}-{row['ratio_high']:.2f})"
        made = 0 if row["name"].startswith(READING) else views
        lines.append(
            f"{row['name']:<34}{row['cpu_ms']:9.2f}{row['ratio']:9.2f}{spread:>13}"
            f"{row['images_per_second']:10.0f}{row['images_per_second'] * made:9.0f}"
        )
    for name, reason in result["not_installed"].items():
        lines.append(f"{name:<34}not installed ({reason})")
    cores = result["machine"][RECIPE]["cores"]
    flags, wanted = result["flags"], result["images_per_second_wanted"]
    lines += [
        "",
        f"{f'{cores} core(s)':<34}{'images/s':>9}{'views/s':>9}{'x one core':>12}{'cores used':>12}"
        f"{'GPUs fed':>10}{'cores wanted':>14}",
    ]
    for name, row in result["machine"].items():
        rate = row["images_per_second"]
        lines.append(
            f"{name:<34}{rate:9.0f}{rate * views:9.0f}{row['speedup']:12.2f}"
            f"{row['used']:12.0%}{row['gpus_busy']:10.2f}{row['cores_needed']:14d}"
        )
    lines += [
        f"wanted: {wanted:.0f} images/s, for {flags['gpus']} GPUs of "
        f"{float(flags['gpu_images_per_second']):g} images/s",
    ]
    lines += ["", f"operations, ms a view of {size} px on one core"]
    ops = sorted(result["ops_ms"].items(), key=lambda item: -item[1])
    third = math.ceil(len(ops) / 3)
    for row in range(third):
        lines.append("".join(f"{name:<18}{ms:6.3f}    " for name, ms in ops[row::third]).rstrip())
    return "\n".join(lines)
