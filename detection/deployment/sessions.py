"""The files of an export in ONNX Runtime, checked against the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from detection.deployment.contract import (
    FILES,
    FORMATS,
    METADATA_KEY,
    SINGLE,
    Description,
    Shape,
    check_signature,
    signatures,
)
from detection.deployment.images import Float32Array
from scenes import InputError

_PREFERRED: Final = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")


@dataclass(frozen=True, eq=False)
class Graphs:
    """The files of an export, loaded.

    Attributes:
        description: what they say of themselves.
        sessions: ONNX Runtime's, by the names of `FORMATS`.
    """

    description: Description
    sessions: Mapping[str, Any]

    def run(self, name: str, inputs: Mapping[str, Float32Array]) -> dict[str, Float32Array]:
        """The outputs of a file by name."""
        session = self.sessions[name]
        outputs = [output.name for output in session.get_outputs()]
        return dict(zip(outputs, session.run(outputs, dict(inputs)), strict=True))

    def input_shapes(self, name: str) -> dict[str, Shape]:
        """Of a file, by name."""
        return {given.name: tuple(given.shape) for given in self.sessions[name].get_inputs()}


def load_graphs(folder: Path, providers: Sequence[str] | None = None, threads: int | None = None) -> Graphs:
    """Load the files that an export has written.

    Args:
        folder: of the files.
        providers: of ONNX Runtime, the preferred one first; by default TensorRT, CUDA, CPU, as far as they are there.
        threads: of the CPU; by default all.

    Raises:
        InputError: a file is missing, broken, or not as the contract has it; files of several exports; a provider that
            is not there.
    """
    paths = {name: folder / file for name, file in FILES.items()}
    kind = "single" if paths[SINGLE].is_file() else "autoware"
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    for name in FORMATS[kind]:
        if not paths[name].is_file():
            raise InputError(f"{paths[name]}: is missing; an exported detector has {_listed(FORMATS[kind])}")
    sessions = {name: _session(paths[name], providers, threads) for name in FORMATS[kind]}
    descriptions = {name: _description(session, paths[name]) for name, session in sessions.items()}
    first = descriptions[FORMATS[kind][0]]
    for name, described in descriptions.items():
        if not described.belongs_to(first):
            raise InputError(f"{paths[name]}: is of another export than {paths[FORMATS[kind][0]].name} beside it")
    graphs = Graphs(first, sessions)
    _check(graphs, paths)
    return graphs


def _session(path: Path, providers: Sequence[str] | None, threads: int | None) -> Any:
    import onnxruntime  # an extra

    available = onnxruntime.get_available_providers()
    wanted = [name for name in _PREFERRED if name in available] if providers is None else list(providers)
    if missing := [name for name in wanted if name not in available]:
        raise InputError(f"{missing[0]}: this onnxruntime has {', '.join(available)}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # The graphs of a frame follow one another: threads of one that wait by spinning take the cores from the next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=wanted)
    except Exception as error:  # onnxruntime's own errors have no common class but this
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: onnxruntime cannot load it: {reason}") from error


def _description(session: Any, path: Path) -> Description:
    said = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if said is None:
        raise InputError(f"{path}: was not written by `streamtrack export`: nothing in it says what its classes are")
    return Description.from_json(said, path)


def _check(graphs: Graphs, paths: Mapping[str, Path]) -> None:
    described = graphs.description
    shapes: dict[str, Shape] = {}
    for session in graphs.sessions.values():
        shapes |= {value.name: tuple(value.shape) for value in (*session.get_inputs(), *session.get_outputs())}
    expected = signatures(
        described,
        shapes.get("img_feats", ()),
        shapes.get("pos_embed", ()),
        shapes.get("pre_memory_embedding", (0,))[-1],
    )
    for name, session in graphs.sessions.items():
        for kind, values, wanted in (
            ("input", session.get_inputs(), expected[name].inputs),
            ("output", session.get_outputs(), expected[name].outputs),
        ):
            found = {value.name: (_type(value), *value.shape) for value in values}
            check_signature(paths[name], kind, found, wanted)


def _type(value: Any) -> str:
    """`float` of `tensor(float)`."""
    return str(value.type).removeprefix("tensor(").removesuffix(")")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(FILES[name] for name in names)
