"""Deformable aggregation as Triton kernels, forward and backward: one program a query, which reads a point only where a
camera sees it. Needs Triton, which torch brings along for GPUs; with TRITON_INTERPRET=1 it runs on a CPU, for tests.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _seen(row, column, height, width, place):
    """Whether a pixel is one of the image's, in the shape of `place`: masks must not be scalars for the interpreter."""
    rows, columns = row + 0 * place, column + 0 * place
    return (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)


@triton.jit
def _corner(image, row, column, height, width, place, inside, row_length):
    """Channels (groups, channels) of a pixel, as float32; zeros outside of the image."""
    there = inside & _seen(row, column, height, width, place)
    return tl.load(image + (row * width + column) * row_length + place, mask=there, other=0.0).to(tl.float32)


@triton.jit
def _sum_kernel(
    maps,  # (B, N, height, width, groups * channels) of one level
    grid,  # (B, N, Q, P, 2) float32
    weights,  # (B, N, Q, levels, P, groups) float32
    sums,  # (B, Q, groups * channels) float32, to which this level is added
    height,
    width,
    level,
    cameras,
    queries,
    levels,
    points,
    groups,
    channels,
    group_block: tl.constexpr,  # powers of two, at least groups and channels
    channel_block: tl.constexpr,
):
    item = tl.program_id(0)
    batch, query = item // queries, item % queries
    group, channel = tl.arange(0, group_block)[:, None], tl.arange(0, channel_block)[None, :]
    inside = (group < groups) & (channel < channels)
    place, row_length = group * channels + channel, groups * channels
    total = tl.load(sums + item * row_length + place, mask=inside, other=0.0)
    for camera in range(cameras):
        picture = batch * cameras + camera
        image = maps + picture.to(tl.int64) * height * width * row_length
        first = picture * queries + query
        for point in range(points):
            at = grid + (first * points + point) * 2
            x = (tl.load(at) + 1) * 0.5 * width - 0.5
            y = (tl.load(at + 1) + 1) * 0.5 * height - 0.5
            if (x > -1) & (x < width) & (y > -1) & (y < height):
                left, top = tl.floor(x), tl.floor(y)
                across, down = x - left, y - top
                column, row = left.to(tl.int32), top.to(tl.int32)
                upper = (1 - across) * _corner(image, row, column, height, width, place, inside, row_length)
                upper += across * _corner(image, row, column + 1, height, width, place, inside, row_length)
                lower = (1 - across) * _corner(image, row + 1, column, height, width, place, inside, row_length)
                lower += across * _corner(image, row + 1, column + 1, height, width, place, inside, row_length)
                shares = weights + ((first * levels + level) * points + point) * groups
                share = tl.load(shares + group, mask=group < groups, other=0.0)
                total += share * ((1 - down) * upper + down * lower)
    tl.store(sums + item * row_length + place, total, mask=inside)


@triton.jit
def _add_to_corner(image, row, column, height, width, place, inside, row_length, value):
    there = inside & _seen(row, column, height, width, place)
    tl.atomic_add(image + (row * width + column) * row_length + place, value, mask=there)


@triton.jit
def _gradient_kernel(
    gradient,  # (B, Q, groups * channels) float32, of the sums
    maps,
    grid,
    weights,
    of_maps,  # float32, to which gradients are added
    of_grid,  # likewise, by this level
    of_weights,  # of which this level's are written
    height,
    width,
    level,
    cameras,
    queries,
    levels,
    points,
    groups,
    channels,
    group_block: tl.constexpr,  # powers of two, at least groups and channels
    channel_block: tl.constexpr,
):
    item = tl.program_id(0)
    batch, query = item // queries, item % queries
    group, channel = tl.arange(0, group_block)[:, None], tl.arange(0, channel_block)[None, :]
    inside = (group < groups) & (channel < channels)
    place, row_length = group * channels + channel, groups * channels
    asked = tl.load(gradient + item * row_length + place, mask=inside, other=0.0)
    for camera in range(cameras):
        picture = batch * cameras + camera
        start = picture.to(tl.int64) * height * width * row_length
        image, of_image = maps + start, of_maps + start
        first = picture * queries + query
        for point in range(points):
            at = (first * points + point) * 2
            x = (tl.load(grid + at) + 1) * 0.5 * width - 0.5
            y = (tl.load(grid + at + 1) + 1) * 0.5 * height - 0.5
            if (x > -1) & (x < width) & (y > -1) & (y < height):
                left, top = tl.floor(x), tl.floor(y)
                across, down = x - left, y - top
                column, row = left.to(tl.int32), top.to(tl.int32)
                one = _corner(image, row, column, height, width, place, inside, row_length)
                two = _corner(image, row, column + 1, height, width, place, inside, row_length)
                three = _corner(image, row + 1, column, height, width, place, inside, row_length)
                four = _corner(image, row + 1, column + 1, height, width, place, inside, row_length)
                shares = ((first * levels + level) * points + point) * groups + group
                share = tl.load(weights + shares, mask=group < groups, other=0.0)
                sample = (1 - down) * ((1 - across) * one + across * two)
                sample += down * ((1 - across) * three + across * four)
                of_share = tl.sum(asked * sample, axis=1)[:, None]
                tl.store(of_weights + shares, of_share, mask=group < groups)
                of_sample = asked * share
                of_x = tl.sum(of_sample * ((1 - down) * (two - one) + down * (four - three)))
                of_y = tl.sum(of_sample * ((1 - across) * (three - one) + across * (four - two)))
                tl.store(of_grid + at, tl.load(of_grid + at) + of_x * 0.5 * width)
                tl.store(of_grid + at + 1, tl.load(of_grid + at + 1) + of_y * 0.5 * height)
                upper, lower = of_sample * (1 - down), of_sample * down
                _add_to_corner(of_image, row, column, height, width, place, inside, row_length, upper * (1 - across))
                _add_to_corner(of_image, row, column + 1, height, width, place, inside, row_length, upper * across)
                _add_to_corner(
                    of_image, row + 1, column, height, width, place, inside, row_length, lower * (1 - across)
                )
                _add_to_corner(of_image, row + 1, column + 1, height, width, place, inside, row_length, lower * across)


