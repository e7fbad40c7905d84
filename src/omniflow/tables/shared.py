"""Columns that several tables have, most of them coordinates of their rows."""

from __future__ import annotations

from omniflow.tables.table import number, text, whole

METHOD = text("method", "name of the method")
COMBINE = text("combine", "combination of its lanes; `none` for methods of one lane")
ITERATION = whole("iteration", "after which it is, from 1")
OBSERVABLE = text("observable", "name of the observable")
PASS = whole("pass", "number of the pass, from 1")
PASSES = whole("passes", "number of passes N")
BINS = whole("bins", "number of bins in the averages")
BIN = (
    whole("bin", "number of the bin, from 0"),
    number("low", "lower edge", "of the observable"),
    number("high", "upper edge", "of the observable"),
)
RESULT = (METHOD, COMBINE, ITERATION, OBSERVABLE)
RESULT_KEY = tuple(column.name for column in RESULT)

CHAIN = text("chain", "what determines the training; of a variant `<variant>.<chain>`")
LANE = whole("lane", "number of the lane, from 0; of pre-training that of the model")
MEMBER = whole("member", "number of the member, from 0")
FOLD = whole("fold", "number of the fold, from 1; 0: no folds")
STEP = text("step", "`1` and `2`; `1b` and `2b` with `conditional_mean`")
NETWORK = (
    CHAIN,
    whole("pass", "number of the pass, from 1; of pre-training 0"),
    LANE,
    MEMBER,
    FOLD,
    whole("iteration", "number of the iteration, from 1; of pre-training 0"),
    text("step", "`1` and `2`; `1b` and `2b` with `conditional_mean`; `0` of pre-training"),
    text("purpose", "`unfolding` or `pretraining`"),
)
NETWORK_KEY = tuple(column.name for column in NETWORK)
