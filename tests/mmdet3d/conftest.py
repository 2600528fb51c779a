"""These tests need mmdet3d, which has to be compiled: `make test-mmdet3d` installs it in an environment of its own.

Elsewhere, as under `make test`, they are not collected.
"""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("mmdet3d") else ["test_*.py"]
