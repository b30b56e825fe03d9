"""Jobs on a list of devices that are not there: each has one job at once, and a fast one gets more of them."""

import threading
import time

from rl_eval.device_queue import free_device


def test_unequal_devices_stay_busy_with_one_job_each(tmp_path):
    devices, jobs = ["cuda:0", "cuda:1", "cuda:2"], 12
    left, taken, at_once, overlaps = list(range(jobs)), dict.fromkeys(devices, 0), set(), []
    guard, slow_may_end = threading.Lock(), threading.Event()

    def worker():
        while True:
            with guard:
                if not left:
                    return
                left.pop()
            with free_device(devices, folder=tmp_path) as device:
                with guard:
                    overlaps.append(device in at_once)
                    at_once.add(device)
                    taken[device] += 1
                    if sum(taken.values()) == jobs:
                        slow_may_end.set()
                if device == "cuda:2":
                    slow_may_end.wait(60)  # as slow as can be: it ends once no job is left
                with guard:
                    at_once.discard(device)

    threads = [threading.Thread(target=worker) for _ in devices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(taken.values()) == jobs
    assert not any(overlaps)
    assert taken["cuda:2"] <= 1
    assert taken["cuda:0"] + taken["cuda:1"] >= jobs - 1


def test_a_job_waits_for_a_device_and_says_so(tmp_path):
    order = []

    def second():
        with free_device(["cuda:0"], folder=tmp_path, waiting=lambda: order.append("waits")):
            order.append("has it")

    with free_device(["cuda:0"], folder=tmp_path) as device:
        thread = threading.Thread(target=second)
        thread.start()
        while not order:
            time.sleep(0.01)
        order.append("freed")
    thread.join(60)
    assert device == "cuda:0"
    assert order == ["waits", "freed", "has it"]


def test_a_device_is_free_again_after_an_error(tmp_path):
    for _ in range(2):
        try:
            with free_device(["cpu"], folder=tmp_path):
                raise RuntimeError
        except RuntimeError:
            continue


def test_the_same_gpu_has_one_lock_whatever_its_number(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    with free_device(["cuda:1"], folder=tmp_path):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
        with free_device(["cuda:0", "cuda:1"], folder=tmp_path) as other:
            assert other == "cuda:1"
