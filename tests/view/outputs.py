"""A folder of outputs for the tests of the view: judged runs, one that is training, and hostile ones."""

import json

from tests.gates.fake_runs import FALL
from tests.report.judged_runs import failing, judged_run, passing
from tests.run_index.many_runs import write_many, write_one

SCRIPT = "\"'><script>document.title='taken'</script><img src=x onerror=document.title='taken'>"
HOSTILE = "\"'><script>document.title=1<\x1b[31m\u202e..%2f..%2f"


def write_outputs(outputs):
    """The folder."""
    write_many(outputs, 120)
    judged_run(outputs / "2026-04-01" / "good", suites=[passing()])
    failed = failing()
    worst = json.loads(json.dumps(failed.to_json()))
    worst["criteria"][0]["worst"] = [[17, 8.0], [2147483647, 9.5]]
    bad = judged_run(outputs / "2026-04-01" / "bad", suites=[failed], rule=FALL).path
    (bad / "verdict.json").write_text(json.dumps({"schema": 1, "suites": [worst]}))
    (bad / "replays").mkdir()
    (bad / "replays" / "test_17.webp").write_bytes(FILM)
    (bad / "report.html").write_text(f"<title>report</title><p>of bad</p>{SCRIPT}")
    write_one(outputs / "training", 5000, status="running", decision=None, score=None)
    hostile = write_one(outputs / HOSTILE, 6000, agent=SCRIPT, env=SCRIPT, env_id=SCRIPT, command=SCRIPT, metric=SCRIPT)
    verdict = json.loads((hostile / "verdict.json").read_text())
    for row in verdict["suites"][0]["criteria"]:
        row |= {"suite": SCRIPT, "criterion": SCRIPT, "metric": SCRIPT, "detail": SCRIPT, "unit": SCRIPT}
    verdict["suites"][0] |= {"suite": SCRIPT, "file": SCRIPT}
    (hostile / "verdict.json").write_text(json.dumps(verdict))
    (hostile / "metrics.csv").write_text(f"env_steps,episode_return_mean,reward/{SCRIPT}\n1,2,3\n2,3,4\n")
    entry = {
        "schema": 3, "date": "2026-04-01T10:00:00+00:00", "suite": SCRIPT, "test_set": "abc" + SCRIPT, "gate_seed": 1,
        "decision": SCRIPT, "policies": [SCRIPT],
    }  # fmt: skip
    good = {**entry, "suite": "pole", "test_set": "f00d", "decision": "PASS"}
    lines = [entry, {**good, "policies": ["a"]}, {**good, "policies": ["b"], "decision": "FAIL"}]
    (outputs / "ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "damaged\n")
    return outputs


def _film():
    import io

    from PIL import Image

    written = io.BytesIO()
    frames = [Image.new("RGB", (40, 30), (value, 90, 90)) for value in (20, 220)]
    frames[0].save(written, "WEBP", save_all=True, append_images=frames[1:], duration=200, loop=0)
    return written.getvalue()


FILM = _film()