@torch.library.custom_op(
    "streamtrack::sums_by_triton",
    mutates_args=(),
    schema="(Tensor[] features, Tensor grid, Tensor weights) -> Tensor",
)
def sums_by_triton(features: Sequence[Tensor], grid: Tensor, weights: Tensor) -> Tensor:
    """(B, Q, C) float32 sums over cameras, levels and points; no copy where the channels of the maps lie innermost.

    Args:
        features: (B, N, C, h, w) of each level, of any floating type.
        grid: (B, N, Q, P, 2) float32 where to sample; -1 and 1 are the borders of an image.
        weights: (B, N, Q, levels, P, groups).
    """
    grid, weights = grid.contiguous(), weights.float().contiguous()
    sums = grid.new_zeros(grid.shape[0], grid.shape[2], features[0].shape[2])
    for level, maps in enumerate(features):
        _sum_kernel[_programs(grid)](_innermost(maps), grid, weights, sums, *_numbers(maps, grid, weights, level))
    return sums


@sums_by_triton.register_fake
def _shape_of_sums(features: Sequence[Tensor], grid: Tensor, weights: Tensor) -> Tensor:
    return grid.new_empty(grid.shape[0], grid.shape[2], features[0].shape[2])


def _keep_inputs(ctx: Any, inputs: tuple[Sequence[Tensor], Tensor, Tensor], output: Tensor) -> None:
    features, grid, weights = inputs
    ctx.save_for_backward(grid, weights, *features)


def _gradients(ctx: Any, gradient: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    given_grid, given_weights, *features = ctx.saved_tensors
    grid, weights = given_grid.contiguous(), given_weights.float().contiguous()
    of_grid, of_weights = torch.zeros_like(grid), torch.zeros_like(weights)
    of_features = []
    for level, maps in enumerate(features):
        innermost = _innermost(maps)
        of_maps = torch.zeros_like(innermost, dtype=torch.float32)
        _gradient_kernel[_programs(grid)](
            gradient.contiguous(),
            innermost,
            grid,
            weights,
            of_maps,
            of_grid,
            of_weights,
            *_numbers(maps, grid, weights, level),
        )
        of_features.append(of_maps.movedim(-1, 2).to(maps.dtype))
    return of_features, of_grid, of_weights.to(given_weights.dtype)


sums_by_triton.register_autograd(_gradients, setup_context=_keep_inputs)


def _programs(grid: Tensor) -> tuple[int]:
    return (grid.shape[0] * grid.shape[2],)


def _innermost(maps: Tensor) -> Tensor:
    """(B, N, h, w, C) of maps (B, N, C, h, w)."""
    return maps.movedim(2, -1).contiguous()


def _numbers(maps: Tensor, grid: Tensor, weights: Tensor, level: int) -> tuple[int, ...]:
    """What the kernels are told of the shapes, in their order."""
    _, cameras, channels, height, width = maps.shape
    queries, points = grid.shape[2:4]
    levels, groups = weights.shape[3], weights.shape[5]
    each = channels // groups
    sizes = (triton.next_power_of_2(groups), triton.next_power_of_2(each))
    return height, width, level, cameras, queries, levels, points, groups, each, *sizes
