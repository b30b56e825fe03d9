"""The folder of Slurm's answers, which are executed when they are read, belongs to its user alone."""

import stat

import pytest

from rl_eval.errors import InputError
from rl_eval.launchers._slurm import own_folder


def test_it_is_made_for_its_user_alone(tmp_path):
    folder = own_folder(str(tmp_path / "outputs" / "slurm"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert own_folder(str(folder)) == folder


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_one_that_others_can_write_to_is_refused(tmp_path, mode):
    tmp_path.chmod(mode)
    with pytest.raises(InputError, match="chmod"):
        own_folder(str(tmp_path))


def test_a_file_is_refused(tmp_path):
    (tmp_path / "slurm").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        own_folder(str(tmp_path / "slurm"))
